#!/usr/bin/env bash
# Includes point one way: kernels <- src/base <- src/io, src/text <- src/model <- src/convert, src/engine <- src/measure,
# src/serve <- tools. Fails on any other arrow, on third-party headers outside the files that own them, on flags that would change
# the arithmetic, on files over 600 lines and on lines over 120 columns.
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0
complain() { echo "check_layers: $*" >&2; bad=1; }

# layer: what it may include from the project
declare -A may=(
  [kernels]='kernels/'
  [src/base]='kernels/|src/base/'
  [src/io]='kernels/|src/base/|src/io/'
  [src/text]='kernels/|src/base/|src/text/'
  [src/model]='kernels/|src/(base|io|text|model)/'
  [src/convert]='kernels/|src/(base|io|text|model|convert)/'
  [src/engine]='kernels/|src/(base|io|text|model|engine)/'
  [src/measure]='kernels/|src/(base|io|text|model|engine|measure)/'
  [src/serve]='kernels/|src/(base|io|text|model|engine|serve)/'
  [tools]='kernels/|src/|tools/'
)
for layer in "${!may[@]}"; do
  while IFS= read -r line; do
    complain "$line points outside ($layer may include: ${may[$layer]})"
  done < <(grep -nE '^#include "' "$layer"/*.{h,cpp,inl} 2>/dev/null | grep -vE "#include \"(${may[$layer]})")
done

while IFS= read -r line; do complain "$line: CLI11 belongs in tools/*.cpp"; done \
  < <(grep -nE '#include <CLI/' -r kernels src tools --include='*' | grep -vE '^tools/[^:]*\.cpp:')
while IFS= read -r line; do complain "$line: simdjson belongs in src/io/json.cpp"; done \
  < <(grep -nE '#include <simdjson' -r kernels src tools | grep -v '^src/io/json.cpp:')
while IFS= read -r line; do complain "$line: Boost belongs in src/serve/http_connection.cpp"; done \
  < <(grep -nE '#include <boost/' -r kernels src tools tests | grep -v '^src/serve/http_connection.cpp:')
while IFS= read -r line; do complain "$line: only thread_team.cpp may use OpenMP"; done \
  < <(grep -nE '#include <omp\.h>|#pragma omp' -r kernels src tools | grep -v '^src/base/thread_team.cpp:')
while IFS= read -r line; do complain "$line: kernels take C headers and intrinsics only"; done \
  < <(grep -nE '^#include <' kernels/*.{h,cpp,inl} 2>/dev/null | grep -vE '<(stddef|stdint|string|cpuid|immintrin|arm_neon|sys/auxv|sys/sysctl)\.h>')
while IFS= read -r line; do complain "$line: this flag changes the arithmetic"; done \
  < <(grep -nE -- '-ffast-math|-Ofast|-funsafe-math|-ffp-contract=fast' Makefile | grep -v '^[0-9]*:#')

for header in kernels/*.h src/*/*.h tools/*.h tests/*.h tests/fuzz/*.h; do
  source=${header%.h}.cpp
  [ -e "$source" ] || continue
  first=$(grep -m 1 '^#include "' "$source")
  [ "$first" = "#include \"$header\"" ] || complain "$source includes $first first, expected its own header"
done
for file in $(find kernels src tools tests bench -name '*.h' -o -name '*.cpp' -o -name '*.inl'); do
  lines=$(wc -l <"$file")
  case $file in src/text/unicode_tables.cpp) continue ;; esac
  if ((lines > 600)); then complain "$file has $lines lines; split it"; fi
done
while IFS= read -r line; do complain "$line has more than 120 columns"; done \
  < <(find kernels src tools -type f ! -name unicode_tables.cpp -exec \
        env LC_ALL=C awk '{ line = $0; gsub(/[\200-\277]/, "", line) } length(line) > 120 { print FILENAME ":" FNR }' {} +)
exit $bad
