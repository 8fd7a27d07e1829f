#!/usr/bin/env bash
# Text and records as other tools write them: byte order marks, CRLF, UTF-16, nulls, other names of keys; and the one form of a result.
. "$(dirname "$0")/lib.bash"

bom=$'\xef\xbb\xbf'
greedy() { run timeout 60 "$GPT2" generate --greedy -n 8 "$@"; }
greedy "The sea"; cp "$T/out" "$T/expected"
same_text() { check "$1" eval 'quiet_success && [ -s $T/expected ] && same $T/out $T/expected'; }
printf '%sThe sea\n' "$bom" >"$T/bom"
printf 'The sea\r\n' >"$T/crlf"
printf '%sThe sea' "$bom" >"$T/bare"
greedy -f "$T/bom"; same_text "-f with a byte order mark"
greedy <"$T/bom"; same_text "stdin with a byte order mark"
greedy - <"$T/bare"; same_text "- with a byte order mark, no newline"
greedy -f "$T/crlf"; same_text "-f that ends in CRLF"
greedy <"$T/crlf"; same_text "stdin that ends in CRLF"
printf 'The sea\r' >"$T/cr"
greedy -f "$T/cr"; check "a lone carriage return is text" eval 'quiet_success && ! same $T/out $T/expected'
for form in UTF-16 UTF-16LE UTF-16BE UTF-32; do
  printf 'The sea\r\n' | iconv -f UTF-8 -t $form >"$T/wide"
  [ $form != UTF-32 ] || printf '\xff\xfe\0\0a\0\0\0' >"$T/wide"
  greedy -f "$T/wide"; error "-f of $form" 4 "$T/wide" "expected UTF-8, found ${form:0:6}"
  greedy <"$T/wide"; error "stdin of $form" 4 stdin "found ${form:0:6}"
  run "$GPT2" tokenize -f "$T/wide"; error "tokenize of $form" 4 "found ${form:0:6}"
  run timeout 60 "$GPT2" generate --jsonl <"$T/wide"
  check "--jsonl of $form: one failed record" eval 'status_is 6 && [ ! -s $T/err ] && (($(wc -l <$T/out) == 1)) && out_has "found ${form:0:6}"'
  run timeout 60 "$GPT2" generate --lines --shard 2/2 <"$T/wide"
  check "--lines of $form: in every shard" eval 'status_is 6 && (($(wc -l <$T/err) == 1)) && err_has "found ${form:0:6}"'
done
run "$GPT2" tokenize "The sea"; cp "$T/out" "$T/ids"
run "$GPT2" tokenize -f "$T/bare"; check "tokenize: a byte order mark is no token" eval 'quiet_success && same $T/out $T/ids'
printf '%s1,2' "$bom" | "$GPT2" detokenize >"$T/out"; "$GPT2" detokenize 1 2 >"$T/a"; check "detokenize with a byte order mark" same "$T/out" "$T/a"

lines() { run timeout 60 "$GPT2" generate --greedy -n 8 "$@"; }
lines --lines < <(printf 'The sea\nThe sea\n'); cp "$T/out" "$T/two"
lines --lines < <(printf '%sThe sea\r\nThe sea\r\n' "$bom"); check "--lines with a byte order mark and CRLF" eval 'quiet_success && same $T/out $T/two'
lines --lines < <(printf '%s' "$bom"); check "--lines of nothing but a mark" eval 'quiet_success && [ ! -s $T/out ]'
lines --null < <(printf 'The sea\0The sea\0'); cp "$T/out" "$T/two"
lines --null < <(printf '%sThe sea\0The sea' "$bom"); check "--null with a byte order mark" eval 'quiet_success && same $T/out $T/two'
lines --null < <(printf 'a\0b\0c\0'); check "--null of single letters is no UTF-16" eval 'quiet_success && (($(tr -cd "\\0" <$T/out | wc -c) == 3))'

