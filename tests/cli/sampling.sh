#!/usr/bin/env bash
# Which tokens are chosen and where the text ends: processors, stop strings, samples, escapes, the context's end.
. "$(dirname "$0")/lib.bash"

greedy() { run "$GPT2" generate --greedy -n 40 --no-newline "$@"; }
text() { sed -n 's/.*"text":"\(\([^"\\]\|\\.\)*\)".*/\1/p' "$T/out"; }

greedy "The old captain said"
cp "$T/out" "$T/plain"
first=$("$GPT2" tokenize -f "$T/plain" | cut -d' ' -f1)
greedy --forbid-token "$first" "The old captain said"
check "--forbid-token: the text goes another way" eval 'quiet_success && ! same $T/out $T/plain'
check "... without the token" eval '! "$GPT2" tokenize -f "$T/out" | grep -qwF "$first"'
run "$GPT2" generate --json --greedy -n 5 --logit-bias 1234:1000 x
check "--logit-bias chooses a token" out_has '"tokens":[1234,1234,1234,1234,1234]'
run "$GPT2" generate --json --greedy -n 3 --logit-bias 1234:1000 --forbid-token 1234 --logit-bias=1235:999 x
check "--forbid-token comes after --logit-bias" out_has '"tokens":[1235,1235,1235]'
run "$GPT2" generate --json --greedy -n 3 --logit-bias 1234:500 --logit-bias 1235:499 --repetition-penalty 2 x
check "--repetition-penalty turns to another token" out_has '"tokens":[1234,1235,1234]'
run "$GPT2" generate --json --greedy -n 6 --logit-bias 1234:500 --logit-bias 1235:499 --logit-bias 1236:498 --frequency-penalty 1.5 x
check "--frequency-penalty grows until other tokens are likelier" out_has '"tokens":[1234,1234,1234,1234,1236,1235]'
run "$GPT2" generate --json --greedy -n 6 --logit-bias 1234:500 --logit-bias 1235:499 --presence-penalty 2 --tokens 1234
check "--presence-penalty counts once" out_has '"tokens":[1234,1234,1234,1234,1234,1234]'
# What the command gave when the options came.
run "$GPT2" generate --json -s 5 -n 20 --frequency-penalty 0.8 --presence-penalty 0.5 "The old captain said"
check "a drawn text with both penalties" out_has '"tokens":[278,319,0,375,2823,1364,11,1917,487,1333,198,198,1,1197,395,391,526,13,399,266]'
run "$GPT2" generate --json --greedy -n 3 --logit-bias 1234:500 --logit-bias 1235:400 --no-repeat-ngram 1 --tokens 1234
check "--no-repeat-ngram counts the prompt" grep -qE '"tokens":\[1235,[0-9]+,[0-9]+\]' "$T/out"
run "$GPT2" generate --json -n 9 --logit-bias 4095:1000 x
check "a biased end-of-text token ends the text" out_has '"completion_tokens":1,'
run "$GPT2" generate --json -n 9 --logit-bias 4095:1000 --min-new-tokens 4 x
check "--min-new-tokens puts it off" eval 'out_has "\"completion_tokens\":5," && out_has "\"finish_reason\":\"eos\""'
run "$GPT2" generate --json -s 3 --typical-p 0.2 -n 20 x
check "--typical-p" quiet_success
greedy --typical-p 0.5 --top-k 5 "The old captain said"
check "filters do not change greedy text" eval 'quiet_success && same $T/out $T/plain'
forbid=()
for id in $(seq 0 4095); do forbid+=(--forbid-token "$id"); done
run "$GPT2" generate --json "${forbid[@]}" x
check "no token left is an end, not a crash" eval 'quiet_success && out_has "\"finish_reason\":\"no_token\"" && out_has "\"tokens\":[]"'

for bad in 5 5: :1 a:1 5:x 5:1001 5:nan 5:inf -1:1 5:1: 99999999999:1; do
  run "$GPT2" generate --logit-bias "$bad" x; error "--logit-bias $bad" 2 --logit-bias "found \"$bad\""
