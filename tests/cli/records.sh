#!/usr/bin/env bash
# gpt2 generate with many prompts: every format, order, bad records, resumption, shards.
. "$(dirname "$0")/lib.bash"

many() { run timeout 120 "$GPT2" generate "$@"; }
without_index() { sed 's/"index":[0-9]*,//' "$1"; }

# Records of all kinds: long and short, shared beginnings, greedy and drawn, several samples.
shared="It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of light"
for i in $(seq 0 39); do
  case $((i % 4)) in
    0) echo "{\"id\":\"r$i\",\"prompt\":\"The sea $i\",\"max_new_tokens\":$((i % 9 + 1)),\"seed\":$i}" ;;
    1) echo "{\"id\":\"r$i\",\"prompt\":\"$shared, $i\",\"greedy\":true,\"max_new_tokens\":6,\"seed\":$i}" ;;
    2) echo "{\"id\":\"r$i\",\"tokens\":[$((i + 20)),300,301],\"samples\":3,\"temperature\":1.3,\"top_p\":0.9,\"max_new_tokens\":7,\"seed\":$i}" ;;
    3) echo "{\"id\":\"r$i\",\"prompt\":\"$shared\",\"stop\":[\" the\",\",\"],\"logprobs\":2,\"max_new_tokens\":20,\"seed\":$i}" ;;
  esac
done >"$T/in"
many --jsonl <"$T/in"
check "JSONL" eval 'quiet_success && (($(wc -l <$T/out) == 60))'
cp "$T/out" "$T/whole"
check "results are in order" [ "$(grep -o '"index":[0-9]*' "$T/whole" | cut -d: -f2 | uniq | tr '\n' ' ')" = "$(seq 0 39 | tr '\n' ' ')" ]
for batch in 1 3 16; do
  many --jsonl --batch $batch -f "$T/in"; check "--batch $batch gives the same bytes" eval 'quiet_success && same $T/out $T/whole'
done
many --jsonl --kv-memory 1K --batch 8 <"$T/in"; check "the least cache gives the same bytes" eval 'quiet_success && same $T/out $T/whole'
many --jsonl --draft-lookup --spec force <"$T/in"; check "speculation gives the same bytes" eval 'quiet_success && same $T/out $T/whole'
while IFS= read -r line; do printf '%s\n' "$line" | "$GPT2" generate --jsonl; done <"$T/in" >"$T/alone"
without_index "$T/alone" >"$T/a"; without_index "$T/whole" >"$T/b"
check "each record alone gives the same bytes" same "$T/a" "$T/b"
many --jsonl --unordered --batch 5 <"$T/in"
sort "$T/out" >"$T/a"; sort "$T/whole" >"$T/b"
check "--unordered gives the same set" eval 'quiet_success && same $T/a $T/b'
for i in 1 2 3; do "$GPT2" generate --jsonl --shard $i/3 <"$T/in"; done | sort >"$T/a"
check "three shards give the same set" same "$T/a" "$T/b"
if command -v parallel >/dev/null; then
  parallel --will-cite -j 2 "$GPT2" generate -t 1 --jsonl --shard {}/2 -f "$T/in" ::: 1 2 2>/dev/null | sort >"$T/a"
  check "two shards under GNU parallel give the same set" same "$T/a" "$T/b"
else
  skip "two shards under GNU parallel" "no parallel here"
fi

# Seeds: a record's own repeats it alone.
printf 'The sea\nThe sky\n' >"$T/lines"
many --lines --json -s 9 -n 12 -N 2 -f "$T/lines"
seed=$(sed -n 3p "$T/out" | grep -o '"seed":[0-9]*' | cut -d: -f2)
grep '"index":1,' "$T/out" | grep -o '"tokens":[^]]*' >"$T/a"
run "$GPT2" generate --json -s "$seed" -n 12 -N 2 "The sky"
grep -o '"tokens":[^]]*' "$T/out" >"$T/b"
check "-s with a record's seed repeats it" eval '[ -s $T/a ] && same $T/a $T/b'
many --lines --json --shard 2/2 -s 9 -n 12 -N 2 -f "$T/lines"
check "a shard's records keep their seeds" eval '(($(wc -l <$T/out) == 2)) && out_has "\"seed\":$seed"'
many --lines --json --on-overflow slide --keep 5 -n 400 --ignore-eos -s 9 -N 2 -f "$T/lines"
seed=$(sed -n 3p "$T/out" | grep -o '"seed":[0-9]*' | cut -d: -f2)
grep '"index":1,' "$T/out" | grep -o '"tokens":[^]]*' >"$T/a"
run "$GPT2" generate --json --on-overflow slide --keep 5 -n 400 --ignore-eos -s "$seed" -N 2 "The sky"
grep -o '"tokens":[^]]*' "$T/out" >"$T/b"
check "slide: one prompt and many give the same" eval '(($(tr -cd , <$T/a | wc -c) == 798)) && same $T/a $T/b'
run "$GPT2" generate --on-overflow slide --keep 128 x; error "--keep of half the context" 2 --keep "found 128"

