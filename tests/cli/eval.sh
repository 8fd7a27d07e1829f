#!/usr/bin/env bash
# gpt2 eval perplexity: figures, definition, and what it refuses.
. "$(dirname "$0")/lib.bash"

text=$T/text
for i in 1 2 3 4 5 6 7 8; do echo "The captain looked at the sea, and said nothing for $i minutes; then he went below."; done >"$text"
"$GPT2" convert -q "$BOOKS" "$T/f32"
"$GPT2" convert -q --dtype int4 "$BOOKS" "$T/int4"

run "$GPT2" eval perplexity "$text"
check "the built-in model" eval 'quiet_success && out_has "token perplexity" && out_has "bits per byte" && out_has "exp(NLL / words)"'
run "$GPT2" eval perplexity -m "$T/f32" --json "$text"
check "--json" eval 'quiet_success && (($(wc -l <$T/out) == 1)) && out_has "\"dtype\":\"f32\"" && out_has "\"window\":256,\"stride\":128"'
check "words and bytes are wc's" [ "$(json_number words "$T/out") $(json_number bytes "$T/out")" = "$(wc -w <"$text") $(wc -c <"$text" )" ]
check "all tokens but the first are scored" [ "$(json_number tokens "$T/out")" = $(($("$GPT2" tokenize -f "$text" | wc -w) - 1)) ]
check "the figures follow from the likelihood" awk -v nll="$(json_number nll "$T/out")" -v tokens="$(json_number tokens "$T/out")" \
  -v words="$(json_number words "$T/out")" -v bytes="$(json_number bytes "$T/out")" -v a="$(json_number token_perplexity "$T/out")" \
  -v b="$(json_number word_perplexity "$T/out")" -v c="$(json_number bits_per_byte "$T/out")" '
  function off(x, y) { return x / y > 1.00001 || x / y < 0.99999 }
  BEGIN { exit !(a > 1) || off(a, exp(nll / tokens)) || off(b, exp(nll / words)) || off(c, nll / log(2) / bytes) }'
nll=$(json_number nll "$T/out")
run "$GPT2" eval perplexity -m "$T/f32" --json - <"$text"
check "- is stdin" [ "$(json_number nll "$T/out")" = "$nll" ]
nll=$(json_number nll "$T/out")
run "$GPT2" eval perplexity --bos -m "$T/f32" --json "$text"
check "--bos scores every token" [ "$(json_number tokens "$T/out")" = "$("$GPT2" tokenize -f "$text" | wc -w)" ]
printf '!' >"$T/mark"
printf 'The sea was blue.' >"$T/sentence"
near() { awk -v a="$(json_number nll "$T/out")" -v b="$1" 'BEGIN { exit !(a - b < 1e-4 && b - a < 1e-4) }'; }
run "$GPT2" eval perplexity --bos -m "$T/f32" --json "$T/mark"; check "--bos: one token (numpy's value)" near 11.24887
run "$GPT2" eval perplexity --bos -m "$T/f32" --json "$T/sentence"; check "--bos: a sentence (numpy's value)" near 19.100421
cp "$T/out" "$T/bos"
{ printf '\xef\xbb\xbf'; cat "$T/sentence"; } >"$T/marked"
run "$GPT2" eval perplexity --bos -m "$T/f32" --json "$T/marked"
check "a byte order mark is no text" [ "$(json_number nll "$T/out") $(json_number bytes "$T/out")" = "$(json_number nll "$T/bos") $(json_number bytes "$T/bos")" ]
iconv -f UTF-8 -t UTF-16 "$T/sentence" >"$T/utf16"
run "$GPT2" eval perplexity "$T/utf16"; error "UTF-16 is named" 4 "$T/utf16" "found UTF-16"
for threads in 1 3; do
  run "$GPT2" eval perplexity -t $threads -m "$T/f32" --json "$text"
  check "-t $threads: the same figure" [ "$(json_number nll "$T/out")" = "$nll" ]
done
GPT2_ISA=scalar run "$GPT2" eval perplexity -m "$T/f32" --json "$text"
check "scalar kernels: the same figure" [ "$(json_number nll "$T/out")" = "$nll" ]
run "$GPT2" eval perplexity -m "$T/f32" --window 16 --stride 4 --json "$text"
check "--window, --stride" eval 'quiet_success && out_has "\"window\":16,\"stride\":4" && [ "$(json_number nll $T/out)" != "$nll" ]'

run "$GPT2" eval perplexity -m "$T/int4" --against "$BOOKS" --json "$text"
check "--against" eval 'quiet_success && out_has "\"dtype\":\"int4+int8\"" && out_has "\"against_dtype\":\"f32\""'
check "... int4 is near f32, not it" awk -v mean="$(json_number kl_mean "$T/out")" -v max="$(json_number kl_max "$T/out")" \
  -v same="$(json_number top1_agreement "$T/out")" 'BEGIN { exit !(mean > 1e-4 && mean < 0.1 && max > mean && same > 0.7 && same < 1) }'
run "$GPT2" eval perplexity -m "$T/f32" --against "$T/f32" --json "$text"
check "... a model is itself" eval 'out_has "\"kl_mean\":0," && out_has "\"kl_max\":0," && out_has "\"top1_agreement\":1,"'
run "$GPT2" eval perplexity -m "$T/int4" --against "$T/f32" "$text"
check "... as a table" eval 'quiet_success && out_has "top-1 agreement" && out_has "nats"'

cp -r "$BOOKS" "$T/other"
last=$(tail -n 1 "$BOOKS/merges.txt" | tr -d ' ')
id=$("$GPT2" tokenize -m "$BOOKS" "${last/Ġ/ }")
sed -i '$d' "$T/other/merges.txt"
sed -i "s/\"$last\"/\"${last}zqz\"/" "$T/other/vocab.json"
: >"$T/empty"
printf a >"$T/one"
printf ' \n' >"$T/blank"
run "$GPT2" eval; error "nothing to measure" 2 perplexity
run "$GPT2" eval bleu "$text"; error "an unknown measure" 2 bleu perplexity
run "$GPT2" eval perplexity; error "no file" 2 FILE
run "$GPT2" eval perplexity "$text" "$text"; error "two files" 2 FILE
run "$GPT2" eval perplexity "$T/none"; error "a missing file" 1 "$T/none"
run "$GPT2" eval perplexity "$T/empty"; error "an empty file" 4 "$T/empty" "found 0"
run "$GPT2" eval perplexity "$T/one"; error "one token" 4 "$T/one" "found 1" --bos
run "$GPT2" eval perplexity --bos "$T/empty"; error "--bos: an empty file" 4 "$T/empty" "found 0"
run "$GPT2" eval perplexity --window 257 "$text"; error "a window past the context" 2 --window 256 257
run "$GPT2" eval perplexity --window 1 "$text"; error "a window of one token" 2 --window
run "$GPT2" eval perplexity --stride 256 "$text"; error "a stride as long as the window" 2 --stride 255 256
run "$GPT2" eval perplexity --stride 0 "$text"; error "a stride of nothing" 2 --stride
run "$GPT2" eval perplexity --against "$T/none" "$text"; error "a missing reference" 3 "$T/none"
run "$GPT2" eval perplexity --against "$T/other" "$text"; error "a reference with another tokenizer" 3 "$T/other" "token $id on"
run "$GPT2" eval perplexity "$T/blank"
check "a text without words" eval '((status == 4)) || out_has "no words"'
finish
