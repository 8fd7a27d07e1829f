#!/usr/bin/env bash
# gpt2 eval of tasks: figures, shots, details, and what it refuses. scripts/lm_eval_proof.py compares with the harness.
. "$(dirname "$0")/lib.bash"

data=$T/piqa
for i in 1 2 3 4 5 6 7 8; do
  echo "{\"goal\":\"to find $i ships\",\"sol1\":\"look at the sea\",\"sol2\":\"zzq $i\",\"label\":$((i % 4 == 0))}"
done >"$data"
run "$GPT2" eval piqa "$data"
check "a task as a table" eval 'quiet_success && out_has "acc_norm" && out_has "8 examples, 16 continuations, 0 shots" && out_has "+-"'
run "$GPT2" eval piqa --json --details "$T/details" "$data"
check "--json" eval 'quiet_success && (($(wc -l <$T/out) == 1)) && [ "$(json_number examples $T/out) $(json_number acc $T/out)" = "8 0.75" ]'
check "the standard error is the harness's" [ "$(json_number acc_stderr "$T/out" | head -c 12)" = 0.1636634176 ]
check "--details: a line for each example" eval '(($(wc -l <$T/details) == 8)) && [ "$(json_number line $T/details)" = 1 ]'
check "... with what was asked" grep -qF '"context":"Question: to find 1 ships\nAnswer:","continuation":" look at the sea","context_tokens":' "$T/details"
check "... whose marks have the figure as their mean" [ "$(grep -c '"acc":1' "$T/details")" = 6 ]
cp "$T/details" "$T/kept"
run "$GPT2" eval piqa --details "$T/details" "$data"; error "--details refuses a file that is there" 2 --force "$T/details"
run "$GPT2" eval piqa -t 1 --force --details "$T/details" "$data"
check "--force; -t 1: the same bytes" eval '((status == 0)) && same $T/details $T/kept'
run "$GPT2" eval piqa --details "$data" --force "$data"; error "--details is not the input" 2 "$data"
run "$GPT2" eval piqa --json --limit 3 - <"$data"
check "--limit, stdin" [ "$(json_number examples "$T/out")" = 3 ]
run "$GPT2" eval piqa --shots 2 --limit 1 --details "$T/shots" "$data"
check "--shots: the first of the file, but for the one that is asked" \
  grep -qF '"context":"Question: to find 2 ships\nAnswer: look at the sea\n\nQuestion: to find 3 ships\nAnswer: look at the sea\n\nQuestion: to find 1 ships\nAnswer:"' "$T/shots"
run "$GPT2" eval piqa --shots 1 --shots-from "$data" --limit 1 --details "$T/shots" --force "$data"
check "--shots-from" grep -qF '"context":"Question: to find 1 ships\nAnswer: look at the sea\n\nQuestion: to find 1 ships\nAnswer:"' "$T/shots"
echo '{"context":"The ","choices":["sea","zzq"],"label":"sea"}' >"$T/choices"
run "$GPT2" eval choices --delimiter "" --json --details "$T/any" "$T/choices"
check "choices" eval 'quiet_success && [ "$(json_number acc $T/out)" = 1 ] && out_has "\"acc_stderr\":null" && grep -qF "\"context\":\"The\",\"continuation\":\" sea\"" $T/any'
printf '{"text":"The captain looked at the sea"}\n\n{"text":"sea"}\n' >"$T/lambada"
run "$GPT2" eval lambada --json "$T/lambada"
check "lambada" eval 'quiet_success && [ "$(json_number examples $T/out)" = 2 ] && out_has "\"perplexity_stderr\":"'

run "$GPT2" eval piqa; error "no file" 2 FILE
run "$GPT2" eval piqa "$T/none"; error "a missing file" 1 "$T/none"
run "$GPT2" eval piqa --stride 4 "$data"; error "an option of perplexity" 2 --stride
run "$GPT2" eval perplexity --limit 4 "$data"; error "an option of tasks" 2 perplexity
run "$GPT2" eval piqa --delimiter "" "$data"; error "a delimiter where the task has its own" 2 --delimiter
run "$GPT2" eval piqa --shots-from "$data" "$data"; error "shots of no number" 2 --shots
run "$GPT2" eval piqa --shots 8 "$data"; error "more shots than records" 4 "at least 9" "found 8"
: >"$T/empty"
run "$GPT2" eval piqa "$T/empty"; error "an empty file" 4 "$T/empty" "found none"
{ cat "$data"; echo '{"goal":"a","sol1":"b","label":0}'; } >"$T/bad"
run "$GPT2" eval piqa "$T/bad"; error "a record without a field" 4 "$T/bad:9: " sol2
{ cat "$data"; echo '{"goal":"a",'; } >"$T/bad"
run "$GPT2" eval piqa "$T/bad"; error "a record that is no JSON" 4 "$T/bad:9:"
run "$GPT2" eval piqa --details "$T/none/x" "$data"; error "details nowhere" 1 "$T/none"
finish
