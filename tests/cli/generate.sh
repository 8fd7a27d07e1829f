#!/usr/bin/env bash
# gpt2 generate: prompts from everywhere, seeds, ends, JSON.
. "$(dirname "$0")/lib.bash"

greedy() { run "$GPT2" generate --greedy -n 12 "$@"; }
same_text() { check "$1" eval 'quiet_success && [ -s $T/expected ] && same $T/out $T/expected'; }

greedy "The old captain said"
check "a prompt" eval 'quiet_success && [ -s $T/out ]'
check "the prompt is not echoed into a pipe" eval '[ -s $T/out ] && ! out_has captain'
cp "$T/out" "$T/expected"
greedy < <(printf 'The old captain said\n'); same_text "stdin, one final newline dropped"
greedy < <(printf 'The old captain said'); same_text "stdin without a final newline"
greedy - < <(printf 'The old captain said\n'); same_text "- is stdin"
greedy - " said" < <(printf 'The old captain\n'); same_text "- between texts"
printf 'The old captain said\n' >"$T/prompt"
greedy -f "$T/prompt" </dev/null; same_text "-f FILE"
greedy -f - <"$T/prompt"; same_text "-f -"
greedy -f <(cat "$T/prompt"); same_text "-f of a pipe"
ids=$("$GPT2" tokenize "The old captain said")
greedy --tokens "$ids" </dev/null; same_text "--tokens with spaces"
greedy --tokens "${ids// /,}" </dev/null; same_text "--tokens with commas"
greedy --tokens="[${ids// /, }]" </dev/null; same_text "--tokens in brackets"
greedy -t 1 "The old captain said"; same_text "one thread"
greedy -t 3 "The old captain said"; same_text "three threads"
greedy -m "$BOOKS" "The old captain said"; same_text "a checkpoint directory"
GPT2_MODEL=$BOOKS greedy "The old captain said"; same_text "GPT2_MODEL"
GPT2_MODEL='' greedy "The old captain said"; same_text "an empty GPT2_MODEL is none"
greedy --echo always "The old captain said"
check "--echo always" eval 'quiet_success && [ "$(cat $T/out)" = "The old captain said$(cat $T/expected)" ]'
{ read -r first; "$GPT2" generate -n 1 --greedy x >/dev/null; read -r second; } < <(printf 'a\nb\n')
check "a given prompt leaves stdin alone" [ "$first$second" = ab ]

greedy "The sea" "The sky"; error "two prompts" 2 quotes
greedy - - </dev/null; error "stdin twice" 2 stdin
greedy -f "$T/prompt" x; error "a prompt and a file" 2 --file
greedy --tokens 1 x; error "a prompt and --tokens" 2 --tokens
greedy -f "$T/none"; error "no such prompt file" 1 "$T/none" "No such file"
greedy -f "$T"; error "a directory as prompt file" 1 "$T"
greedy -f /dev/zero; error "an endless prompt file" 4 /dev/zero
greedy --tokens "1,99999"; error "a token that does not exist" 4 --tokens 99999
greedy --tokens "1,-2"; error "a negative token" 4 --tokens -2
greedy --tokens "1 a"; error "a token that is no number" 4 '"a"'
greedy "$(yes word | head -n 3000)"; error "a prompt longer than the context" 4 "the prompt has" 256
greedy -m "$T/none" x; error "no such model" 3 "$T/none"
greedy -m "$T/prompt" x; error "a model that is none" 3 "$T/prompt"
greedy -m "$T" x; error "a directory without a checkpoint" 3 config.json
cp -r "$BOOKS" "$T/nan"
weights=$T/nan/model.safetensors
data=$((8 + $(od -An -t u8 -N 8 "$weights")))
for at in $data $(($(stat -c %s "$weights") - 2)); do
  printf '\x00\x7e' | dd of="$weights" bs=1 seek="$at" conv=notrunc 2>/dev/null
done
greedy -m "$T/nan" x; error "weights that are not numbers" 3 "$T/nan" "not finite"
mkfifo "$T/fifo"
greedy -m "$T/fifo" x; error "a FIFO as model" 3 "$T/fifo"

run "$GPT2" generate --greedy -n 0 x
check "-n 0 only computes the prompt" eval 'quiet_success && [ ! -s $T/out ]'
run "$GPT2" generate -n 5 "" </dev/null
check "the empty prompt starts from the BOS token" eval 'quiet_success && [ -s $T/out ]'
run "$GPT2" generate --json -n 5 "" </dev/null
check "... which is one token" [ "$(json_number prompt_tokens "$T/out")" = 1 ]
run "$GPT2" generate --json --special -n 1 "<|endoftext|>"
check "--special" [ "$(json_number prompt_tokens "$T/out")" = 1 ]
run "$GPT2" generate --json -n 1 "<|endoftext|>"
check "without --special it is text" [ "$(json_number prompt_tokens "$T/out")" -gt 1 ]

