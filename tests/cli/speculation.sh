#!/usr/bin/env bash
# gpt2 generate with a draft: the same bytes, sooner.
. "$(dirname "$0")/lib.bash"

"$GPT2" convert --quiet "$BOOKS" "$T/books.gpt2" || exit 1
draft=$T/books.gpt2  # its own draft: agrees wherever it is asked
for sampler in "--greedy" "-T 0.8 --top-k 40" "-T 1 --top-p 0.95 -N 3" "--greedy --stop the" "--repetition-penalty 1.3 --json"; do
  run "$GPT2" generate -s 7 -n 60 $sampler "The old captain said"
  sed 's/"timings":.*//' "$T/out" >"$T/plain"
  for spec in "--draft-model $draft" "--draft-lookup" "--draft-lookup=1 --draft-model $draft --spec force" "--draft-model $draft --draft-max 3"; do
    run "$GPT2" generate -s 7 -n 60 $sampler $spec "The old captain said"
    sed 's/"timings":.*//' "$T/out" >"$T/fast"
    check "$sampler with $spec: the same bytes" eval 'quiet_success && same $T/plain $T/fast'
  done
done
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
finish
