#!/usr/bin/env bash
# results.sh: measures every figure of bench/RESULTS.md (about 10 minutes on an idle machine; SHAPES=124M: 2) and writes bench/results.csv,
# bench/RESULTS.md and, where gnuplot is there, bench/roofline.png and .svg. `results.sh table` only writes the table anew.
set -euo pipefail
cd "$(dirname "$0")/.."
gpt2=${GPT2:-build/gpt2} csv=bench/results.csv repetitions=${REPETITIONS:-9}
bench() { ${MEASURE:-} "$gpt2" bench --csv -r "$repetitions" "$@" | sed 1d >>"$csv.new"; }
best=$("$gpt2" doctor --no-probes --json | grep -oE '[a-z0-9]+ \(chosen' | cut -d' ' -f1)
if [ "${1:-}" != table ]; then
  "$gpt2" bench --csv --shape 82M --prefill 0 --decode 1 -r 1 | head -n 1 >"$csv.new"
  for shape in ${SHAPES:-124M 355M}; do
    for dtype in f32 bf16 int8 int4; do bench --shape $shape --dtype $dtype --first 8,64 --rows 1,4,8,16; done
    bench --shape $shape --dtype int8 --prefill 0 --decode 0 --rows 1,16,32 --depth 64
    for isa in avx512 avx2; do  # the older tiers of this machine, beside its best
      [ "$isa" != "$best" ] && GPT2_ISA=$isa "$gpt2" bench --prefill 0 --decode 1 -r 1 >/dev/null 2>&1 || continue
      for dtype in f32 int8; do GPT2_ISA=$isa bench --shape $shape --dtype $dtype; done
    done
  done
  mv "$csv.new" "$csv"
fi
{
  echo "# Measured speed"
  echo
  echo "Made by \`scripts/results.sh\` on $("$gpt2" doctor --no-probes | sed -n 's/^cpu *//p'), $("$gpt2" --version -v | tr '\n' ' ' | sed 's/  */ /g; s/ $//')."
  echo "A percentage is the least time that the limits of the machine allow, measured beside each sample in the same run, over the time taken"
  echo "(median of $repetitions samples, lowest and highest beside it); \`gpt2 bench --help\` defines it. Rows are sequences of one step; the"
  echo "times of 4, 8 and 16 rows are also given as multiples of the time of one row. What memory gives can change from row to row on a"
  echo "shared machine: the limit's value says how much there was. A first token counts from the making of threads and memory on."
  echo
  echo "| shape | type | kernels | what | tokens/s | limit | limit's value | % of limit | low..high | x one row |"
  echo "|---|---|---|---|---|---|---|---|---|---|"
  awk -F, '$1 != "test" {
    gsub(/"/, "", $2)
    ms = 1000 * $7 / $9
    what = $1 == "prefill" ? "prefill of " $7 : $1 == "first" ? "first token of " $7 : $1 == "decode" ? "decode" : $7 ($7 == 1 ? " row" : " rows")
    if ($8 > 0) what = what ", depth " $8
    if ($1 == "rows" && $7 == 1) one = ms
    times = $1 == "rows" ? sprintf("%.2f", ms / one) : ""
    printf "| %s | %s | %s | %s | %.1f | %s | %.1f %s | %.1f | %.1f..%.1f | %s |\n", $2, $3, $5, what, $9, $10, $11 / 1e9,
      ($10 == "read" ? "GB/s" : "Gop/s"), $12, $13, $14, times }' "$csv"
} >bench/RESULTS.md
if command -v gnuplot >/dev/null; then
  points=$(mktemp)
  trap 'rm -f "$points"' EXIT
  awk -F, -v best="$best" '$1 == "test" || ($5 == best && $8 == 0 && $1 != "first" && ($1 != "rows" || $7 == 8))' "$csv" >"$points"
  MACHINE=${MACHINE:-$("$gpt2" doctor --no-probes | sed -n 's/^cpu *//p')} scripts/plot_roofline.sh bench/roofline "$points"
fi
