#!/bin/sh
# Check the model of the delivery contract; then check that the check can fail. Usage: model/check.sh [MESSAGES]
set -eu
model="$(cd "$(dirname "$0")" && pwd)/delivery.pml"
messages="${1:-2}"
command -v spin >/dev/null || { echo "spin is not installed: apt-get install spin" >&2; exit 3; }
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

verify() { # name, then options
  name="$1"
  shift
  spin -DMESSAGES="$messages" "$@" -a "$model" >/dev/null
  ${CC:-cc} -O2 -DCOLLAPSE -DNFAIR=3 -DVECTORSZ=2048 -w -o pan pan.c
  ./pan -a -m1000000 >"$name.txt"
  grep -o "errors: [0-9]*" "$name.txt"
}

right="$(verify right)"
states="$(grep -o '[0-9.e+]* states, stored' right.txt)"
echo "commit, then reply: $right, $states"
[ "$right" = "errors: 0" ] || { echo "the contract does not hold" >&2; exit 1; }
for mistake in REPLY_FIRST ACKNOWLEDGE_FIRST NOTE_NOTHING; do
  wrong="$(verify wrong "-D$mistake")"
  echo "$mistake: $wrong"
  [ "$wrong" = "errors: 1" ] || { echo "the check cannot fail" >&2; exit 1; }
done
