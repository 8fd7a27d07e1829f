#!/usr/bin/env bash
# gpt2 tokenize and gpt2 detokenize, and the way back.
. "$(dirname "$0")/lib.bash"

run "$GPT2" tokenize "To be or not to be"
check "tokenize" eval 'quiet_success && grep -qE "^[0-9]+( [0-9]+)*$" $T/out'
ids=$(cat "$T/out")
run "$GPT2" detokenize $ids
check "detokenize operands, nothing added" out_is "To be or not to be"
run "$GPT2" detokenize "${ids// /,}"; check "detokenize commas" out_is "To be or not to be"
run "$GPT2" detokenize < <(echo "$ids" | tr ' ' '\n'); check "detokenize lines from stdin" out_is "To be or not to be"
run "$GPT2" tokenize "" </dev/null; check "no text, no ids" out_is $'\n'
run "$GPT2" detokenize "" </dev/null; check "no ids, no text" out_is ""
run "$GPT2" tokenize --json "To be"
check "tokenize --json" grep -qE '^\{"tokens":\[[0-9,]+\],"count":2\}$' "$T/out"
run "$GPT2" detokenize "$(grep -oE '\[[0-9,]*\]' "$T/out")"; check "detokenize takes an array" out_is "To be"
run "$GPT2" tokenize "<|endoftext|>"; check "a special token is text" [ "$(wc -w <"$T/out")" -gt 1 ]
run "$GPT2" tokenize --special "a<|endoftext|>b"; check "--special" grep -qE ' 4095 ' "$T/out"
run "$GPT2" tokenize a b; error "two texts" 2 quotes
run "$GPT2" detokenize 1 4096; error "an id that does not exist" 4 4096 4095
run "$GPT2" detokenize 1 x; error "an id that is no number" 4 '"x"'
run "$GPT2" detokenize 1 99999999999999999999; error "an id beyond all integers" 4 99999999999999999999
run "$GPT2" detokenize -- -1; error "a negative id" 4 '"-1"'

round_trip() {
  "$GPT2" tokenize <"$T/bytes" >"$T/ids" && "$GPT2" detokenize <"$T/ids" >"$T/back"
  check "round trip: $1" cmp "$T/bytes" "$T/back"
}
printf 'line\r\n\n\n  spaces   \ttabs\n' >"$T/bytes"; round_trip "line ends and spaces"
printf 'na\xc3\xafve \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \xff\xc0\x80\xed\xa0\x80' >"$T/bytes"; round_trip "UTF-8, good and bad"
for i in $(seq 0 255); do printf "\\x$(printf %x "$i")"; done >"$T/bytes"; round_trip "every byte"
head -c 300000 "$GPT2" >"$T/bytes"; round_trip "300 kB of a program"
head -c 300000 /dev/zero | tr '\0' ' ' >"$T/bytes"; round_trip "300 kB of spaces"
finish
