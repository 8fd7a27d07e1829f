#!/usr/bin/env bash
# coverage.sh BUILD FILE...: runs BUILD/gpt2-tests and prints, for each source file, the share of its lines that were run.
# CASES: doctest's choice of cases (default: all).
set -uo pipefail
cd "$(dirname "$0")/.."
build=$1
shift
find "$build" -name '*.gcda' -delete
"$build/gpt2-tests" ${CASES:+-tc="$CASES"} >"$build/coverage.log" 2>&1 || { tail -n 5 "$build/coverage.log"; exit 1; }
tail -n 3 "$build/coverage.log" | head -n 1
all=0 hit=0
for file in "$@"; do
  data=$build/obj/${file%.cpp}.gcda
  # "        5:   12:text", "    #####:   13:text" for a line that was never run; "5*" where only some of its blocks were.
  gcov --stdout "$data" 2>/dev/null | awk -v file="$file" -F: '
    $3 == "Source" || ($2 + 0 == 0 && $3 == "Source") { mine = ($4 == file) }
    mine && $2 + 0 > 0 { gsub(/ /, "", $1); if ($1 ~ /^#####|^=====/) { ++all; lines = lines " " $2 + 0 } else if ($1 != "-") { ++all; ++hit } }
    END { printf "%s %d %d%s\n", file, hit, all, lines }' >"$build/coverage.line"
  read -r name file_hit file_all missed <"$build/coverage.line"
  printf '%-32s %4d of %4d lines, %5.1f %%%s\n' "$name" "$file_hit" "$file_all" \
    "$(awk "BEGIN { print $file_all ? 100 * $file_hit / $file_all : 0 }")" "${missed:+, not: $missed}"
  all=$((all + file_all)) hit=$((hit + file_hit))
done
printf '%-32s %4d of %4d lines, %5.1f %%\n' all $hit $all "$(awk "BEGIN { print 100 * $hit / $all }")"