run "$GPT2" generate -s 7 -n 40 "It was"; cp "$T/out" "$T/expected"
run "$GPT2" generate -s 7 -n 40 -t 2 "It was"; same_text "the same seed, the same text"
run "$GPT2" generate -s 8 -n 40 "It was"
check "another seed, another text" eval '! same $T/out $T/expected'
run "$GPT2" generate --json -n 40 "It was"
seed=$(json_number seed "$T/out")
tokens=$(grep -o '"tokens":[^]]*]' "$T/out")
run "$GPT2" generate --json -s "$seed" -n 40 "It was"
check "the reported seed repeats a random run" [ "$(grep -o '"tokens":[^]]*]' "$T/out")" = "${tokens:-none}" ]
run "$GPT2" generate -s 18446744073709551615 -n 2 x; check "the largest seed" quiet_success
run "$GPT2" generate -s 7 -n 20 --top-k 0 --top-p 0 "It was"; cp "$T/out" "$T/expected"
run "$GPT2" generate --greedy -n 20 "It was"; same_text "--top-p 0 is greedy"
run "$GPT2" generate -s 7 -n 20 --top-k 1 "It was"; same_text "--top-k 1 is greedy"
run "$GPT2" generate -s 7 -n 20 --min-p 1 "It was"; same_text "--min-p 1 is greedy"
run "$GPT2" generate --kv-dtype f16 -n 20 "It was"; check "--kv-dtype f16" quiet_success

run "$GPT2" generate --json --ignore-eos -n 1000 "Once upon"
check "the end of the context is an end" out_has '"finish_reason":"context"'
check "... and all of it is used" [ "$(($(json_number prompt_tokens "$T/out") + $(json_number completion_tokens "$T/out")))" = 257 ]
run "$GPT2" generate --json -n 3 "Once upon"
check "finish_reason length" out_has '"finish_reason":"length"'
check "JSON is one line" [ "$(wc -l <"$T/out")" = 1 ]
for key in text tokens finish_reason prompt_tokens completion_tokens seed timings load_ms prefill_ms decode_ms \
  prefill_tokens_per_s decode_tokens_per_s; do
  check "JSON has $key" out_has "\"$key\":"
done
eos=""
for seed in $(seq 1 60); do
  run "$GPT2" generate --json -s "$seed" --top-k 0 -T 1.5 -n 250 ""
  if out_has '"finish_reason":"eos"'; then eos=$seed; break; fi
done
if [ -n "$eos" ]; then
  check "the end-of-text token is a token" eval 'grep -qE "(\[|,)4095\],\"finish_reason\"" $T/out'
  check "... and no text" eval '! out_has endoftext'
  run "$GPT2" generate --json -s "$eos" --top-k 0 -T 1.5 -n 250 --ignore-eos ""
  check "--ignore-eos goes on" eval '! out_has "\"finish_reason\":\"eos\""'
else
  skip "the end-of-text token" "no seed of 60 reached it"
fi
if python3 -c 'import json' 2>/dev/null; then
  for seed in 1 2 3 4 5; do
    run "$GPT2" generate --json -s $seed -T 50 --top-k 0 -n 100 "$(printf 'caf\xc3\xa9 \xff "q"')"
    check "JSON parses (wild text, seed $seed)" python3 -c '
import json, sys
r = json.loads(open(sys.argv[1], encoding="utf-8", errors="strict").read())
assert isinstance(r["text"], str) and len(r["tokens"]) == r["completion_tokens"] == 100' "$T/out"
  done
else
  skip "JSON parses" "no python3"
fi

run "$GPT2" generate --greedy -n 12 --stats "It was"
check "--stats is for stderr" eval '((status == 0)) && err_has prefill && err_has seed && ! out_has prefill'
run "$GPT2" generate --greedy -n 12 --stats=json "It was"
for key in load_ms first_token_ms prefill_tokens_per_s decode_tokens_per_s peak_rss_bytes threads kernels seed; do
  check "--stats=json has $key" err_has "\"$key\":"
done

if sanitized; then
  skip "memory of a run" "AddressSanitizer's own is more"
else
  "$GPT2" convert -q "$BOOKS" "$T/model.gpt2"
  run "$GPT2" generate -n 1 --stats=json -m "$T/model.gpt2" x
  peak=$(json_number peak_rss_bytes "$T/err") size=$(stat -c %s "$T/model.gpt2")
  check "memory beyond the mapped file is under 16 MiB ($(((${peak:-0} - size) / 1024)) KiB)" [ $((${peak:-999999999} - size)) -lt $((16 << 20)) ]
fi
finish
