#!/usr/bin/env bash
# Runs the arm64 build in $BUILD (default: build-arm64) under qemu-user: kernel parity and golden logits on CPUs with each tier, and the
# whole program from the built-in model to golden text. $GPT2 is this machine's program, whose text and files must be the same.
# Prints what run_tests.sh prints: "ok NAME", "not ok NAME: why", "skip NAME: why".
set -uo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build-arm64}
native=${GPT2:-build/gpt2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
cpus=$(qemu-aarch64 -cpu help)
ok() { echo "ok arm64 $1"; }
not_ok() { echo "not ok arm64 $1: $2"; bad=1; }

# unit NAME CASES: the unit tests that CASES names, on ${run[@]}; at least one must be there.
unit() {
  local passed
  "${run[@]}" "$build/gpt2-tests" --no-version -tc="$2" >"$work/log" 2>&1
  local status=$?
  passed=$(grep -a '^\[doctest\] test cases:' "$work/log" | grep -oE '[0-9]+ passed' | cut -d' ' -f1)
  if ((status == 0 && ${passed:-0} > 0)); then
    ok "$1, $passed cases"
  else
    not_ok "$1" "status $status, ${passed:-0} passed: $(grep -aE 'ERROR|TEST CASE' "$work/log" | head -n 4 | tr '\n' '|')"
  fi
}

# numbers KEY FILE: the numbers of each "KEY": [...] in FILE, a line each.
numbers() { grep -oE "\"$1\": ?\[[^]]*\]" "$2" | sed 's/.*\[//; s/[] ]//g'; }

# golden: greedy text of golden prompts from the built-in checkpoint in f32. The smallest margin there is 7.6e-4, so that all tokens are decided.
golden() {
  local ids expected
  while read -r ids expected; do
    "${run[@]}" "$build/gpt2" generate -m models/books --greedy --ignore-eos -n 64 --json --tokens "$ids" >"$work/json" 2>"$work/err" ||
      { echo "status $?: $(head -c 200 "$work/err")"; return; }
    [ "$(numbers tokens "$work/json")" = "$expected" ] || { echo "prompt $ids: found $(numbers tokens "$work/json")"; return; }
  done < <(paste -d' ' <(numbers ids tests/data/books_greedy.json) <(numbers greedy tests/data/books_greedy.json) | head -n "$1")
}

# same_as_native NAME COMMAND...: both programs print the same bytes for it.
same_as_native() {
  local name=$1
  shift
  "${run[@]}" "$build/gpt2" "$@" >"$work/arm" 2>"$work/err" || { not_ok "$name" "status $?: $(head -c 200 "$work/err")"; return; }
  "$native" "$@" >"$work/native" 2>/dev/null
  if [ -s "$work/arm" ] && cmp -s "$work/arm" "$work/native"; then ok "$name"; else not_ok "$name" "$native prints something else"; fi
}

# A CPU model and the tiers that it offers, best first.
declare -A tiers=([cortex-a72]="neon" [neoverse-n1]="dotprod neon" [max]="i8mm dotprod neon")
for cpu in cortex-a72 neoverse-n1 max; do
  if ! grep -qw -- "$cpu" <<<"$cpus"; then
    echo "skip arm64 $cpu: this qemu lacks it"
    continue
  fi
  run=(qemu-aarch64 -cpu "$cpu")
  found=$("${run[@]}" "$build/gpt2" doctor --no-probes | sed -n 's/^kernels *//p')
  if [[ $found == *"${tiers[$cpu]%% *} (chosen"* ]]; then ok "$cpu: ${found}"; else not_ok "$cpu" "chose $found"; fi
  unit "$cpu: kernels" 'kernels*'
  wrong=$(golden 2)
  if [ -z "$wrong" ]; then ok "$cpu: golden text"; else not_ok "$cpu: golden text" "$wrong"; fi
done

# All tiers at once, on the CPU that has them.
run=(qemu-aarch64 -cpu max)
unit "golden logits of f32, int8, int8g32 and int4, of every architecture, on each tier" 'golden bits*'
if ! [ -x "$native" ]; then
  echo "skip arm64 beside this machine's program: no $native"
  exit $bad
fi
for dtype in f32 int8 int8g32 int4; do
  "${run[@]}" "$build/gpt2" convert -q --dtype $dtype models/books "$work/arm-$dtype.gpt2" 2>"$work/err"
  "$native" convert -q --dtype $dtype models/books "$work/$dtype.gpt2"
  if cmp -s "$work/arm-$dtype.gpt2" "$work/$dtype.gpt2"; then
    ok "$dtype: convert writes the same file"
  else
    not_ok "$dtype: convert writes the same file" "$(head -c 200 "$work/err")"
  fi
  same_as_native "$dtype: the same sampled text" generate -m "$work/$dtype.gpt2" -s 7 -n 64 "The old captain said"
done
for file in tests/data/gguf/*.gguf; do
  same_as_native "${file##*/}: the same sampled text" generate -m "$file" -s 7 -n 24 abba
done
# Pages of 16 and 64 KiB, as this qemu believes the kernel's to be.
for page in 16384 65536; do
  run=(qemu-aarch64 -cpu max -p $page)
  same_as_native "pages of $page bytes: the built-in model" generate -s 7 -n 16 "The old captain said"
  same_as_native "pages of $page bytes: a mapped file" generate -m "$work/int8.gpt2" -s 7 -n 16 "The old captain said"
done
exit $bad
