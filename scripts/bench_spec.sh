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
# CASE FIGURE=LEAST... -- OPTION...: runs the case if it is wanted; each FIGURE of the result is to be at least LEAST.
wanted=" $* "
measure() {
  local name=$1 goals=() goal
  shift
  while [ "$1" != -- ]; do goals+=("$1"); shift; done
  shift
  [ "$wanted" = "  " ] || [[ $wanted == *" $name "* ]] || return 0
  json=$(${MEASURE:-} "$gpt2" bench spec -m "$dir/wide.gpt2" -t "${THREADS:-2}" --json "$@")
  printf '%s: %.1f -> %.1f tokens/s, speed-up %.3f (all tokens %.3f), accepted %.2f of a proposal\n' "$name" \
    "$(number baseline_tokens_per_s)" "$(number speculative_tokens_per_s)" "$(number speedup_median)" "$(number speedup_total)" \
    "$(number mean_accepted)"
  printf '  a %.3f, c %.4f, T(2 4 8 16) %.2f %.2f %.2f %.2f allow %.3f: reached %.1f %%\n' "$(number agreement)" "$(number draft_cost)" \
    "$(number step_2)" "$(number step_4)" "$(number step_8)" "$(number step_16)" "$(number allowed_speedup)" "$(number percent_of_allowed)"
  printf '  costs of one half predict the other: error %.1f %%, the baseline drifted by %.1f %%, without that %.1f %%\n' \
    "$(number cost_error_percent)" "$(number baseline_drift_percent)" "$(number cost_error_without_drift_percent)"
  for goal in "${goals[@]}"; do
    awk -v goal="$goal" -v found="$(number "${goal%=*}")" 'BEGIN {
      split(goal, part, "=")
      print "  " part[1], found, (found + 0 >= part[2] + 0 ? "reaches" : "MISSES"), part[2] }'
  done
}
cut=(-f "$text" --prompts 16 --prompt-tokens 64 -n 64 -r 3)
measure draft percent_of_allowed=90 speedup_median=1.3 -- "${cut[@]}" --draft-model "$dir/draft.gpt2"
measure sampled percent_of_allowed=90 speedup_median=1.3 -- "${cut[@]}" -T 0.8 --top-k 40 --draft-model "$dir/draft.gpt2"
measure both speedup_median=1.3 -- "${cut[@]}" --draft-lookup --draft-model "$dir/draft.gpt2"
measure repeats speedup_median=2 -- -f "$dir/repeats.txt" --escape -n 64 -r 3 --draft-lookup
measure fresh speedup_median=0.98 -- "${cut[@]}" -T 1 --top-p 0.95 --draft-lookup
measure useless speedup_median=0.97 -- "${cut[@]}" --draft-model "$dir/noise.gpt2"
