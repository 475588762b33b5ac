#!/bin/sh
# Tells somebody when a disk is nearly full; nothing is said while it is not. In the crontab of the machine:
#
#   0 * * * *  cd securechat && sh docs/examples/disk_alert.sh / 90 alice
#
# Further arguments are the client's options: --user, --password-file, --server.

set -eu
disk=$1 limit=$2 who=$3
shift 3

used=$(df -P "$disk" | awk 'NR == 2 { sub("%", "", $5); print $5 }')
[ "$used" -ge "$limit" ] || exit 0
printf '%s is %s %% full\n' "$disk" "$used" | "${PYTHON:-.venv/bin/python}" client.py "$@" send --wait accepted "$who" -
