#!/usr/bin/env bash
# fuzz.sh TARGET...: runs $BUILD/gpt2-fuzz for $FUZZ_SECONDS on each target; one line each: executions, edges covered, corpus.
# A finding stays in $BUILD/fuzz-corpus/TARGET.crash-* and makes the status 1.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build-fuzz}
seconds=${FUZZ_SECONDS:-30}
bad=0
for target in "$@"; do
  corpus=$build/fuzz-corpus/$target
  mkdir -p "$corpus"
  : >"$corpus.words"
  GPT2_FUZZ_WRITE_SEEDS=$corpus GPT2_FUZZ_TARGET=$target "$build/gpt2-fuzz" -max_total_time="$seconds" -max_len=70000 -timeout=10 \
    -rss_limit_mb=2500 -dict="$corpus.words" -print_final_stats=1 -artifact_prefix="$corpus.crash-" "$corpus" >"$corpus.log" 2>&1
  status=$?
  done=$(sed -n 's/^stat::number_of_executed_units: *//p' "$corpus.log" | tail -n 1)
  edges=$(grep -oE 'cov: [0-9]+' "$corpus.log" | tail -n 1)
  echo "$target: ${done:-0} executions, ${edges:-cov: 0}, $(ls "$corpus" | wc -l) inputs, status $status"
  ((status == 0)) || { bad=1; grep -E 'ERROR|SUMMARY|fuzz:' "$corpus.log" | head -n 5 >&2; }
done
exit $bad
