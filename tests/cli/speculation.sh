#!/usr/bin/env bash
# gpt2 generate with a draft: the same bytes, sooner.
. "$(dirname "$0")/lib.bash"

"$GPT2" convert --quiet "$BOOKS" "$T/books.gpt2" || exit 1
draft=$T/books.gpt2  # its own draft: agrees wherever it is asked
for sampler in "--greedy" "-T 0.8 --top-k 40" "-T 1 --top-p 0.95 -N 3" "--greedy --stop the" "--repetition-penalty 1.3 --json" "--greedy --frequency-penalty 0.6 --presence-penalty 0.3"; do
  run "$GPT2" generate -s 7 -n 60 $sampler "The old captain said"
  sed 's/"timings":.*//' "$T/out" >"$T/plain"
  for spec in "--draft-model $draft" "--draft-lookup" "--draft-lookup=1 --draft-model $draft --spec force" "--draft-model $draft --draft-max 3"; do
    run "$GPT2" generate -s 7 -n 60 $sampler $spec "The old captain said"
    sed 's/"timings":.*//' "$T/out" >"$T/fast"
    check "$sampler with $spec: the same bytes" eval 'quiet_success && same $T/plain $T/fast'
  done
done
# A stop in the middle of what one step accepted: neither the text nor the tokens go on behind it.
printf '{"prompt":"%s","greedy":true,"max_new_tokens":40,"stop":["%s"],"seed":1}\n' "It was" the "It was" " a" "The sea" "n" "The old" "," >"$T/stops"
run "$GPT2" generate --jsonl <"$T/stops"
cp "$T/out" "$T/plain"
check "some records stop" eval '(($(grep -c "\"finish_reason\":\"stop\"" $T/plain) > 1))'
for batch in 1 3; do
  run "$GPT2" generate --jsonl --batch $batch --spec force --draft-model "$draft" <"$T/stops"
  check "records that stop inside a step, $batch at a time: the same bytes" eval 'quiet_success && same $T/plain $T/out'
done
run "$GPT2" generate -s 1 --greedy -n 40 --stop " she" --json "It was"
sed 's/"timings":.*//' "$T/out" >"$T/plain"
run "$GPT2" generate -s 1 --greedy -n 40 --stop " she" --json --spec force --draft-model "$draft" "It was"
sed 's/"timings":.*//' "$T/out" >"$T/fast"
check "a text that stops inside a step: the same tokens" eval 'quiet_success && same $T/plain $T/fast'
run "$GPT2" generate --greedy -n 30 --spec force --draft-model "$draft" --stats "It was"
check "--stats of speculation" eval '((status == 0)) && err_has "drafted" && err_has "speed-up" && err_has "% by position"'
run "$GPT2" generate --greedy -n 30 --spec force --draft-model "$draft" --stats=json "It was"
check "--stats=json of speculation" eval '(($(json_number accepted $T/err) > 20)) && err_has "\"steps_by_length\":["'
run "$GPT2" generate -s 3 -n 40 --spec force --spec-verify rejection --draft-model "$draft" "It was"
cp "$T/out" "$T/once"
run "$GPT2" generate -s 3 -n 40 --spec force --spec-verify rejection --draft-model "$draft" "It was"
check "--spec-verify rejection is reproducible" eval 'quiet_success && same $T/once $T/out'
run "$GPT2" generate --draft-model "$T/none" "x"; error "no such draft" 3 "$T/none"
run "$GPT2" generate --draft-lookup=0 "x"; error "a look-up of nothing" 2 --draft-lookup
run "$GPT2" generate --draft-max 16 "x"; error "too many tokens" 2 --draft-max
run "$GPT2" generate --spec maybe "x"; error "no such --spec" 2 --spec

# A draft whose tokenizer has the same tokens: with other rules it is told of, with other tokens refused.
cp -r "$BOOKS" "$T/ruled"
echo '{"bos_token":"<|endoftext|>","add_bos_token":true}' >"$T/ruled/tokenizer_config.json"
run "$GPT2" generate -s 7 -n 30 "The old captain said"
cp "$T/out" "$T/plain"
run "$GPT2" generate -s 7 -n 30 --spec force --draft-model "$T/ruled" "The old captain said"
check "a draft with other rules warns and goes on" eval '((status == 0)) && same $T/plain $T/out && (($(wc -l <$T/err) == 1)) &&
  err_has "$T/ruled" && err_has "before a text \"<|endoftext|>\" instead of nothing"'
rm "$T/ruled/tokenizer_config.json"
sed 's/"a": *\([0-9]*\)/"a":X\1/; s/"b": *\([0-9]*\)/"a":\1/; s/"a":X/"b":/' "$BOOKS/vocab.json" >"$T/ruled/vocab.json"
run "$GPT2" generate --draft-model "$T/ruled" "x"; error "a draft with other tokens" 3 "$T/ruled" "is \"a\"" "found \"b\""

# A draft that knows the README's tokens only.
run "$GPT2" convert --draft-vocab 500 --text README.md "$BOOKS" "$T/draft.gpt2"
check "convert --draft-vocab" quiet_success
run "$GPT2" inspect --verify "$T/draft.gpt2"
check "inspect shows a draft's head" eval 'quiet_success && out_has "n_draft_vocab" && out_has "draft_head.weight" && out_has "[500, 192]" && out_has "draft_head.ids"'
for sampler in "--greedy" "-T 1 --top-p 0.95 -N 2"; do
  run "$GPT2" generate -s 7 -n 60 $sampler "The old captain said"
  cp "$T/out" "$T/plain"
  run "$GPT2" generate -s 7 -n 60 $sampler --spec force --draft-model "$T/draft.gpt2" "The old captain said"
  check "$sampler with a draft of 500 tokens: the same bytes" eval 'quiet_success && same $T/plain $T/out'
done
run "$GPT2" generate -m "$T/draft.gpt2" "x"; error "a draft is no model" 3 "$T/draft.gpt2" draft_head.weight 4096 500 --draft-model
run "$GPT2" eval perplexity -m "$T/draft.gpt2" README.md; error "a draft is not evaluated" 3 "$T/draft.gpt2"
run "$GPT2" convert --draft-vocab 5000 --text README.md "$BOOKS" "$T/x.gpt2"; error "more tokens than there are" 4 --draft-vocab 4096 5000
run "$GPT2" convert --draft-vocab 0 --text README.md "$BOOKS" "$T/x.gpt2"; error "no tokens" 2 --draft-vocab
run "$GPT2" convert --draft-vocab 50 "$BOOKS" "$T/x.gpt2"; error "--draft-vocab without --text" 2 --text
run "$GPT2" convert --text README.md "$BOOKS" "$T/x.gpt2"; error "--text without --draft-vocab" 2 --draft-vocab
run "$GPT2" convert --draft-vocab 50 --text "$T/none" "$BOOKS" "$T/x.gpt2"; error "no such text" 1 "$T/none"
check "nothing was written" eval '[ ! -e $T/x.gpt2 ]'
finish
