#!/usr/bin/env bash
# gpt2 eval golden: what it writes is what it reads, other logits are measured, and the bounds end with exit code 1.
. "$(dirname "$0")/lib.bash"

"$GPT2" convert -q "$BOOKS" "$T/f32"
printf '{"prompt":"The captain looked at the sea"}\n{"tokens":[3,1,4,1,5]}\n' >"$T/prompts"
run "$GPT2" eval golden -m "$T/f32" --write "$T/golden.jsonl" "$T/prompts"
check "--write" eval 'quiet_success && (($(wc -l <$T/golden.jsonl) == 2)) && grep -q "^{\"tokens\":\[3,1,4,1,5\],\"logits\":\[\[" $T/golden.jsonl'
run "$GPT2" eval golden -m "$T/f32" --write "$T/golden.safetensors" - <"$T/prompts"
check "--write of tensors" eval 'quiet_success && [ -s $T/golden.safetensors ]'
for form in jsonl safetensors; do
  run "$GPT2" eval golden -m "$T/f32" -t 2 --max-difference 0 --max-kl 0 --json "$T/golden.$form"
  check "$form: a model is itself" eval 'quiet_success && out_has "\"max_difference\":0," && out_has "\"kl_max\":0," && out_has "\"top1_agreement\":1,"'
done
run "$GPT2" eval golden "$T/golden.jsonl"
check "another type is measured" eval 'quiet_success && out_has "2 texts" && out_has "top-1 agreement"'
run "$GPT2" eval golden --max-difference 1e-6 "$T/golden.safetensors"
check "--max-difference" eval '((status == 1)) && out_has "KL(golden || model)" && err_has "difference: expected at most 1e-06" && (($(wc -l <$T/err) == 1))'
run "$GPT2" eval golden --max-kl 1e-9 "$T/golden.safetensors"
check "--max-kl" eval '((status == 1)) && err_has "KL divergence: expected at most 1e-09"'
run "$GPT2" eval golden --max-kl 1 "$T/golden.safetensors"; check "a bound that holds" quiet_success
run "$GPT2" eval golden --write "$T/golden.jsonl" "$T/prompts"; error "a file that is there" 2 --force
run "$GPT2" eval golden --write "$T/x" --max-kl 1 "$T/prompts"; error "a bound without a comparison" 2 --write
run "$GPT2" eval golden --write "$T/x" "$T/golden.jsonl"; check "tokens with logits are prompts, too" quiet_success
run "$GPT2" eval golden "$T/prompts"; error "prompts without logits" 4 "$T/prompts:1" tokens
run "$GPT2" eval golden "$T/none"; error "a missing file" 1 "$T/none"
head -c 4000 "$T/golden.safetensors" >"$T/cut"
run "$GPT2" eval golden "$T/cut"; error "a file that breaks off" 4 "$T/cut"
echo '{"prompt":3}' >"$T/bad"
run "$GPT2" eval golden --write "$T/y" "$T/bad"; error "no prompt" 4 "$T/bad:1" prompt
check "... and nothing is written" [ ! -e "$T/y" ]
run "$GPT2" eval piqa --max-kl 1 "$T/prompts"; error "an option of goldens" 2 golden
finish
