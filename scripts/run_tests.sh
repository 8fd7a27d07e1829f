#!/usr/bin/env bash
# run_tests.sh [SCRIPT...]: runs the unit tests and the command-line tests of $BUILD (default: build), then each SCRIPT, which
# prints lines like theirs ("ok NAME", "not ok NAME: why", "skip NAME: why"), and counts them all.
set -uo pipefail
cd "$(dirname "$0")/.."
export BUILD=${BUILD:-build}
export GPT2=$PWD/$BUILD/gpt2
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Prints a program's lines as they come and keeps them in the log.
run() { "$@" 2>&1 | tee -a "$log"; return "${PIPESTATUS[0]}"; }

# The random checkpoint of the shared goldens, where they and numpy are there.
shared=${GPT2_SHARED:-../shared}
if [ -e "$shared/tools/make_checkpoint.py" ] && python3 -c 'import numpy' 2>/dev/null; then
  tiny=$(mktemp -d)
  trap 'rm -rf "$log" "$tiny"' EXIT
  python3 "$shared/tools/make_checkpoint.py" "$tiny" --size tiny >/dev/null && export GPT2_TINY_CHECKPOINT=$tiny
fi

run "$BUILD/gpt2-tests" --no-version || true
for script in tests/cli/*.sh "$@"; do
  [ -e "$script" ] || continue
  before=$(grep -c '^not ok' "$log")
  run bash "$script"
  status=$?
  after=$(grep -c '^not ok' "$log")
  if ((status != 0 && after == before)); then
    echo "not ok $script: ended with status $status" | tee -a "$log"
  fi
done

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
