#!/usr/bin/env bash
# run_tests.sh [SCRIPT...]: runs the unit tests and the command-line tests of $BUILD (default: build), and each SCRIPT, which prints
# lines like theirs ("ok NAME", "not ok NAME: why", "skip NAME: why"), and counts them all. Each core has one of them at a time; the
# lines of each are printed when it ends.
set -uo pipefail
cd "$(dirname "$0")/.."
export BUILD=${BUILD:-build}
export GPT2=$PWD/$BUILD/gpt2
results=$(mktemp -d)
export results
trap 'rm -rf "$results"' EXIT
log=$results/log

# The random checkpoint of the shared goldens, where they and numpy are there.
shared=${GPT2_SHARED:-../shared}
if [ -e "$shared/tools/make_checkpoint.py" ] && python3 -c 'import numpy' 2>/dev/null; then
  python3 "$shared/tools/make_checkpoint.py" "$results/tiny" --size tiny >/dev/null && export GPT2_TINY_CHECKPOINT=$results/tiny
fi

# job unit|SCRIPT: runs it and prints its lines, and one more where it failed without saying so.
job() {
  local out status
  out=$(mktemp "$results/job.XXXXXX")
  if [ "$1" = unit ]; then "$BUILD/gpt2-tests" --no-version; else bash "$1"; fi >"$out" 2>&1
  status=$?
  if [ "$1" != unit ] && ((status != 0)) && ! grep -q '^not ok' "$out"; then
    echo "not ok $1: ended with status $status" >>"$out"
  fi
  flock "$results/printing" cat "$out"
}
export -f job

# The named scripts are the longest, and begin. xargs leaves them SIGINT as it is, which a shell's background jobs would ignore.
printf '%s\0' "$@" unit tests/cli/*.sh | xargs -0 -n 1 -P "$(nproc)" bash -c 'job "$1"' job | tee "$log"

# doctest's closing line: "[doctest] test cases: 50 | 50 passed | 0 failed | 0 skipped"
unit=$(grep -a '^\[doctest\] test cases:' "$log" | tail -n 1 | tr -d '|' || true)
if [ -z "$unit" ]; then
  echo "not ok unit tests: they did not reach their end" | tee -a "$log"
fi
field() { awk -v word="$1" '{for (i = 2; i <= NF; i++) if ($i == word) print $(i - 1)}' <<<"$unit"; }
passed=$(($(field passed || echo 0) + $(grep -c '^ok ' "$log")))
failed=$(($(field failed || echo 0) + $(grep -c '^not ok' "$log")))
skipped=$(grep -c -i '^skip' "$log")
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
