#!/usr/bin/env bash
# gpt2 bench batch and --peak: their figures are there and make sense; how large they are is no test's business.
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
run "$GPT2" bench batches; error "bench: no such thing" 2 batches
finish
