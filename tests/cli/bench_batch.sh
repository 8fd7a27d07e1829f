#!/usr/bin/env bash
# gpt2 bench batch, --peak, --first and --compare: their figures are there and make sense; how large they are is no test's business.
. "$(dirname "$0")/lib.bash"

run "$GPT2" bench batch --batch 4 --batch-prompts 6 -r 1 --json
check "bench batch --json" eval '((status == 0)) && (($(wc -l <$T/out) == 1)) && grep -qE "^\{\"[a-z_]+\":.*\}$" $T/out && out_has "\"gain\":"'
if python3 -c 'import json' 2>/dev/null; then
  check "bench batch --json parses" python3 -c "import json,sys; json.load(open(sys.argv[1]))" "$T/out"
else
  skip "bench batch --json parses" "no python3"
fi
above() { awk "BEGIN { exit !($1 > $2) }"; }
for figure in continuous_tokens_per_s fixed_tokens_per_s gain busy_percent median_gap_ms p99_gap_ms prompt_alone_ms prompt_beside_ms; do
  check "bench batch: $figure" above "$(json_number $figure "$T/out")" 0
done
run "$GPT2" bench batch --batch 4 --batch-prompts 6 -r 1 --csv
check "bench batch --csv: a head and a line" eval '((status == 0)) && (($(wc -l <$T/out) == 2))'
run "$GPT2" bench --peak -r 1 -t 1
check "bench --peak: a line for each type, and what memory gives" eval 'quiet_success && (($(grep -c " Gop/s" $T/out) == 4)) && out_has "GB/s"'
check "bench --peak: names the instructions" eval 'out_has "fm"'
timed=("$GPT2" bench --prefill 0 --decode 4 --first 8 -r 2 -t 1)
run "${timed[@]}" --json
check "bench --first" eval '((status == 0)) && out_has "\"test\":\"first\"" && out_has "\"n\":8"'
cp "$T/out" "$T/earlier"
run "${timed[@]}" --compare "$T/earlier" --csv
check "bench --compare: each row has its ratios" eval '((status == 0)) && (($(grep -cE ",[0-9.e+]+,[0-9.e+]+,[0-9.e+]+,[0-9.e+]+$" $T/out) == 2))'
sed -E 's/"tokens_per_s":[0-9.e+]+/"tokens_per_s":1e-3/' "$T/earlier" >"$T/slower"
run "${timed[@]}" --json --compare - <"$T/slower"
check "bench --compare: now / before" above "$(json_number tokens_ratio "$T/out")" 1000
run "$GPT2" bench --prefill 0 --decode 5 -r 1 -t 1 --compare "$T/earlier"
check "bench --compare: a row that was not there" eval '((status == 0)) && out_has none'
run "${timed[@]}" --compare "$T/none"; error "bench --compare: no such file" 1 "$T/none"
run "${timed[@]}" --compare README.md; error "bench --compare: no JSON" 4 README.md byte
echo '{}' >"$T/wrong"
run "${timed[@]}" --compare "$T/wrong"; error "bench --compare: no array" 4 "$T/wrong" array
sed 's/"percent_low":/"low":/' "$T/earlier" >"$T/wrong"
run "${timed[@]}" --compare "$T/wrong"; error "bench --compare: a key less" 4 "$T/wrong" percent_low "row 1"
run "$GPT2" bench batch --compare "$T/earlier"; error "bench --compare: not with batch" 2 --compare
run "$GPT2" bench batches; error "bench: no such thing" 2 batches
finish
