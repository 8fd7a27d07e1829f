#!/usr/bin/env bash
# compare.sh A B [OPTION...]: builds two commits and runs `gpt2 bench OPTION...` of both in turns ($ROUNDS, default 7), then prints for
# each row the median of B / A with the lowest and highest: of tokens/s, and of the percentages of the limit. Builds stay in
# build-compare/ for the next time. Without options: --shape 124M --dtype int8 --rows 8,16. Nothing else should run meanwhile.
#   scripts/compare.sh HEAD~1 HEAD
#   ROUNDS=15 scripts/compare.sh v0.1 HEAD -t 2 --shape 355M --dtype f32 --prefill 0
set -euo pipefail
(($# >= 2)) || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$PWD
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-7} root=$PWD/build-compare
[[ $rounds =~ ^[1-9][0-9]*$ ]] || { echo "compare: ROUNDS: expected a whole number from 1, found $rounds" >&2; exit 2; }
commits=()
for name in "$1" "$2"; do
  commits+=("$(git rev-parse --verify --quiet "$name^{commit}")") || { echo "compare: expected a commit, found $name" >&2; exit 2; }
done
shift 2
(($#)) || set -- --shape 124M --dtype int8 --rows 8,16
mkdir -p "$root"
for commit in "${commits[@]}"; do
  tree=$root/$commit
  if [ ! -d "$tree" ]; then  # an archive, not a worktree: nothing to forget in .git
    mkdir "$tree.new"
    git archive "$commit" | tar -x -C "$tree.new"
    mv "$tree.new" "$tree"
  fi
  echo "compare: building $commit" >&2
  make -s -j"$(nproc)" -C "$tree" build/gpt2 >&2
done
runs=$(mktemp)
trap 'rm -f "$runs"' EXIT
cd "$here"
for ((round = 0; round < rounds; ++round)); do
  for turn in 0 1; do
    which=$(((round + turn) % 2))  # who begins changes
    "$root/${commits[which]}/build/gpt2" bench --csv "$@" | sed "1d; s/^/$round,$which,/" >>"$runs"
    echo "compare: round $((round + 1)) of $rounds, $((turn + 1)) of 2" >&2
  done
done
# A line: round, which, test, "shape", dtype, kv_dtype, isa, threads, n, depth, tokens/s, limit, its value, percent, ...
awk -F, -v rounds="$rounds" '
  { row = $3 " " $9 ($10 > 0 ? " depth " $10 : "") ", " $5
    if (!(row in seen)) { seen[row] = 1; rows[++n_rows] = row }
    tokens[row, $1, $2] = $11; percent[row, $1, $2] = $14 }
  function show(a, row,   i, j, t, n, v) {
    n = 0
    for (i = 0; i < rounds; ++i) if (a[row, i, 0] > 0) v[++n] = a[row, i, 1] / a[row, i, 0]
    for (i = 2; i <= n; ++i) for (j = i; j > 1 && v[j] < v[j - 1]; --j) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    t = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
    return sprintf("%6.3f (%.3f..%.3f)", t, v[1], v[n])
  }
  END {
    printf "%-28s %-22s %s\n", "B / A, " rounds " rounds", "tokens/s", "% of the limit"
    for (i = 1; i <= n_rows; ++i) printf "%-28s %-22s %s\n", rows[i], show(tokens, rows[i]), show(percent, rows[i])
  }' "$runs"
