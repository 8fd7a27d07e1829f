#!/usr/bin/env bash
# tile_report.sh [OBJECT...]: reads the assembly of the Arm tiers' matrix products (default: build-arm64/obj/kernels/isa_*.o). A row for
# each tile: its innermost loop's instructions, and per 64-byte line of weights all of them, the multiplies, the least multiplies that
# the shape needs with that instruction, and loads of registers; then accesses of the stack, that is, spills. A panel is a row of
# the table as often as the loop walks several. Status 1 if any tile spills.
set -uo pipefail
cd "$(dirname "$0")/.."
objects=("$@")
((${#objects[@]} > 0)) || objects=(build-arm64/obj/kernels/isa_*.o)
printf '%-8s %-7s %4s %6s %-8s %12s %10s %6s %6s %6s %6s\n' tier type rows panels multiply instructions "a line: all" mul ideal loads stack
bad=0
for object in "${objects[@]}"; do
  tier=${object##*/isa_}
  aarch64-linux-gnu-objdump -dC --no-show-raw-insn "$object" | awk -v tier="${tier%.o}" '
    # The loop from line `first` to `last` of the function: counts, kept if no other loop of the function multiplies more.
    function loop(first, last,   i, op, n, counts, mul, loads, stack, kind) {
      for (i = first; i <= last; ++i) {
        op = operation[i]
        if (op == "fdiv" || (type ~ /int/ && op == "fmla")) return  # GELU, or the sum of groups
        ++n
        if (op ~ /^(fmla|sdot|usdot|smmla|usmmla|bfdot|bfmmla|bfmlalb|bfmlalt|smlal2?|smull2?|sadalp)$/) ++counts[op]
        if (op ~ /^ld/ && text[i] ~ /[qv][0-9]/) loads += op == "ldp" || text[i] ~ /ld1.*,.*v.*,.*\[/ ? 2 : 1
        if (text[i] ~ /\[sp/ && text[i] ~ /[qvsd][0-9]+[.,]/) ++stack
      }
      for (op in counts) if (counts[op] > mul) { mul = counts[op]; kind = op }
      if (mul <= best) return
      best = mul
      found = sprintf("%d %s %d %d %d", n, kind, mul, loads, stack)
    }
    function finish(   i, j, inner, f, macs, line_macs, lines, ideal) {
      if (name == "") return
      best = 0; found = ""
      for (i = 1; i <= count; ++i) {
        if (!(operation[i] ~ /^(b|b\..*|cbn?z|tbn?z)$/) || !(target[i] in place) || place[target[i]] > i) continue
        inner = 1
        for (j = place[target[i]]; j < i; ++j)
          if (operation[j] ~ /^(b|b\..*|cbn?z|tbn?z)$/ && (target[j] in place) && place[target[j]] <= j && place[target[j]] >= place[target[i]]) inner = 0
        if (inner) loop(place[target[i]], i)
      }
      if (found == "") return
      split(found, f, " ")
      # Multiply-adds that one instruction does, and those of a line for one row.
      macs = f[2] == "fmla" ? 4 : f[2] ~ /dot/ ? (f[2] == "bfdot" ? 8 : 16) : f[2] == "bfmmla" ? 16 : f[2] ~ /mmla/ ? 32 : f[2] ~ /bfml/ ? 4 : 8
      line_macs = type == "f32" ? 16 : type == "bf16" ? 32 : type ~ /int8/ ? 64 : 128
      ideal = line_macs * rows / macs
      if (f[2] ~ /mmla/ && rows % 2) ideal = line_macs * (rows + 1) / macs
      lines = f[3] / ideal
      printf "%-8s %-7s %4d %6d %-8s %12d %10.1f %6.1f %6.1f %6.1f %6d\n", tier, type, rows, panels, f[2], f[1], f[1] / lines, f[3] / lines, ideal, f[4] / lines, f[5]
      if (f[5] > 0) spills = 1
    }
    /^[0-9a-f]+ <.*>:$/ {
      finish()
      name = ""; count = 0
      delete place
      if (match($0, /matmul_tile<.*, [0-9]+, [0-9]+>\(/)) {
        name = substr($0, RSTART, RLENGTH)
        type = name ~ /F32/ ? "f32" : name ~ /Bf16/ ? "bf16" : name ~ /DType\)4/ ? "int8g32" : name ~ /Int8|DType\)2/ ? "int8" : "int4"
        split(name, shape, ", ")
        rows = shape[length(shape) - 1] + 0; panels = shape[length(shape)] + 0
      }
      next
    }
    name != "" && /^ +[0-9a-f]+:/ {
      ++count
      at = $1; sub(":", "", at)
      place[at] = count; operation[count] = $2; text[count] = $0; target[count] = ""
      if ($2 ~ /^b/) target[count] = $3
      if ($2 ~ /^cb/) target[count] = $4
      if ($2 ~ /^tb/) target[count] = $5
    }
    END { finish(); exit spills }' | sort -s -k2,2 -k3,3n || bad=1
done
exit $bad