r='{"prompt":"The sea","max_new_tokens":2,"seed":1}'
jsonl() { run timeout 60 "$GPT2" generate --jsonl "$@"; }
jsonl < <(printf '%s\n%s\n' "$r" "$r"); cp "$T/out" "$T/two"
jsonl < <(printf '%s%s\r\n%s\r\n' "$bom" "$r" "$r"); check "--jsonl with a byte order mark and CRLF" eval 'quiet_success && same $T/out $T/two'
jsonl -o - < <(printf '%s\n%s\n' "$r" "$r"); check "-o - is stdout" eval 'quiet_success && same $T/out $T/two && [ ! -e ./- ]'
jsonl -o - --resume <"$T/two"; error "-o - with --resume" 2 --resume --output
jsonl < <(printf '{"prompt":"The sea","tokens":null,"max_new_tokens":2.0,"seed":1.0,"id":null,"stop":null,"temperature":null,"greedy":null,"logit_bias":{"5":null}}\n%s\n' "$r")
check "null is as good as no key, 2.0 is 2" eval 'quiet_success && same $T/out $T/two'
# key KEY VALUE OPTION: a record with the key gives what the option gives.
key() {
  run timeout 60 "$GPT2" generate --jsonl < <(printf '{"prompt":"The sea","seed":1,"%s":%s}' "$1" "$2")
  cp "$T/out" "$T/a"
  run timeout 60 "$GPT2" generate --jsonl "$3" "${4:-${2//[\[\]\"]/}}" < <(printf '{"prompt":"The sea","seed":1}')
  check "key $1" eval 'quiet_success && out_has finish_reason && same $T/a $T/out'
}
for name in max_tokens max_completion_tokens n_predict num_predict predict; do key $name 3 -n; done
key temp 0.7 -T
key typical 0.5 --typical-p
key repeat_penalty 1.5 --repetition-penalty
key num_return_sequences 2 -N
key num_samples 2 -N
key no_repeat_ngram_size 1 --no-repeat-ngram
key min_tokens 5 --min-new-tokens
key stop_sequences '[" the"]' --stop " the"
key top_logprobs 2 --logprobs
bad() {
  local word=$3
  jsonl < <(printf '%s\n' "$2")
  check "$1" eval 'status_is 6 && out_has "$word"'
}
bad "the written key is named" '{"prompt":"a","temp":"x"}' '1:15: \"temp\": expected a number'
bad "... also where the model refuses" '{"prompt":"a","forbid_token":4096}' '\"forbid_token\": expected token ids from 0 to 4095, found 4096'
bad "two names of one option" '{"prompt":"a","max_tokens":1,"n_predict":2}' '\"n_predict\": expected each option once, found \"max_tokens\"'
bad "n is either" '{"prompt":"a","n":1}' '\"max_new_tokens\" is the length, \"samples\"'
bad "num_beams" '{"prompt":"a","num_beams":4}' 'there is no beam search'
bad "2.5 is no whole number" '{"prompt":"a","max_tokens":2.5}' 'expected a whole number'
bad "a lone surrogate" '{"prompt":"a\ud83d"}' 'a lone surrogate (\\ud83d)'
bad "a lone second half" '{"prompt":"a\ude00b"}' 'a lone surrogate (\\ude00)'
bad "a surrogate as bytes" "$(printf '{"prompt":"\xed\xa0\xbd"}')" 'a lone surrogate (as three bytes)'
jsonl < <(printf '{"prompt":"\\ud83d\\ude00","max_new_tokens":1}\n'); check "a pair is a character" eval 'quiet_success'
jsonl < <(printf '{"tokens":[0'; printf ',0%.0s' $(seq 300000); printf ']}\n')
check "too many values are counted before they are read" eval 'status_is 6 && out_has "expected at most 262144 values in a record"'
if ! sanitized && grep -q VmHWM /proc/self/status; then
  { printf '{"tokens":['; head -c 15000000 /dev/zero | tr '\0' '['; printf '\n{"prompt":"a","max_new_tokens":1}\n'; } >"$T/nested"
  run "$GPT2" generate --jsonl --stats=json <"$T/nested"
  check "15 MB of brackets take no more than 128 MB" eval 'status_is 6 && (($(json_number peak_rss_bytes $T/err) < 134217728))'
fi

# One form of a result: what a line of --jsonl has, --json has too, in the same order.
printf '{"prompt":"The sea","seed":5,"max_new_tokens":6,"logprobs":2}\n' | "$GPT2" generate --jsonl | sed 's/,"made_from":"[0-9a-f]*"//' >"$T/line"
run "$GPT2" generate --json -s 5 -n 6 --logprobs 2 "The sea"
check "--json is a line of --jsonl, and the times" eval 'line=$(cat $T/line) && [[ "$(cat $T/out)" == "${line%\}},\"prompt_tokens\":2,\"prompt_tokens_dropped\":0,\"completion_tokens\":6,\"timings\":{"* ]]'
check "log-probabilities have their token's text" grep -qE '"tokens":\[\{"token":[0-9]+,"text":"[^"]*","logprob":-[0-9.e-]+\}' "$T/out"
check "... and the likely ones" grep -qE '"top":\[\[\{"token":[0-9]+,"text":"[^"]*","logprob":-[0-9.e-]+\},\{"token"' "$T/out"
half=$("$GPT2" tokenize $'\xe6' | cut -d' ' -f1)
run "$GPT2" generate --json -n 1 --logprobs 0 --logit-bias "$half:1000" x
check "a token of no whole character has its bytes" out_has '"bytes":[230]'
for i in 1 2 3 4 5; do
  run "$GPT2" generate --json -n 1 x
  seed=$(json_number seed "$T/out")
  check "a drawn seed is below 2^53 ($seed)" [ "$seed" -lt 9007199254740992 ]
  run "$GPT2" generate --jsonl -s $i < <(printf '{"prompt":"x","max_new_tokens":1}')
  check "a record's too" [ "$(json_number seed "$T/out")" -lt 9007199254740992 ]
