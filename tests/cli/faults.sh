#!/usr/bin/env bash
# A sample of `make faults`: convert with system calls that fail, and killed at them.
. "$(dirname "$0")/lib.bash"

if ! strace -qq -o /dev/null true 2>/dev/null; then
  skip "faults" "strace is not here or not allowed"
  finish
fi
sample() {
  run env GPT2="$GPT2" FAULT_CALLS="$2" FAULT_STATES="$3" scripts/faults.sh "$4"
  check "$1" eval '((status == 0)) && grep -qE "^[1-9][0-9]* runs, 0 wrong" $T/out'
}
sample "the calls that end a file" "fallocate linkat" "absent old" 1
sample "... and where files have names from the start" "rename renameat2" "absent-named old-named" 1
sample "opening and closing" "openat close" old 5
sample "writing" pwrite64 old 400
finish
