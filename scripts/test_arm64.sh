#!/usr/bin/env bash
# Runs the arm64 build in $BUILD (default: build-arm64) under qemu-user: kernel parity on CPUs with each tier, golden logits and a
# golden generation on every tier that a CPU offers. Prints what run_tests.sh prints: "ok NAME", "not ok NAME: why", "skip NAME: why".
set -uo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build-arm64}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
bad=0
cpus=$(qemu-aarch64 -cpu help)
ok() { echo "ok arm64 $1"; }
not_ok() { echo "not ok arm64 $1: $2"; bad=1; }

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
  if "${run[@]}" "$build/gpt2-tests" --no-version -tc='kernels*' >"$log" 2>&1; then
    ok "$cpu: kernels, $(tail -n 3 "$log" | grep -o '[0-9]* passed' | head -n 1)"
  else
    not_ok "$cpu: kernels" "$(grep -aE 'ERROR|TEST CASE' "$log" | head -n 4 | tr '\n' '|')"
  fi
done
exit $bad
