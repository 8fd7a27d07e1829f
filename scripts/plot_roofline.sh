#!/usr/bin/env bash
# plot_roofline.sh OUT CSV...: draws OUT.png and OUT.svg, the roofline of a machine with the points that `gpt2 bench --csv` measured there
# with one set of kernels: operations per byte read against operations per second. The roofs are the medians of the limits in the files;
# a point has the colour of the roof that its type computes under. MACHINE names the machine (default: this one). Needs gnuplot.
set -euo pipefail
(($# >= 2)) || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
command -v gnuplot >/dev/null || { echo "plot_roofline: gnuplot is not installed (Debian: gnuplot-nox)" >&2; exit 1; }
out=$1
shift
machine=${MACHINE:-$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)}
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
kernels=$(cat "$@" | awk -F, '$1 != "test" && NF >= 16 { print $5 }' | sort -u | paste -sd ' ')
[[ $kernels != *" "* ]] || { echo "plot_roofline: expected one set of kernels, found $kernels" >&2; exit 1; }
threads=$(cat "$@" | awk -F, '$1 != "test" && NF >= 16 { print $6 }' | sort -u | paste -sd '/')

# A file for each shape and type: "intensity Gop/s"; a decode or rows step reads weights and cache, a prefill its weights once. What the
# points of a type are is written once, beside its highest point at that intensity.
cat "$@" | awk -F, -v dir="$data" '
  $1 == "test" || NF < 16 { next }
  {
    gsub(/"/, "", $2)
    what = $1 == "rows" ? $7 " rows" : $1
    if (!($2 in marks)) { marks[$2] = ++n_marks; print $2, n_marks >(dir "/shapes") }
    x = $15 / $16; y = $15 * $9 / $7 / 1e9
    printf "%g %g\n", x, y >(dir "/points-" $3 "-" marks[$2])
    if (y > top[$3, what]) { top[$3, what] = y; at[$3, what] = x; of[$3, what] = $3; name[$3, what] = what }
    limits[$10] = limits[$10] " " $11
  }
  END {
    for (limit in limits) print limit limits[limit]
    for (key in top) printf "%g %g \"%s %s\"\n", at[key], top[key], of[key], name[key] >(dir "/labels-" (name[key] == "prefill" ? "prefill-" : "") of[key])
  }' |
  while read -r limit values; do
    tr ' ' '\n' <<<"$values" | sort -g |
      awk -v limit="$limit" '{ v[NR] = $1 / 1e9 } END { print limit, v[int((NR + 1) / 2)], v[1], v[NR] }'
  done >"$data/limits"
# roof LIMIT [FIELD]: the median of a limit; field 3: its lowest, 4: its highest.
roof() { awk -v limit="$1" -v field="${2:-2}" '$1 == limit { print $field }' "$data/limits"; }
read=$(roof read) fastest=$(roof read 4)
[ -n "$read" ] || { echo "plot_roofline: no row of $* is bound by reading; include decode" >&2; exit 1; }

plot="" separator=""
add() { plot+="$separator$1"; separator=", "; }
declare -A names=([fma]="f32 multiply-adds" [bf16]="bf16 dot products" [int8]="int8 dot products" [int4]="int4 dot products")
declare -A colours=([fma]="#1f5fa8" [bf16]="#a83a1f" [int8]="#1d7a3c" [int4]="#8a6d1a")
declare -A limit_of=([f32]=fma [bf16]=bf16 [int8]=int8 [int4]=int4)
highest=0
for limit in int4 int8 bf16 fma; do
  peak=$(roof "$limit")
  [ -n "$peak" ] || continue
  highest=$(awk -v a="$highest" -v b="$peak" 'BEGIN { print (a > b ? a : b) }')
  add "x >= $peak / $read ? $peak : NaN with lines lw 3 lc rgb \"${colours[$limit]}\" title \"${names[$limit]}: $(printf %.0f "$peak") Gop/s\""
done
add "$read * x < $highest ? $read * x : NaN with lines lw 3 lc rgb \"#333333\" title \"reading, median: $(printf %.0f "$read") GB/s\""
add "$fastest * x < $highest ? $fastest * x : NaN with lines dt 2 lw 2 lc rgb \"#777777\" title \"reading at its fastest: $(printf %.0f "$fastest") GB/s\""
# Filled marks; int4 has open ones.
declare -A filled=([1]=7 [2]=5 [3]=9) open=([1]=6 [2]=4 [3]=8)
for type in f32 bf16 int8 int4; do
  colour=${colours[${limit_of[$type]}]}
  while read -r _ mark; do
    [ -e "$data/points-$type-$mark" ] || continue
    point=$([ $type = int4 ] && echo "${open[$mark]}" || echo "${filled[$mark]}")
    add "\"$data/points-$type-$mark\" with points pt $point ps 1.8 lw 2 lc rgb \"$colour\" notitle"
  done <"$data/shapes"
  # Where few lines are: right of the points that reading bounds, round about those of prefill, which stand close together.
  case $type in int8) place="center offset 0,1.2" ;; int4) place="left offset 1.6,0" ;; *) place="center offset 0,-1.3" ;; esac
  label() { # FILE PLACE
    [ ! -e "$1" ] || add "\"$1\" using 1:2:3 with labels boxed $2 font \",11\" tc rgb \"$colour\" notitle"
  }
  label "$data/labels-$type" "left offset 1.6,-0.6"
  label "$data/labels-prefill-$type" "$place"
done
while read -r shape mark; do
  add "NaN with points pt ${filled[$mark]} ps 1.8 lc rgb \"#333333\" title \"$shape (int4: open)\""
done <"$data/shapes"
draw() { # TERMINAL FILE
  gnuplot <<GNUPLOT
set terminal $1
set output "$2"
set title "$machine, $threads threads, kernels $kernels" font ",15" noenhanced
set object 1 rectangle from screen 0,0 to screen 1,1 fillcolor rgb "#ffffff" fillstyle solid noborder behind
set logscale xy
set samples 2000
set style textbox opaque fillcolor rgb "#ffffff" noborder margins 0.3,0.3
set xlabel "operations per byte read" font ",13"
set ylabel "Gop/s" font ",13"
set tics font ",12"
set xrange [0.3:4000]
set yrange [10:$highest * 1.6]
set grid lc rgb "#dddddd" lw 1
set key bottom right font ",12" spacing 1.25 box lc rgb "#bbbbbb" opaque
plot $plot
GNUPLOT
}
draw 'pngcairo size 1200,800 background rgb "#ffffff" font "sans,12"' "$out.png"
draw 'svg size 1200,800 background rgb "#ffffff" font "sans,12"' "$out.svg"