# Text formats.
printf 'The sea\r\n\nThe sky' >"$T/lines"
many --lines --greedy -n 4 -f "$T/lines"
check "--lines: a line each, the empty and the unended too" eval 'quiet_success && (($(wc -l <$T/out) == 3))'
check "... as the prompt alone" [ "$(sed -n 3p "$T/out")" = "$("$GPT2" generate --greedy -n 4 "The sky")" ]
"$GPT2" generate --json --greedy -n 4 "The sea" | grep -o '"tokens":[^]]*' >"$T/a"
many --lines --json --greedy -n 4 -f "$T/lines"
check "--lines: CRLF ends a line as LF does" [ "$(head -n 1 "$T/out" | grep -o '"tokens":[^]]*')" = "$(cat "$T/a")" ]
newline=$("$GPT2" tokenize $'\n')
run timeout 60 "$GPT2" generate --lines --greedy -n 2 --logit-bias "$newline:1000" < <(echo x)
check "--lines escapes newlines" out_is '\n\n'$'\n'
run timeout 60 "$GPT2" generate -0 --greedy -n 2 --logit-bias "$newline:1000" < <(printf 'x\0y')
check "--null gives them raw" [ "$(od -An -c "$T/out" | tr -d ' ')" = '\n\n\0\n\n\0' ]
many --lines -N 3 -n 2 -s 1 -f "$T/lines"; check "-N 3: three lines a record" eval '(($(wc -l <$T/out) == 9))'
yes word | head -n 3000 | tr '\n' ' ' >"$T/long"
{ cat "$T/long"; printf '\nThe sky\n'; } >"$T/lines"
many --lines --greedy -n 4 -f "$T/lines"
check "--lines: a bad record is an empty line, status 6" \
  eval 'status_is 6 && [ -z "$(head -n 1 $T/out)" ] && (($(wc -l <$T/out) == 2)) && (($(wc -l <$T/err) == 1)) && err_has "$T/lines:1: the prompt has"'
many --jsonl </dev/null; check "no record" eval 'quiet_success && [ ! -s $T/out ]'

# Bad records, each in its place.
bad() {
  printf '{"prompt":"a","max_new_tokens":1,"seed":1}\n  \n%s\n{"prompt":"b","max_new_tokens":1,"seed":1}' "$2" >"$T/bad"
  many --jsonl <"$T/bad"
  if ((status == 6)) && (($(wc -l <"$T/out") == 3)) && [ ! -s "$T/err" ] && [ "$(grep -c '"error"' "$T/out")" = 1 ] &&
    sed -n 2p "$T/out" | grep -qF -- "\"message\":\"stdin:3:$3" && sed -n 2p "$T/out" | grep -qF -- "${4:-error}"; then
    ok "bad record: $1"
  else
    not_ok "bad record: $1" "status $status: $(sed -n 2p "$T/out")"
  fi
}
bad "no JSON" 'hello' '1: expected valid JSON'
bad "JSON that breaks off" '{"prompt":"a"' '14: expected valid JSON'
bad "JSON and more" '{"prompt":"a"} x' '16: expected valid JSON'
bad "no object" '[1]' '1: expected an object, found an array'
bad "unknown key" '{"prompt":"a","top_q":3}' '15: unknown key'
bad "duplicate key" '{"prompt":"a","prompt":"b"}' '15: expected each key once'
bad "both" '{"prompt":"a","tokens":[1]}' '2: expected a \"prompt\" or \"tokens\" or both \"prefix\" and \"suffix\", found \"prompt\" and \"tokens\"'
bad "neither" ' {"seed":1}' '2: expected a \"prompt\" or \"tokens\" (or a \"prefix\" and a \"suffix\"), found none'
bad "string for a number" '{"prompt":"a","top_k":"abc"}' '15: \"top_k\": expected a whole number'
bad "number in a string" '{"prompt":"a","top_k":"5"}' '15: \"top_k\"'
bad "fraction" '{"prompt":"a","max_new_tokens":1.5}' '15: \"max_new_tokens\"'
bad "out of range" '{"prompt":"a","top_p":1.5}' '15: \"top_p\": expected a number from 0 to 1, found the number 1.5'
bad "number for a flag" '{"prompt":"a","greedy":1}' '15: \"greedy\": expected true or false'
bad "number for text" '{"prompt":"a","stop":3}' '15: \"stop\"'
bad "no such word" '{"prompt":"a","on_overflow":"maybe"}' '15: \"on_overflow\": expected one of'
bad "null is no prompt" '{"prompt":null}' '1: expected a \"prompt\" or \"tokens\" (or a \"prefix\" and a \"suffix\"), found none'
bad "id that is neither" '{"id":1.5,"prompt":"a"}' '2: \"id\": expected a string or a whole number'
bad "token out of range" '{"tokens":[1,4096]}' '2: \"tokens\": expected token ids from 0 to 4095'
bad "forbidden token out of range" '{"prompt":"a","forbid_token":[1,99999]}' '15: \"forbid_token\": expected token ids from 0 to 4095, found 99999'
bad "logit_bias" '{"prompt":"a","logit_bias":{"5":"x"}}' '29: \"logit_bias\"'
bad "keep" '{"prompt":"a","keep":128}' '15: \"keep\": expected less than half'
bad "logprobs" '{"prompt":"a","logprobs":21}' '15: \"logprobs\"'
bad "too long a prompt" "{\"id\":7,\"prompt\":\"$(cat "$T/long")\"}" '9: the prompt has'
bad "its id is told" '{"id":"me","prompt":3}' '12: \"prompt\"' '{"id":"me","index":1,"error":{"code":4,'
bad "invalid UTF-8" "$(printf '{"prompt":"\xff"}')" '12: expected valid JSON'
{ printf '{"prompt":"'; head -c 70000000 /dev/zero | tr '\0' a; printf '"}\n{"prompt":"b","max_new_tokens":1}'; } | "$GPT2" generate --jsonl >"$T/out" 2>"$T/err"
status=$?
check "bad record: 70 MB, and the run goes on" eval 'status_is 6 && (($(wc -l <$T/out) == 2)) && out_has "stdin:1:1: expected at most 16777216 bytes"'

