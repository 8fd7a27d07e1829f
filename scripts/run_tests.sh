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

# job SCRIPT|SOURCE: runs a script, or the unit tests of a source file, and prints its lines, and one more where it failed without
# saying so.
job() {
  local out status
  out=$(mktemp "$results/job.XXXXXX")
  case $1 in
    *.cpp) "$BUILD/gpt2-tests" --no-version -sf="$1" ;;
    *) bash "$1" ;;
  esac >"$out" 2>&1
  status=$?
  if ((status != 0)) && ! grep -a -q -E -e '^not ok' -e '^\[doctest\] test cases:.* [1-9][0-9]* failed' "$out"; then
    echo "not ok $1: ended with status $status" >>"$out"
  fi
  flock "$results/printing" cat "$out"
}
export -f job

# The named scripts are the longest, and begin; then the larger sources. xargs leaves them SIGINT as it is, which a shell's background
# jobs would ignore.
mapfile -t sources < <(ls -S tests/test_*.cpp)
printf '%s\0' "$@" "${sources[@]}" tests/cli/*.sh | xargs -0 -n 1 -P "$(nproc)" bash -c 'job "$1"' job | tee "$log"

# doctest's closing lines: "[doctest] test cases: 50 | 50 passed | 0 failed | 0 skipped". Together they have every case once.
unit=$(grep -a '^\[doctest\] test cases:' "$log" | tr -d '|')
field() { awk -v word="$1" '{for (i = 2; i <= NF; i++) if ($i == word) n += $(i - 1)} END {print n + 0}' <<<"$unit"; }
expected=$("$BUILD/gpt2-tests" --no-version -c | grep -oE '[0-9]+$')
ran=$(($(field passed) + $(field failed)))
if ((ran != ${expected:-0})); then
  echo "not ok unit tests: $ran of ${expected:-0} cases ran to their end" | tee -a "$log"
fi
passed=$(($(field passed) + $(grep -a -c '^ok ' "$log")))
failed=$(($(field failed) + $(grep -a -c '^not ok' "$log")))
skipped=$(grep -a -c -i '^skip' "$log")
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
