#!/usr/bin/env bash
# plot_roofline.sh OUT CSV...: draws OUT.png and OUT.svg, the roofline of the machine with the points that `gpt2 bench --csv` measured:
# operations per byte read against operations per second. The roofs are the medians of the limits in the files. Needs gnuplot.
set -euo pipefail
(($# >= 2)) || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
command -v gnuplot >/dev/null || { echo "plot_roofline: gnuplot is not installed (Debian: gnuplot-nox)" >&2; exit 1; }
out=$1
shift
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT

# Points: "intensity Gop/s label", a file for each type; a decode or rows step reads weights and cache, a prefill its weights once.
cat "$@" | awk -F, -v dir="$data" '
  $1 == "test" || NF < 16 { next }
  {
    gsub(/"/, "", $2)
    label = $1 == "rows" ? $7 " rows" : $1
    if (!($2 in marks)) marks[$2] = ++n_marks
    # One name for the points of all shapes, beside the first.
    printf "%g %g \"%s\" %d\n", $15 / $16, $15 * $9 / $7 / 1e9, marks[$2] == 1 ? label : "", 2 * marks[$2] + 3 >(dir "/" $3)
    limits[$10] = limits[$10] " " $11
  }
  END {
    for (limit in limits) print limit limits[limit]
    for (shape in marks) print shape, 2 * marks[shape] + 3 >(dir "/marks")
  }' |
  while read -r limit values; do
    tr ' ' '\n' <<<"$values" | sort -g |
      awk -v limit="$limit" '{ v[NR] = $1 / 1e9 } END { print limit, v[int((NR + 1) / 2)], v[1], v[NR] }'
  done >"$data/limits"
# LIMIT [FIELD]: the median of a limit; field 3: its lowest, 4: its highest.
roof() { awk -v limit="$1" -v field="${2:-2}" '$1 == limit { print $field }' "$data/limits"; }
read=$(roof read) fastest=$(roof read 4)
[ -n "$read" ] || { echo "plot_roofline: no row of $* is bound by reading; include decode" >&2; exit 1; }

plot="" separator=""
add() { plot+="$separator$1"; separator=", "; }
declare -A roofs=([fma]="f32 multiply-adds" [bf16]="bf16 dot products" [int8]="int8 dot products" [int4]="int4 dot products")
for limit in int4 int8 bf16 fma; do
  peak=$(roof "$limit")
  [ -z "$peak" ] || add "min($read * x, $peak) with lines lw 2 title \"${roofs[$limit]}: $(printf %.0f "$peak") Gop/s\""
done
add "$fastest * x < $peak ? $fastest * x : NaN with lines dt 2 lc rgb \"#555555\" title \"reading at its fastest, $(printf %.0f "$fastest") GB/s\""
colour=1
for type in f32 bf16 int8 int4; do
  [ -e "$data/$type" ] || continue
  add "\"$data/$type\" using 1:2:4 with points pt variable ps 1.4 lc $((4 + colour)) notitle"
  add "NaN with points pt 7 ps 1.4 lc $((4 + colour)) title \"$type\""
  add "\"$data/$type\" using 1:2:3 with labels left offset 0.8,-0.4 font \",9\" tc rgb \"#555555\" notitle"
  colour=$((colour + 1))
done
while read -r shape mark; do
  add "NaN with points pt $mark ps 1.4 lc rgb \"#555555\" title \"$shape\""
done < <(sort -k 2 -n "$data/marks")
draw() { # TERMINAL FILE
  gnuplot <<GNUPLOT
set terminal $1
set output "$2"
set title "gpt2 on this machine: read $(printf %.0f "$read") GB/s ($(roof read 3 | cut -d. -f1) to $(printf %.0f "$fastest"))" font ",14"
set logscale xy
set xlabel "operations per byte read"
set ylabel "Gop/s"
set xrange [0.3:4000]
set yrange [10:*]
set grid
set key bottom right
min(a, b) = a < b ? a : b
plot $plot
GNUPLOT
}
draw 'pngcairo size 1100,760 font "sans,11"' "$out.png"
draw 'svg size 1100,760 font "sans,11"' "$out.svg"