# Every key is understood, and does what its option does.
key() {
  printf '{"prompt":"The old captain said","seed":5,"max_new_tokens":12,%s}' "$1" | "$GPT2" generate --jsonl 2>"$T/err" | grep -o '"tokens":[^]]*' >"$T/a"
  shift
  "$GPT2" generate --json -s 5 -n 12 "$@" "The old captain said" | grep -o '"tokens":[^]]*' >"$T/b"
  check "key of $*" eval '[ -s $T/a ] && same $T/a $T/b'
}
key '"temperature":0.7' -T 0.7
key '"top_k":3' --top-k 3
key '"top_p":0.5' --top-p 0.5
key '"min_p":0.1' --min-p 0.1
key '"typical_p":0.5' --typical-p 0.5
key '"repetition_penalty":1.5' --repetition-penalty 1.5
key '"frequency_penalty":1.5' --frequency-penalty 1.5
key '"presence_penalty":-1.5' --presence-penalty -1.5
key '"no_repeat_ngram":1' --no-repeat-ngram 1
key '"min_new_tokens":12' --min-new-tokens 12
key '"logit_bias":{"300":5,"301":-2.5}' --logit-bias 300:5 --logit-bias 301:-2.5
key '"forbid_token":[13,11]' --forbid-token 13 --forbid-token 11
key '"greedy":true' --greedy
key '"samples":2' -N 2
key '"stop":" the"' --stop " the"
key '"stop":["a"],"include_stop":true' --stop a --include-stop
key '"ignore_eos":true' --ignore-eos
key '"special":true' --special
key '"on_overflow":"slide","keep":3' --on-overflow slide --keep 3
key '"on_overflow":"truncate-left"' --on-overflow truncate-left
printf '{"prompt":"x","greedy":false,"stop":[],"max_new_tokens":3,"seed":4}' | "$GPT2" generate --jsonl --greedy --stop e | grep -o '"tokens":[^]]*' >"$T/a"
"$GPT2" generate --json -n 3 -s 4 x | grep -o '"tokens":[^]]*' >"$T/b"
check "a record takes back what the command line says" same "$T/a" "$T/b"

# A slow writer: the first result is there before the second prompt.
mkfifo "$T/fifo"
"$GPT2" generate --jsonl -f "$T/fifo" >"$T/out" 2>"$T/err" & pid=$!
exec 9>"$T/fifo"
echo '{"prompt":"a","max_new_tokens":2}' >&9
for _ in $(seq 400); do [ -s "$T/out" ] && break; sleep 0.02; done
check "the first result comes before the second prompt is written" eval '(($(wc -l <$T/out) == 1))'
printf '{"prompt":"b","max' >&9; sleep 0.2; printf '_new_tokens":2}' >&9
exec 9>&-
wait $pid; status=$?
check "... a prompt may come in pieces" eval 'quiet_success && (($(wc -l <$T/out) == 2))'