done

# The prompt's own log-probabilities, by evaluation's sum and by the engine's for the same tokens.
logprobs() { grep -o '"token_logprobs":[^]]*' "$1" | cut -d'[' -f2 | tr ',' '\n'; }
total() { awk '{ s -= $1 } END { printf "%.6f", s }'; }
printf 'The sea was blue and the captain looked at it' >"$T/text"
"$GPT2" generate --json -n 0 --logprobs 3 -f "$T/text" >"$T/out" 2>"$T/err"; status=$?
check "-n 0 --logprobs: one for each token, none for the first" \
  eval 'quiet_success && [ "$(logprobs $T/out | head -n 1)" = null ] && (($(logprobs $T/out | wc -l) == $("$GPT2" tokenize -f $T/text | wc -w)))'
"$GPT2" eval perplexity --json "$T/text" >"$T/eval"
check "... their sum is evaluation's" awk -v a="$(logprobs "$T/out" | tail -n +2 | total)" -v b="$(json_number nll "$T/eval")" 'BEGIN { exit !(b > 1 && a - b < 1e-3 && b - a < 1e-3) }'
printf '{"prompt":"%s","max_new_tokens":0,"logprobs":3}\n' "$(cat "$T/text")" | "$GPT2" generate --jsonl >"$T/line"
check "... and a record's are the same" [ "$(logprobs "$T/line")" = "$(logprobs "$T/out")" ]
run "$GPT2" generate --json --greedy -n 12 --logprobs 5 "The sea"
ids="$("$GPT2" tokenize "The sea" | tr ' ' ',' | tr -d '\n'),$(grep -o '"tokens":\[[0-9,]*' "$T/out" | head -n 1 | cut -d'[' -f2)"
logprobs "$T/out" >"$T/generated"
run "$GPT2" generate --json -n 0 --logprobs 5 --tokens "$ids"
logprobs "$T/out" | tail -n 12 >"$T/scored"
check "tokens have one log-probability, generated or scored" eval '(($(grep -c . $T/generated) == 12)) && same $T/generated $T/scored'

# The end of one text.
run "$GPT2" generate --greedy -n 3 "The sea"; check "one text in a pipe ends with a newline" [ "$(tail -c 1 "$T/out" | od -An -c | tr -d ' ')" = '\n' ]
cp "$T/out" "$T/a"
run "$GPT2" generate --greedy -n 3 --no-newline "The sea"; check "--no-newline: without" eval 'quiet_success && same <(cat $T/out; echo) $T/a'
newline=$("$GPT2" tokenize $'\n')
run "$GPT2" generate --greedy -n 2 --logit-bias "$newline:1000" x; check "a newline of the text is enough" out_is $'\n\n'
run "$GPT2" generate --no-newline -N 2 x; error "--no-newline of many" 2 --no-newline

# Numbers as Python writes them: whole ones that no integer holds, and words that JSON does not have.
cp -r "$BOOKS" "$T/books"
echo '{"model_max_length":1000000000000000019884624838656,"x":[-123456789012345678901,"9999999999999999999999"]}' >"$T/books/tokenizer_config.json"
run "$GPT2" convert "$T/books" "$T/long"; check "a tokenizer_config.json without a longest text" eval '((status == 0)) && [ -s $T/long ]'
echo '{"eos_token_id":NaN}' >"$T/books/generation_config.json"
run "$GPT2" convert "$T/books" "$T/nan"; error "a NaN is named" 3 generation_config.json "NaN, which JSON does not have"
printf '%s\n' '{"prompt":"a","stop":NaN}' '{"prompt":"a","temperature":-Infinity}' '{"id":12345678901234567890123,"prompt":"a"}' >"$T/numbers"
run "$GPT2" generate --jsonl -s 1 -f "$T/numbers"
check "numbers in records that JSON does not have, or no integer" eval 'status_is 6 && out_has ":1:22: expected valid JSON, found NaN" &&
  out_has ":2:30: expected valid JSON, found Infinity" && out_has "expected a string or a whole number"'

# Files that were joined, and a record that never ends.
printf '%s%s\n%s%s\n' "$bom" '{"prompt":"a","max_new_tokens":1}' "$bom" '{"prompt":"b","max_new_tokens":1}' >"$T/joined"
run "$GPT2" generate --jsonl -s 1 -f "$T/joined"; check "a byte order mark before a later record" eval 'quiet_success && (($(wc -l <$T/out) == 2))'
run timeout -s INT -k 30 1 "$GPT2" generate --jsonl -f /dev/zero; check "Ctrl-C ends a record without an end" status_is 124
cp -r "$BOOKS" "$T/kind"; sed -zi 's/"architectures": *\[[^]]*\]/"architectures": "GPT2LMHeadModel"/' "$T/kind/config.json"
run "$GPT2" convert -q "$T/kind" "$T/kind.gpt2"; check "architectures that are no list" quiet_success
finish
