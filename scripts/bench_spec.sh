#!/usr/bin/env bash
# What speculation gains and what it may cost, each case beside the figure that it is to reach. Makes models and prompts in
# $BUILD/spec, once; $MEASURE (nothing) is put before each measurement. `bench_spec.sh CASE...` runs those cases.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build} shared=${GPT2_SHARED:-../shared}
gpt2=$build/gpt2 dir=$build/spec
skip() { echo "skip bench_spec: $1"; exit 0; }
[ -e "$shared/tools/widen_checkpoint.py" ] || skip "no $shared/tools/widen_checkpoint.py (set GPT2_SHARED)"
python3 -c 'import numpy' 2>/dev/null || skip "python3 has no numpy"

mkdir -p "$dir"
text=$shared/data/books-valid.txt books=$shared/data/models/books small=$shared/data/models/books-draft
make_model() {  # NAME DIRECTORY [OPTION...]
  [ -e "$dir/$1.gpt2" ] || "$gpt2" convert --quiet --dtype int8 "${@:3}" "$2" "$dir/$1.gpt2"
}
if [ ! -e "$dir/wide.gpt2" ]; then
  python3 "$shared/tools/widen_checkpoint.py" "$books" "$dir/wide" --width 4 --layers 12
  make_model wide "$dir/wide"
  rm -rf "$dir/wide"
fi
make_model draft "$small"
if [ ! -e "$dir/noise.gpt2" ]; then
  python3 scripts/bench_spec_inputs.py noise "$small" "$dir/noise"
  make_model noise "$dir/noise"
fi
[ -e "$dir/repeats.txt" ] || python3 scripts/bench_spec_inputs.py repeats "$gpt2" "$text" "$dir/repeats.txt"
[ "${1:-}" != prepare ] || exit 0

number() { grep -oE "\"$1\":-?[0-9.e+-]+" <<<"$json" | head -n 1 | cut -d: -f2; }
# CASE FIGURE LEAST OPTION...: runs the case if it is wanted; FIGURE of the result is to be at least LEAST.
wanted=" $* "
measure() {
  local name=$1 figure=$2 least=$3
  shift 3
  [ "$wanted" = "  " ] || [[ $wanted == *" $name "* ]] || return 0
  json=$(${MEASURE:-} "$gpt2" bench spec -m "$dir/wide.gpt2" -t "${THREADS:-2}" --json "$@")
  awk -v name="$name" -v figure="$figure" -v found="$(number "$figure")" -v least="$least" -v base="$(number baseline_tokens_per_s)" \
    -v spec="$(number speculative_tokens_per_s)" -v median="$(number speedup_median)" -v total="$(number speedup_total)" \
    -v allowed="$(number allowed_speedup)" -v percent="$(number percent_of_allowed)" -v a="$(number agreement)" \
    -v c="$(number draft_cost)" -v error="$(number cost_error_percent)" -v drift="$(number baseline_drift_percent)" -v rest="$(number cost_error_without_drift_percent)" 'BEGIN {
      printf "%-14s %7.1f -> %7.1f tokens/s, speed-up %.3f (total %.3f), allowed %.3f (a %.3f, c %.4f), reached %.1f %%, cost error %.1f %% (drift %.1f %%, without it %.1f %%): ",
        name, base, spec, median, total, allowed, a, c, percent, error, drift, rest
      print figure, found, (found + 0 >= least + 0 ? "reaches" : "MISSES"), least }'
}
cut=(-f "$text" --prompts 16 --prompt-tokens 64 -n 64 -r 3)
measure draft percent_of_allowed 90 "${cut[@]}" --draft-model "$dir/draft.gpt2"
measure draft-speed speedup_median 1.3 "${cut[@]}" --draft-model "$dir/draft.gpt2"
measure both speedup_median 1.3 "${cut[@]}" --draft-lookup --draft-model "$dir/draft.gpt2"
measure sampled percent_of_allowed 90 "${cut[@]}" -T 0.8 --top-k 40 --draft-model "$dir/draft.gpt2"
measure repeats speedup_median 2 -f "$dir/repeats.txt" --escape -n 64 -r 3 --draft-lookup
measure fresh speedup_median 0.98 "${cut[@]}" -T 1 --top-p 0.95 --draft-lookup
measure useless speedup_median 0.97 "${cut[@]}" --draft-model "$dir/noise.gpt2"
