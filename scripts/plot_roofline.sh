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
    printf "%g %g \"%s\"\n", $15 / $16, $15 * $9 / $7 / 1e9, $2 " " label >(dir "/" $3)
    limits[$10] = limits[$10] " " $11
  }
  END { for (limit in limits) print limit limits[limit] }' |
  while read -r limit values; do
    printf '%s %s\n' "$limit" "$(tr ' ' '\n' <<<"$values" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] / 1e9 }')"
  done >"$data/limits"
roof() { awk -v limit="$1" '$1 == limit { print $2 }' "$data/limits"; }
read=$(roof read)
[ -n "$read" ] || { echo "plot_roofline: no row of $* is bound by reading; include decode" >&2; exit 1; }

plot="" separator=""
add() { plot+="$separator$1"; separator=", "; }
declare -A roofs=([fma]="f32 multiply-adds" [bf16]="bf16 dot products" [int8]="int8 dot products")
for limit in int8 bf16 fma; do
  peak=$(roof "$limit")
  [ -z "$peak" ] || add "min($read * x, $peak) with lines lw 2 title \"${roofs[$limit]}: $(printf %.0f "$peak") Gop/s\""
done
colour=1
for type in f32 bf16 int8 int4; do
  [ -e "$data/$type" ] || continue
  add "\"$data/$type\" using 1:2 with points pt 7 ps 1.4 lc $((4 + colour)) title \"$type\""
  add "\"$data/$type\" using 1:2:3 with labels left offset 0.8,-0.4 font \",9\" tc rgb \"#555555\" notitle"
  colour=$((colour + 1))
done
draw() { # TERMINAL FILE
  gnuplot <<GNUPLOT
set terminal $1
set output "$2"
set title "gpt2 on this machine: read $(printf %.0f "$read") GB/s" font ",14"
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
