#!/usr/bin/env bash
# check_symbols.sh BUILD TIER...: each tier's object exports its table and nothing else, has no weak symbol (which the linker
# could hand to an older CPU) and no static initialiser; no other object contains wide registers.
set -uo pipefail
build=$1
shift
bad=0
complain() { echo "check_symbols: $*" >&2; bad=1; }
for tier in "$@"; do
  object=$build/obj/kernels/isa_$tier.o
  weak=$(nm -C "$object" | grep -E ' [WwVvu] ' || true)
  [ -z "$weak" ] || complain "$object has weak symbols: $weak"
  exported=$(nm --defined-only --extern-only "$object" | wc -l)
  ((exported == 1)) || complain "$object exports $exported symbols, expected its table alone"
  if objdump -h "$object" | grep -qE '\.(init_array|ctors)'; then complain "$object has a static initialiser"; fi
done
case $(objdump -f "$build/obj/kernels/scalar.o" | sed -n 's/^architecture: \([^,]*\),.*/\1/p') in
  i386:x86-64)
    for object in $(find "$build"/obj/{kernels,src,tools} -name '*.o' ! -name 'isa_*'); do
      if objdump -d --no-show-raw-insn "$object" | grep -qE '%[yz]mm'; then complain "$object uses AVX registers"; fi
    done ;;
esac
exit $bad
