#!/usr/bin/env bash
# beside_load.sh [OPTION...]: decodes with `gpt2 bench OPTION...` beside 0, 1 and 2 busy cores, with the default threads and with each
# fixed count in turns ($ROUNDS, default 5), and prints the median tokens/s of each and the default's as a part of the best fixed one.
# Without options: the built-in model. Nothing else should run meanwhile.
#   scripts/beside_load.sh --shape 124M --dtype int8
set -euo pipefail
cd "$(dirname "$0")/.."
gpt2=${GPT2:-build/gpt2} rounds=${ROUNDS:-5} cores=$(nproc)
runs=$(mktemp)
busy=()
stop() { ((${#busy[@]} == 0)) || kill "${busy[@]}" 2>/dev/null || true; busy=(); }
trap 'stop; rm -f "$runs"' EXIT
for load in 0 1 2; do
  for ((i = 0; i < load; ++i)); do
    sh -c 'while :; do :; done' &
    busy+=($!)
  done
  for ((round = 0; round < rounds; ++round)); do
    for threads in default $(seq "$cores"); do
      fixed=()
      [ "$threads" = default ] || fixed=(-t "$threads")
      "$gpt2" bench --csv --prefill 0 --decode "${DECODE:-64}" -r "${REPETITIONS:-3}" "${fixed[@]}" "$@" 2>/dev/null |
        awk -F, -v of="$load,$threads" 'NR == 2 { print of "," $9 }' >>"$runs"
    done
  done
  stop
done
awk -F, '
  { n[$1, $2]++; v[$1, $2, n[$1, $2]] = $3; if (!(($2) in known)) { known[$2] = 1; order[++kinds] = $2 } }
  function median(load, kind,   i, j, t, count, a) {
    count = n[load, kind]
    for (i = 1; i <= count; ++i) a[i] = v[load, kind, i]
    for (i = 2; i <= count; ++i) for (j = i; j > 1 && a[j] < a[j - 1]; --j) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
    return a[int((count + 1) / 2)]
  }
  END {
    for (load = 0; load <= 2; ++load) {
      line = load " busy:"; best = 0
      for (k = 1; k <= kinds; ++k) {
        m = median(load, order[k])
        line = line sprintf("  %s %.0f", order[k] == "default" ? "default" : "-t " order[k], m)
        if (order[k] != "default" && m > best) best = m
      }
      printf "%s tokens/s; default / best fixed: %.2f\n", line, median(load, "default") / best
    }
  }' "$runs"
