#!/usr/bin/env bash
# The x86 program on CPUs of other years, as qemu-user plays them: what is chosen, the same text, and refusals of what is missing.
. "$(dirname "$0")/lib.bash"

if [ "$(uname -m)" != x86_64 ] || ! command -v qemu-x86_64 >/dev/null; then
  skip "CPUs without AVX2" "no qemu-x86_64"
  finish
fi
if sanitized; then
  skip "CPUs without AVX2" "AddressSanitizer's memory does not fit under qemu"
  finish
fi
"$GPT2" generate --greedy -n 12 "The old captain said" >"$T/expected"
# cpu MODEL TIER: the tier that is chosen there, and the text.
cpu() {
  run qemu-x86_64 -cpu "$1" "$GPT2" doctor --no-probes
  check "$1: $2 is chosen" out_has "$2 (chosen: the best that runs here)"
  run qemu-x86_64 -cpu "$1" "$GPT2" generate --greedy -n 12 "The old captain said"
  check "$1: the same text" eval 'status_is 0 && same "$T/out" "$T/expected"'
}
cpu qemu64 scalar
cpu Nehalem scalar
cpu Haswell avx2
# AVX2 alone is no reason to use it.
cpu Haswell,-fma scalar
cpu Haswell,-f16c scalar
run env GPT2_ISA=avx2 qemu-x86_64 -cpu Nehalem "$GPT2" generate -n 1 x
error "a tier that the CPU lacks" 5 GPT2_ISA=avx2 AVX2
finish
