#!/usr/bin/env bash
# A sample of `make out-of-memory`: commands that are refused memory at some request for it.
. "$(dirname "$0")/lib.bash"

if ! command -v "${CC:-cc}" >/dev/null || sanitized; then
  skip "out of memory" "no C compiler, or a build with its own malloc"
  finish
fi
run env GPT2="$GPT2" scripts/out_of_memory.sh 12
check "a request for memory that is refused is exit 1, out of memory" eval '((status == 0)) && grep -qE "^[1-9][0-9]* runs, 0 wrong" $T/out'
finish
