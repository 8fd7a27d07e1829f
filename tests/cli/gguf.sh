#!/usr/bin/env bash
# GGUF files: converted, run as they are, inspected, and what is wrong with one.
. "$(dirname "$0")/lib.bash"

files=$PWD/tests/data/gguf
mkdir "$T/models"
cp "$files/gpt2.gguf" "$T/models/tiny.gguf"
run "$GPT2" convert "$files/gpt2.gguf" "$T/tiny.gpt2"
check "convert" eval 'quiet_success && [ -s "$T/tiny.gpt2" ]'
run "$GPT2" generate -m "$T/tiny.gpt2" --greedy -n 8 abba
check "generate from it" quiet_success
cp "$T/out" "$T/expected"
run "$GPT2" generate -m "$files/gpt2.gguf" --greedy -n 8 abba
check "-m FILE.gguf: the same text" eval 'quiet_success && same "$T/out" "$T/expected"'
run env GPT2_MODELS="$T/models" "$GPT2" generate -v -m tiny --greedy -n 8 abba
check "-m NAME finds NAME.gguf, and -v says what is done" eval '((status == 0)) && same "$T/out" "$T/expected" &&
  err_has "in memory" && err_has "gpt2 convert $T/models/tiny.gguf $T/models/tiny.gpt2"'
for name in starcoder llama llama3 qwen2 gptneox phi2 stablelm gemma; do
  run "$GPT2" generate -m "$files/$name.gguf" --greedy -n 4 abba
  check "-m $name.gguf" quiet_success
done
run "$GPT2" inspect --verify "$files/llama.gguf"
check "inspect: the container, its types and what it becomes" eval '((status == 0)) && out_has "11 F32" && out_has "16 F16" &&
  out_has "matrices in f32" && out_has "all weights are finite"'
run "$GPT2" inspect --json --no-values "$files/llama.gguf"
check "inspect --json" out_has '"gguf":{"version":3,'
for figure in gpt2:512 starcoder:256; do
  run "$GPT2" inspect --no-values --json "$files/${figure%:*}.gguf"
  check "inspect ${figure%:*}.gguf: bytes of the cache for a token" [ "$(json_number kv_bytes_per_token_f32 "$T/out")" = "${figure#*:}" ]
done
sed 's/general.architecture/general.architectune/' "$files/gpt2.gguf" >"$T/broken.gguf"
run "$GPT2" generate -m "$T/broken.gguf" x; error "no architecture" 3 "$T/broken.gguf" general.architecture
head -c 20000 "$files/gpt2.gguf" >"$T/cut.gguf"
run "$GPT2" convert "$T/cut.gguf" "$T/cut.gpt2"; error "a cut file" 3 "$T/cut.gguf"
check "... leaves nothing behind" [ ! -e "$T/cut.gpt2" ]
run "$GPT2" convert --force "$T/models/tiny.gguf" "$T/models/tiny.gguf"; error "SRC is DST" 2 same
ln "$T/models/tiny.gguf" "$T/models/other"
run "$GPT2" convert --force "$T/models/tiny.gguf" "$T/models/other"; error "SRC is DST by another name" 2
finish
