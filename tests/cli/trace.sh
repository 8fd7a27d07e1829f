#!/usr/bin/env bash
# gpt2 trace: the table, the tensors, the drawing, and what it refuses.
. "$(dirname "$0")/lib.bash"

run "$GPT2" trace "The old captain said"
check "a table" eval 'quiet_success && out_has "h.3.attn.probabilities  [3, 4, 4]" && out_has "logits" && (($(wc -l <$T/out) == 52))'
run "$GPT2" trace -o "$T/a.safetensors" --svg "$T/a.svg" --heads 0.1,3.2 "The <old> captain said \"no\""
check "-o and --svg" eval 'quiet_success && [ ! -s $T/out ]'
check "the tensors are named" eval 'head -c 9000 $T/a.safetensors | grep -aqE "\"h.2.mlp.inner\":.\"dtype\":\"F32\",\"shape\":.[0-9]+,768\]"'
check "... and the tokens are there" eval 'head -c 600 $T/a.safetensors | grep -aqF "token_texts"'
check "the drawing has both heads" eval 'grep -q "layer 0, head 1<" $T/a.svg && grep -q "layer 3, head 2<" $T/a.svg'
check "... dark and light, its tokens escaped, and loads nothing" \
  eval 'grep -q prefers-color-scheme $T/a.svg && grep -q "&lt;" $T/a.svg && ! grep -q "<old" $T/a.svg && ! grep -qE "href|<script|url\(" $T/a.svg'
cp "$T/a.safetensors" "$T/b.safetensors"
printf 'The <old> captain said "no"\n' >"$T/prompt"
run "$GPT2" trace -t 1 --force -o "$T/a.safetensors" -f "$T/prompt"
check "-f, --force: the same bytes" eval 'quiet_success && same $T/a.safetensors $T/b.safetensors'
run "$GPT2" trace --bos "The"; check "--bos" eval 'quiet_success && out_has "embedding               [2, 192]"'
run "$GPT2" trace -o "$T/a.safetensors" x; error "a file that is there" 2 --force
run "$GPT2" trace --heads 0.1 x; error "heads without a drawing" 2 --svg
run "$GPT2" trace --svg "$T/x" --heads 4.0 x; error "a layer that there is not" 2 "below 4"
run "$GPT2" trace --svg "$T/x" --heads 0.3 x; error "a head that there is not" 2 "below 3"
for wrong in 1 1. .1 1.1x a.b ""; do run "$GPT2" trace --svg "$T/x" --heads "$wrong" x; error "--heads \"$wrong\"" 2 --heads; done
run "$GPT2" trace ""; error "no token" 4 "found 0"
run "$GPT2" trace "$(printf 'sea %.0s' $(seq 300))"; error "more tokens than positions" 4 256
run "$GPT2" trace --svg "$T/x" "$(printf 'sea %.0s' $(seq 140))"; error "more tokens than a drawing has" 4 128
check "... and nothing is written" [ ! -e "$T/x" ]
run "$GPT2" trace -o "$T/prompt" --force -f "$T/prompt"; error "the output is not the input" 2 "$T/prompt"
finish
