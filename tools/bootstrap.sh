#!/bin/sh
# Makes .venv once and installs the pinned requirements into it, again only when they change.
# usage: tools/bootstrap.sh REQUIREMENTS_FILE
set -u
cd "$(dirname "$0")/.." || exit 3
python=${PYTHON:-python3}
requirements=$1
stamp=.venv/$requirements.installed

stop() { # three lines: what, why, what to do
    printf '%s\n%s\n%s\n' "$1" "$2" "$3" >&2
    exit 3
}

[ -f "$stamp" ] && cmp -s "$stamp" "$requirements" && exit 0

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    stop "SecureChat needs Python 3.11 or newer." "Found: $("$python" --version 2>&1 | head -n 1)" \
        "Install it, then type: make PYTHON=python3.11"

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv # half made, or made by a Python that is gone
    "$python" -m venv .venv >/dev/null 2>&1 || {
        rm -rf .venv
        stop "SecureChat cannot make its environment: Python's venv does not work here." \
            "Debian and Ubuntu ship it (with ensurepip) in a package of its own." \
            "Type: sudo apt install python3-venv"
    }
fi

log=.venv/install.log
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$requirements" >"$log" 2>&1 ||
    stop "SecureChat cannot install its libraries." "pip said: $(grep -i error "$log" | tail -n 1 | cut -c 1-200)" \
        "Is the network there? The whole story is in $log; then type the same command again."
cp "$requirements" "$stamp"