# Files of results.
many --jsonl -o "$T/results" -f "$T/in"; check "-o" eval 'quiet_success && [ ! -s $T/out ] && same $T/results $T/whole'
many --jsonl -o "$T/results" -f "$T/in"; error "-o: what is there is not lost" 2 "$T/results" --resume --force
many --jsonl -o "$T/results" --force -f "$T/in"; check "--force" eval 'quiet_success && same $T/results $T/whole'
many --jsonl -o "$T/results" --resume -f "$T/in"; check "--resume of what is complete" eval 'quiet_success && same $T/results $T/whole'
for cut in 0 1 500 5000 9000; do
  head -c $cut "$T/whole" >"$T/results"
  many --jsonl -o "$T/results" --resume -f "$T/in"; check "--resume after $cut bytes" eval 'quiet_success && same $T/results $T/whole'
done
sed -n '2p;5p;4p;9p' "$T/whole" >"$T/results"
many --jsonl -o "$T/results" --unordered --resume -f "$T/in"
sort "$T/results" >"$T/a"; sort "$T/whole" >"$T/b"
check "--resume of single samples, --unordered" eval 'quiet_success && same $T/a $T/b'
sed 's/"id":"r0"/"id":"other"/' "$T/whole" >"$T/results"
many --jsonl -o "$T/results" --resume -f "$T/in"; error "--resume: another id" 2 "$T/results:1:" r0 other
{ cat "$T/whole"; sed -n 60p "$T/whole" | sed 's/"index":39/"index":40/'; } >"$T/results"
many --jsonl -o "$T/results" --resume -f "$T/in"; error "--resume: a record too many" 2 "$T/results:61:" "record 40"
echo '{"a":1}' >"$T/results"
many --jsonl -o "$T/results" --resume -f "$T/in"; error "--resume: no results" 2 "$T/results:1:"
rm "$T/results"
for i in $(seq 20); do
  GPT2_ISA=scalar "$GPT2" generate --jsonl -t 1 -o "$T/results" --resume -f "$T/in" 2>"$T/err" & pid=$!
  sleep "0.$(printf '%02d' $((RANDOM % 20 + 5)))"
  kill -KILL $pid 2>/dev/null
  wait $pid 2>/dev/null && break
done
many --jsonl -o "$T/results" --resume -f "$T/in"
check "--resume after SIGKILL equals one run" eval 'quiet_success && same $T/results $T/whole'
rm "$T/results"
GPT2_ISA=scalar env --default-signal=INT "$GPT2" generate --jsonl -t 1 -o "$T/results" -f "$T/in" 2>"$T/err" & pid=$!
for _ in $(seq 400); do [ -s "$T/results" ] && break; sleep 0.005; done
kill -INT $pid; wait $pid; status=$?
check "SIGINT: status 130, whole results in order" eval 'status_is 130 && [ ! -s $T/err ] && cmp -s -n $(stat -c %s $T/results) $T/results $T/whole && [ -z "$(tail -c 1 $T/results)" ]'
many --jsonl -o /dev/full -f "$T/in"; error "a full disk" 1 /dev/full "No space"
many --jsonl -o "$T/none/x" -f "$T/in"; error "an OUT that cannot be written" 1 "$T/none/x"
many --jsonl -f "$T/none"; error "no such input" 1 "$T/none"
# The input does not end before the reader has gone.
mkfifo "$T/endless"
PIPE=$(bash -c "while echo '{\"prompt\":\"a\",\"max_new_tokens\":1}'; do :; done >$T/endless 2>/dev/null &
  env --default-signal=PIPE '$GPT2' generate --jsonl -f $T/endless | head -n 1 >/dev/null; echo \${PIPESTATUS[0]}" 2>"$T/err")
check "a reader that goes away" [ "$PIPE" = 141 ]

many --jsonl --stats=json -f "$T/in"
for key in records failed prompt_tokens cached_tokens computed_rows completion_tokens tokens_per_s busy_slots_percent preemptions kv_blocks kv_bytes peak_rss_bytes seed load_ms; do
  check "--stats=json has $key" err_has "\"$key\":"
done
check "... and counts" [ "$(json_number records "$T/err") $(json_number results "$T/err")" = "40 60" ]
many --lines x; error "a prompt beside many" 2 "many prompts"
many --lines --jsonl; error "two formats" 2 --lines
many --shard 3/2 --jsonl; error "no such shard" 2 --shard 3/2
many --batch 4 x; error "--batch for one prompt" 2 --batch
many --lines -o "$T/x" --resume; error "--resume of text" 2 --resume
many --jsonl --resume; error "--resume of nothing" 2 --output
many --logprobs 3 x; error "--logprobs of text" 2 --logprobs
many --kv-memory 0 --jsonl; error "--kv-memory 0" 2 --kv-memory
finish
