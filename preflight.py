"""What must be there before anything else is imported: Python, and the libraries in their pinned versions.

Written so that an old interpreter can still read it, and say in three lines what to type.
"""

import os
import re
import sys

OLDEST_PYTHON = (3, 11)
HERE = os.path.dirname(os.path.abspath(__file__))
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([0-9]+)\.([0-9]+)[^ ;]*\s*(;[^\\]*)?", re.MULTILINE)
_FOLDER = re.compile(r"([A-Za-z0-9_.]+)-([0-9][^-]*)\.dist-info$")


def check() -> None:
    """End the program with exit code 3 where it could not run, in three lines instead of a traceback."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(str(part) for part in sys.version_info[:3])
        _stop("SecureChat needs Python 3.11 or newer.", "This is Python {}: {}".format(found, sys.executable))
    problems = _problems()
    if problems:
        _stop("SecureChat cannot start: a library is missing or has another version.", "; ".join(problems))


def pins() -> "dict[str, tuple[str, str]]":
    """Return the pinned libraries that the programs import, as a dict of name to (major, minor)."""
    with open(os.path.join(HERE, "requirements.txt"), encoding="utf-8") as file:
        found = _PIN.findall(file.read())
    return {name: (major, minor) for name, major, minor, marker in found if not marker}


def _problems() -> "list[str]":
    problems, found = [], _installed()
    for name, wanted in sorted(pins().items()):
        version = found[name]
        if version is None:
            problems.append("{} is missing".format(name))
        elif tuple(version.split(".")[:2]) != wanted:
            problems.append("{} is {}, not {}".format(name, version, ".".join(wanted)))
    return problems


def _installed() -> "dict[str, str | None]":
    """Return the version of each pinned library, None for one that is missing."""
    folders = _folders()
    return {name: folders.get(name) or _look_up(name) for name in pins()}


def _folders() -> "dict[str, str]":
    """Return the versions of libraries as their folders tell them; importlib.metadata alone would take 30 ms."""
    found = {}  # type: dict[str, str]
    for place in sys.path:
        try:
            folders = os.listdir(place or ".")
        except OSError:
            continue
        for match in filter(None, map(_FOLDER.match, folders)):
            found.setdefault(match.group(1).lower().replace("_", "-"), match.group(2))  # the first is what is imported
    return found


def _look_up(name: str) -> "str | None":
    """Return the version of a library that is installed in another way."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _stop(what: str, found: str) -> None:
    program = "server" if "server" in os.path.basename(sys.argv[0]) else "client"
    sys.stderr.write("{}\n{}\nType: cd {} && make {}\n".format(what, found, HERE, program))
    sys.exit(3)


def versions() -> "dict[str, str]":
    """Return the versions of Python and of the libraries, by name, for --version."""
    libraries = {name: str(version) for name, version in sorted(_installed().items())}
    return {"Python": ".".join(str(part) for part in sys.version_info[:3]), **libraries}