done
run "$GPT2" generate --logit-bias 4096:1 x; error "--logit-bias of no token" 4 --logit-bias 4095 4096
run "$GPT2" generate --forbid-token 4096 x; error "--forbid-token of no token" 4 --forbid-token 4096
for bad in "" a -1 1.5; do run "$GPT2" generate --forbid-token "$bad" x; error "--forbid-token '$bad'" 2 --forbid-token; done
for bad in 0 -1 nan 1001 x; do
  run "$GPT2" generate --repetition-penalty "$bad" x; error "--repetition-penalty $bad" 2 "found \"$bad\""
done
for option in --frequency-penalty --presence-penalty; do
  for bad in -2.1 2.1 nan x; do run "$GPT2" generate "$option" "$bad" x; error "$option $bad" 2 "$option" "found \"$bad\""; done
done
for bad in -0.1 1.1 nan; do run "$GPT2" generate --typical-p "$bad" x; error "--typical-p $bad" 2 "found \"$bad\""; done
for option in --no-repeat-ngram --min-new-tokens --samples; do
  for bad in -1 x 1.5; do run "$GPT2" generate "$option" "$bad" x; error "$option $bad" 2 "$option" "found \"$bad\""; done
done
run "$GPT2" generate -N 0 x; error "-N 0" 2 --samples

# Every cut of the greedy text is found as a stop string, whatever the tokens; it and what follows it are gone.
missed=0
bytes=$(stat -c %s "$T/plain")
for at in $(seq 1 3 $((bytes - 8))); do
  stop=$(tail -c +$((at + 1)) "$T/plain" | head -c 7; echo .)
  stop=${stop%.}
  greedy --stop "$stop" "The old captain said"
  before=$(cat "$T/plain"; echo .)
  before=${before%.}
  [ "$(cat "$T/out"; echo .)" = "${before%%"$stop"*}." ] || missed=$((missed + 1))
done
check "--stop at $(((bytes - 8) / 3)) places of the text" [ "$missed" = 0 -a "$bytes" -gt 60 ]
word=$(tail -c +12 "$T/plain" | head -c 5)
greedy --stop "no such text" --stop "$word" --include-stop "The old captain said"
check "--include-stop keeps it" eval 'quiet_success && [ "$(tail -c 5 "$T/out")" = "$word" ]'
greedy --json --stop "$word" "The old captain said"
check "--json names the stop" eval 'out_has "\"finish_reason\":\"stop\"" && out_has "\"stop\":\"$word\""'
check "... and the text is without it" eval '[[ $(text) != *"$word"* ]]'
greedy --stop "no such text" "The old captain said"
check "a stop that never comes changes nothing" eval 'quiet_success && same $T/out $T/plain'
"$GPT2" generate -n 60 --greedy --stop "$(tail -c 3 "$T/plain")zzz" "The old captain said" >"$T/out"
"$GPT2" generate -n 60 --greedy "The old captain said" >"$T/expected"
check "text that was held back comes out in the end" same "$T/out" "$T/expected"
run "$GPT2" generate --stop "" x; error "an empty stop" 2 --stop "not empty"

run "$GPT2" generate -s 5 -n 20 "It was"; cp "$T/out" "$T/expected"
run "$GPT2" generate -s 5 -n 20 -N 4 "It was"
check "-N: the first sample is the text without -N" eval 'quiet_success && head -c $(stat -c %s $T/expected) $T/out | cmp -s - $T/expected'
run "$GPT2" generate -s 5 -n 20 -N 4 --json "It was"
check "-N --json: an object a line" [ "$(grep -cE '^\{"id":0,"index":0,"sample":[0-3],.*\}$' "$T/out")" = 4 ]
check "... all different" [ "$(grep -o '"tokens":[^]]*]' "$T/out" | sort -u | wc -l)" = 4 ]
grep -o '"tokens":[^]]*]' "$T/out" >"$T/four"
run "$GPT2" generate -s 5 -n 20 -N 2 -t 1 --json "It was"
check "... the same whatever -N and -t" eval 'grep -o "\"tokens\":[^]]*]" $T/out | cmp -s - <(head -n 2 $T/four)'
run "$GPT2" generate -n 3 -N 3 --greedy --echo always "It was"
check "-N --echo: each with its prompt" [ "$(grep -c '^It was' "$T/out")" = 3 ]

