#!/usr/bin/env bash
# gpt2 bench spec: what it prints, and that the texts are equal; no figure of time is tested.
. "$(dirname "$0")/lib.bash"

"$GPT2" convert --quiet "$BOOKS" "$T/books.gpt2" || exit 1
printf 'The old captain said\nIt was a dark night\nOnce upon a time, once upon a\n' >"$T/prompts"
bench=("$GPT2" bench spec -m "$T/books.gpt2" -n 16 -r 2 -t 1)
run "${bench[@]}" -f "$T/prompts" --draft-model "$T/books.gpt2" --draft-max 3 --json
check "--json" eval 'quiet_success && out_has "\"texts_equal\":true" && out_has "\"by_prompt\":[{" && out_has "\"speculation\":{\"steps\":"'
check "all prompts, all tokens" eval '[ "$(json_number prompts $T/out)" = 3 ] && [ "$(json_number tokens $T/out)" = 48 ]'
check "its own draft agrees" eval '[ "$(json_number agreement $T/out)" = 1 ]'
for key in baseline_tokens_per_s speculative_tokens_per_s speedup_median speedup_total mean_accepted draft_cost plain_step_ms step_2 step_4 \
  allowed_speedup allowed_length percent_of_allowed cost_error_percent; do
  check "--json has $key" eval '[ -n "$(json_number '$key' $T/out)" ]'
done
run "${bench[@]}" -f "$T/prompts" --draft-lookup -T 0.8 --top-k 40 -s 3 --csv
check "--csv: two lines with as many fields" eval 'quiet_success && (($(wc -l <$T/out) == 2)) &&
  [ "$(head -n 1 $T/out | tr -cd , | wc -c)" = "$(tail -n 1 $T/out | sed "s/\"\[[0-9,]*\]\"//" | tr -cd , | wc -c)" ]'
check "--csv: texts equal" eval 'tail -n 1 $T/out | grep -q ",true$"'
run "${bench[@]}" -f "$T/prompts" --draft-lookup=1 --draft-model "$T/books.gpt2"
check "table" eval 'quiet_success && out_has "speed-up, median of prompts" && out_has "T(16) / T(1)" && out_has "texts  " && out_has "equal"'
run "${bench[@]}" -f "$T/prompts" --draft-model "$T/books.gpt2" --spec-verify rejection -T 1
check "rejection: nothing is compared" eval 'quiet_success && out_has "not compared"'
run "${bench[@]}" -f README.md --prompts 2 --prompt-tokens 10 --draft-model "$T/books.gpt2" --json
check "prompts cut from a text" eval 'quiet_success && [ "$(json_number prompts $T/out)" = 2 ]'
printf 'a\\nb\n' >"$T/escaped"
run "${bench[@]}" -f "$T/escaped" --escape --draft-lookup --json
check "--escape" eval 'quiet_success && [ "$(json_number prompts $T/out)" = 1 ] && out_has "\"cost_error_percent\":null"'
run "${bench[@]}" -f "$T/escaped" --draft-model "$T/none"; error "no such draft" 3 "$T/none"
run "${bench[@]}" -f "$T/none" --draft-lookup; error "no such prompts" 1 "$T/none"
run "${bench[@]}" --draft-lookup; error "no prompts" 2 "-f FILE"
run "${bench[@]}" -f "$T/prompts"; error "no draft" 2 --draft-model
: >"$T/empty"
run "${bench[@]}" -f "$T/empty" --draft-lookup; error "an empty file" 4 "$T/empty"
run "${bench[@]}" -f "$T/prompts" --prompts 2 --prompt-tokens 1000 --draft-lookup; error "too short a text" 4 "$T/prompts"
run "${bench[@]}" -f README.md --prompts 1 --prompt-tokens 257 --draft-lookup; error "a prompt past the context" 4 README.md 256 257
run "$GPT2" bench --draft-lookup; error "a draft without spec" 2 spec
run "$GPT2" bench spec more; error "an operand more" 2 more
finish
