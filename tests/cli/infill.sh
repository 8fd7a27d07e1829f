#!/usr/bin/env bash
# Filling in the middle: generate --prefix --suffix, records with both keys, and what inspect says of tokens by role.
. "$(dirname "$0")/lib.bash"

# The built-in model's weights, with four tokens that no text here has (the bytes 0 to 3) as marks of a gap and its end.
# fim_of DIRECTORY PREFIX SUFFIX MIDDLE END MORE: MORE goes into tokenizer_config.json
fim_of() {
  cp -r "$BOOKS" "$1"
  sed -i "s/\"Ā\": 188/\"$2\": 188/; s/\"ā\": 189/\"$3\": 189/; s/\"Ă\": 190/\"$4\": 190/; s/\"ă\": 191/\"$5\": 191/" "$1/vocab.json"
  printf '{"added_tokens_decoder":{"188":{"content":"%s","special":true},"189":{"content":"%s","special":true},"190":{"content":"%s","special":true},"191":{"content":"%s","special":true}}%s}\n' \
    "$2" "$3" "$4" "$5" "${6-}" >"$1/tokenizer_config.json"
  run "$GPT2" convert "$1" "$1.gpt2"
  status_is 0 || not_ok "convert $1" "$(cat "$T/err")"
}
fill() { run timeout 60 "$GPT2" generate --greedy -n 8 "$@"; }

fim_of "$T/star" "<fim_prefix>" "<fim_suffix>" "<fim_middle>" "<fim_pad>"
printf 'The old captain' >"$T/prefix"
printf 'the sea.\n' >"$T/suffix"
fill -m "$T/star.gpt2" --prefix "$T/prefix" --suffix "$T/suffix" --json
check "a gap is filled" eval 'quiet_success && out_has "\"completion_tokens\":"'
grep -oE '"tokens":\[[0-9,]*\]|"prompt_tokens":[0-9]+' "$T/out" >"$T/filled"
printf '<fim_prefix>The old captain<fim_suffix>the sea.\n<fim_middle>\n' | fill -m "$T/star.gpt2" --special --json
check "its prompt is prefix, suffix and middle behind their marks" eval 'quiet_success && diff <(grep -oE "\"tokens\":\[[0-9,]*\]|\"prompt_tokens\":[0-9]+" $T/out) $T/filled && [ -s $T/filled ]'
fill -m "$T/star.gpt2" --prefix "$T/prefix" --suffix - <"$T/suffix"
cp "$T/out" "$T/text"
check "the suffix from stdin" eval 'quiet_success && [ -s $T/text ]'
printf '{"prefix":"The old captain","suffix":"the sea.\\n"}\n{"suffix":"x"}\n{"prompt":"x","suffix":"y"}\n{"prefix":3,"suffix":""}\n{"prefix":"","suffix":"","on_overflow":"slide"}\n' >"$T/records"
fill -m "$T/star.gpt2" --jsonl -f "$T/records"
check "a record's keys" eval 'status_is 6 && diff <(head -n 1 $T/out | grep -oE "\"tokens\":\[[0-9,]*\]|\"prompt_tokens\":[0-9]+" | sort) <(sort -u $T/filled)'
check "bad records say what is expected" eval 'sed -n 2p $T/out | grep -q "both \\\\\"prefix\\\\\" and \\\\\"suffix" && sed -n 3p $T/out | grep -q "found \\\\\"prompt\\\\\" and \\\\\"suffix" && sed -n 4p $T/out | grep -q "prefix.*a string" && sed -n 5p $T/out | grep -q on-overflow'
run "$GPT2" inspect --no-values "$T/star.gpt2"
check "inspect shows the roles" eval 'quiet_success && grep -qE "^roles +bos .*\(4095\), eos .*\(4095\), fim_prefix <fim_prefix> \(188\), fim_suffix <fim_suffix> \(189\), fim_middle <fim_middle> \(190\), fim_pad <fim_pad> \(191\)" $T/out'
check "roles that the texts tell are not written" eval '! grep -aq "role\\.fim" $T/star.gpt2'

# Marks with texts of their own, and an end that a gap has and a text has not.
fim_of "$T/code" "<|code_a|>" "<|code_b|>" "<|code_c|>" "<|code_d|>" \
  ',"prefix_token":"<|code_a|>","suffix_token":"<|code_b|>","middle_token":{"content":"<|code_c|>"},"eot_token":"<|code_d|>"'
fill -m "$T/code.gpt2" --prefix "$T/prefix" --suffix "$T/suffix" --json
check "marks that keys name" eval 'quiet_success && diff <(grep -oE "\"tokens\":\[[0-9,]*\]|\"prompt_tokens\":[0-9]+" $T/out) $T/filled'
run "$GPT2" inspect --no-values --json "$T/code.gpt2"
check "inspect --json lists them" eval 'quiet_success && out_has "\"roles\":{\"eot\":191,\"fim_prefix\":188,\"fim_suffix\":189,\"fim_middle\":190}"'
fill -m "$T/code.gpt2" --prefix "$T/prefix" --suffix "$T/suffix" --json --logit-bias 191:100
check "a gap ends at eot" eval 'quiet_success && out_has "\"finish_reason\":\"stop\"" && out_has "\"stop\":\"<|code_d|>\"" && out_has "\"text\":\"\""'
fill -m "$T/code.gpt2" --json --logit-bias 191:100 "The old captain"
check "a text does not" eval 'quiet_success && out_has "\"finish_reason\":\"length\""'

fill --prefix "$T/prefix" --suffix "$T/suffix"; error "a model without marks" 3 fim_prefix fim_suffix fim_middle "not taught"
fill --prefix "$T/prefix"; error "--prefix alone" 2 --suffix
fill --suffix "$T/suffix"; error "--suffix alone" 2 --prefix
fill --prefix "$T/prefix" --suffix "$T/suffix" text; error "a prompt beside a gap" 2 "not both"
fill --prefix - --suffix -; error "stdin twice" 2 once
fill --prefix "$T/prefix" --suffix "$T/suffix" --jsonl; error "records beside a gap" 2 "keys prefix and suffix"
fill -m "$T/star.gpt2" --prefix "$T/prefix" --suffix "$T/suffix" --on-overflow slide; error "a context that slides" 2 --on-overflow
fill -m "$T/star.gpt2" --prefix "$T/absent" --suffix "$T/suffix"; error "a file that is not there" 1 absent
finish