run "$GPT2" generate -e --echo always -n 0 'a\tb\\n\x41\u00e9\U0001F600\0\e'
check "-e: escapes" cmp -s "$T/out" <(printf 'a\tb\\nA\xc3\xa9\xf0\x9f\x98\x80\0\033\n')
run "$GPT2" generate --echo always -n 0 'a\tb'; check "without -e a backslash is one" out_is 'a\tb'$'\n'
greedy -e --stop '\x20' "The old captain said"
check "-e: escapes in --stop" eval 'quiet_success && ! grep -q "." <(tr -dc " " <$T/out)'
for bad in 'a\q' 'a\' '\x4' '\xg0' '\u12' '\ud800' '\U00110000'; do run "$GPT2" generate -e "$bad"; error "-e '$bad'" 2 --escape "expected one of"; done
printf 'a\\tb' | "$GPT2" generate -e --echo always -n 0 - >"$T/out"; check "-e leaves stdin as it is" out_is 'a\tb'$'\n'

long=$(yes word | head -n 1000)
greedy "$long"; error "a prompt that is too long says what helps" 4 "truncate-left"
run "$GPT2" generate --json --greedy -n 40 --on-overflow truncate-left "$long"
check "--on-overflow truncate-left" eval 'quiet_success && [ "$(json_number completion_tokens $T/out)" = 40 ]'
check "... drops what is needed and no more" [ "$(json_number prompt_tokens "$T/out")" = 217 ]
check "... and says how much" [ "$(json_number prompt_tokens_dropped "$T/out")" -gt 1000 ]
run "$GPT2" generate --json --greedy --ignore-eos -n 5000 --on-overflow truncate-left "$long"
check "... at most to half of the context" eval '[ "$(json_number prompt_tokens $T/out)" = 128 ] && [ "$(json_number completion_tokens $T/out)" = 129 ]'
run "$GPT2" generate --json --greedy -n 4 --on-overflow truncate-left "It was"
check "... and nothing from a prompt that fits" [ "$(json_number prompt_tokens_dropped "$T/out")" = 0 ]
# What slide forgets, by the log-probabilities of the tokens after it: those of a fresh text of the kept tokens and what remains.
logprobs() { grep -o '"token_logprobs":[^]]*' "$T/out" | cut -d'[' -f2 | tr ',' '\n'; }
for keep in 0 30; do
  run "$GPT2" generate --json -s 3 --ignore-eos -n 400 --logprobs 0 --on-overflow slide --keep $keep "It was"
  mapfile -t all < <({ "$GPT2" tokenize "It was"; grep -o '"tokens":\[[0-9,]*' "$T/out" | head -n 1 | cut -d'[' -f2; } | tr ' ,' '\n\n')
  logprobs | sed -n "$((257 - 2 + 1)),+99p" >"$T/slid"
  # 257 tokens are there when the context of 256 is full: half of them and one more go.
  gone=$(((257 - keep) / 2 + 1))
  run "$GPT2" generate --json -n 0 --logprobs 0 --tokens "${all[*]:0:keep} ${all[*]:keep + gone:257 - keep - gone + 100}"
  logprobs | tail -n 100 >"$T/fresh"
  check "slide forgets the oldest half but for --keep $keep" eval '((${#all[@]} == 402)) && (($(grep -c . $T/slid) == 100)) && same $T/slid $T/fresh'
done
run "$GPT2" generate --greedy -n 256 --on-overflow error "It was a fine day"; error "--on-overflow error" 4 256 "-n asks for"
run "$GPT2" generate --greedy -n 20 --on-overflow error "It was"; check "... is none where it fits" quiet_success
run "$GPT2" generate --greedy -n 10 --on-overflow error "$long"; error "... and a long prompt stays an error" 4 "the prompt has"
finish
