#!/usr/bin/env bash
# gpt2 score: values, units, formats, columns, records, resumption, shards, and what it refuses.
. "$(dirname "$0")/lib.bash"

score() { run timeout 120 "$GPT2" score "$@"; }
f32=$T/f32
"$GPT2" convert -q "$BOOKS" "$f32"
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a - b < 2e-5 && b - a < 2e-5 && a != "") }'; }
sum() { awk '{ s += $1 } END { printf "%.17g", s }' "$1"; }

# Values: numpy's, and eval perplexity's to the last bit.
printf '!' >"$T/mark"
printf 'The sea was blue.' >"$T/sentence"
score -m "$f32" --columns surprisal --no-header "$T/mark" "$T/sentence"
check "a document a file (numpy's values)" eval 'quiet_success && near "$(sed -n 1p $T/out)" 11.24887 && near "$(sed -n 2p $T/out)" 19.100421'
head -c 2500 README.md >"$T/long"
for windows in "" "--window 64 --stride 16"; do
  score -m "$f32" --columns surprisal --no-header $windows "$T/long"
  cp "$T/out" "$T/nll"
  run "$GPT2" eval perplexity --bos -m "$f32" --json $windows "$T/long"
  check "eval perplexity's NLL $windows" [ "$(json_number nll "$T/out")" = "$(cat "$T/nll")" ]
done
for unit in line word token; do
  score -m "$f32" --unit $unit --columns surprisal --no-header --window 64 --stride 16 "$T/long"
  check "$unit: the sum is the whole" eval 'quiet_success && [ "$(sum $T/out)" = "$(sum $T/nll)" ]'
done
score --columns text --unit line --no-header "$T/long"
check "a row a line" [ "$(wc -l <"$T/out")" = "$(awk 'END { print NR }' "$T/long")" ]
score --columns text,n_tokens --unit word --no-header "$T/sentence"
check "a row a word" [ "$(cut -f1 "$T/out" | tr '\n' ' ')" = "The sea was blue. " ]
score --columns tokens --unit token --no-header "$T/sentence"
check "a row a token" [ "$(tr '\n' ' ' <"$T/out")" = "$("$GPT2" tokenize -f "$T/sentence") " ]
score --unit token --columns surprisal,cumulative,entropy,rank,probability,perplexity,best_probability,is_greedy <"$T/sentence"
check "what columns say of each other" awk -F'\t' 'NR == 1 { next } { s += $1; p = exp(-$1) }
  s - $2 > 1e-12 || $2 - s > 1e-12 || p / $5 > 1.000001 || p / $5 < 0.999999 || $6 * $5 > 1.000001 || $6 * $5 < 0.999999 || $4 < 1 ||
  ($4 == 1) != ($8 == "true") || $7 < $5 - 1e-7 || $3 <= 0 || $3 > log(4096) { exit 1 }' "$T/out"
score --base 2 --columns surprisal --no-header "$T/sentence"; bits=$(cat "$T/out")
score --base 10 --columns surprisal --no-header "$T/sentence"; digits=$(cat "$T/out")
score --columns surprisal --no-header "$T/sentence"; nats=$(cat "$T/out")
check "--base" awk -v b="$bits" -v d="$digits" -v n="$nats" 'function far(x) { return x > 1e-8 || x < -1e-8 }
  BEGIN { exit far(b * log(2) - n) || far(d * log(10) - n) }'
score --no-bos --unit token --columns tokens,surprisal --no-header "$T/sentence"
check "--no-bos: the first token has no surprisal" eval 'quiet_success && [ -z "$(head -n 1 $T/out | cut -f2)" ] && (($(grep -c . $T/out) == 5))'
score --no-bos --format jsonl --columns surprisal,rank,perplexity "$T/mark"
check "... null in JSON" eval 'quiet_success && out_has "\"unit\":\"document\",\"surprisal\":null,\"rank\":null,\"perplexity\":null,"'
score --unit word --word-correction --columns surprisal --no-header "$T/sentence"
check "--word-correction changes words" eval 'quiet_success && (($(wc -l <$T/out) == 4)) && [ "$(sum $T/out)" != "$nats" ]'
: >"$T/empty"
score "$T/empty"; check "an empty text is certain" [ "$(tail -n 1 "$T/out" | cut -f2,3)" = $'0\t0' ]

# Formats.
printf 'a,"b"\tc\n\xffd\n' >"$T/odd"
score --unit line --columns text,index --format csv "$T/odd"
check "CSV" eval 'quiet_success && out_is "text,index"$'"'\n'"'"\"a,\"\"b\"\"	c\",0"$'"'\n'"'"$(printf "\xef\xbf\xbd")d,0"$'"'\n'"
score --unit line --columns text "$T/odd"
check "TSV" eval 'quiet_success && out_is "text"$'"'\n'"'"a,\"b\"\\tc"$'"'\n'"'"\\xFFd"$'"'\n'"
score --unit word --format jsonl --columns text,n_tokens "$T/sentence"
check "JSONL" eval 'quiet_success && out_has "\"index\":0,\"unit\":\"word\",\"text\":[\"The\",\"sea\",\"was\",\"blue.\"],\"n_tokens\":[1,1,1,2],\"made_from\":\""'

# Many texts.
awk 'BEGIN { for (i = 0; i < 90; ++i) { printf "The captain said"; for (k = 0; k < i % 11; ++k) printf " number %d", i * k; print "." } }' >"$T/lines"
score --lines --format jsonl "$T/lines"
cp "$T/out" "$T/whole"
check "--lines: in order" eval 'quiet_success && [ "$(grep -o "\"index\":[0-9]*" $T/out | cut -d: -f2 | tr "\n" " ")" = "$(seq 0 89 | tr "\n" " ")" ]'
tr '\n' '\0' <"$T/lines" | "$GPT2" score -0 --format jsonl >"$T/a"; check "--null gives the same" same "$T/a" "$T/whole"
awk '{ printf "{\"text\":\"%s\",\"meta\":{\"x\":[1]}}\n", $0 }' "$T/lines" | "$GPT2" score --jsonl >"$T/a"
check "--jsonl gives the same" same "$T/a" "$T/whole"
head -n 45 "$T/lines" >"$T/half1"; tail -n 45 "$T/lines" >"$T/half2"
score --lines --format jsonl "$T/half1" - <"$T/half2"; check "two inputs give the same" same "$T/out" "$T/whole"
score --lines --format jsonl --batch 3 --kv-memory 1K -t 2 "$T/lines"; check "few at once give the same" same "$T/out" "$T/whole"
for i in 1 2 3; do "$GPT2" score --lines --format jsonl --shard $i/3 "$T/lines"; done | sort -t: -k3n >"$T/a"
check "shards give the same set" eval 'sort $T/a >$T/b; sort $T/whole >$T/c; same $T/b $T/c'
score --lines --unordered --format jsonl --batch 5 "$T/lines"
check "--unordered gives the same set" eval 'sort $T/out >$T/b; same $T/b $T/c'
head -n 30 "$T/whole" >"$T/part"; sed -n 31p "$T/whole" | head -c 50 >>"$T/part"
score --lines --format jsonl -o "$T/part" --resume "$T/lines"
check "--resume adds what is missing" eval 'quiet_success && same $T/part $T/whole'
score --lines --format jsonl --base 2 -o "$T/part" --resume "$T/lines"; error "--resume: other options" 2 "$T/part:1" made_from
sed -i 1s/captain/Captain/ "$T/lines"
score --lines --format jsonl -o "$T/part" --resume "$T/lines"; error "--resume: another text" 2 "$T/part:1" "this text"
score --lines -o "$T/part" "$T/lines"; error "-o: a file that is there" 2 "$T/part" --force
score --lines -o "$T/lines" --force "$T/lines"; error "-o: the input" 2 "$T/lines" "the input"
printf '{"prefix":"The sea was","text":" blue."}\n{"tokens":[464,30],"id":"x"}\n{"text":null}\n{"id":"y","text":3}\n{"tokens":[4096]}\n' >"$T/records"
score --jsonl --columns n_tokens "$T/records"
check "--jsonl: records and their faults" eval 'status_is 6 && [ ! -s $T/err ] && out_has "\"n_tokens\":2," && out_has "{\"id\":\"x\",\"index\":1,\"unit\"" &&
  out_has "records:3:1: expected a \\\"text\\\" or \\\"tokens\\\", found none" && out_has "{\"id\":\"y\",\"index\":3,\"error\":{\"code\":4," && out_has "from 0 to 4095"'
score --jsonl --format tsv --columns id,surprisal --no-header "$T/records"
check "... as a table: rows without values" eval 'status_is 6 && [ "$(cut -f1 $T/out | tr "\n" " ")" = "0 x 2 y 4 " ] && (($(wc -l <$T/err) == 3))'
score --unit word --columns surprisal --no-header -m "$f32" "$T/sentence"; blue=$(sed -n 4p "$T/out")
score --jsonl --format tsv --columns surprisal --no-header -m "$f32" "$T/records"
check "a prefix is context and is not scored" near "$(sed -n 1p "$T/out")" "$blue"
score --stats=json --lines "$T/half1"; check "--stats" eval 'status_is 0 && err_has "\"texts\":45" && err_has "\"scored_tokens\":"'

# To look at.
printf 'The sea was blue.\n\nIt was banana.\n' >"$T/looked"
NO_COLOR=1 score --heat "$T/looked"
check "--heat in a pipe: marks, no escapes" eval 'quiet_success && out_has "The sea was blue." && out_has "bits of surprisal from 0: none" && ! out_has $'"'\x1b'"
score --heat=color "$T/looked"; check "--heat=color: colours" eval 'quiet_success && out_has $'"'\x1b[0m'"
if command -v script >/dev/null; then
  TERM=xterm script -qec "stty cols 20; exec '$GPT2' score --heat '$T/looked'" /dev/null >"$T/out" 2>&1 </dev/null
  check "--heat on a terminal: colours within its width" eval 'out_has $'"'\x1b[38;5;16'"' &&
    (($(sed "s/\x1b\[[0-9;]*m//g; s/\r//" $T/out | tail -n +3 | head -n -2 | awk "{ print length }" | sort -n | tail -n 1) <= 20))'
  TERM=xterm NO_COLOR=1 script -qec "'$GPT2' score --heat '$T/looked'" /dev/null >"$T/out" 2>&1 </dev/null
  check "... NO_COLOR: marks" eval '! out_has $'"'\x1b[38'"' && out_has "blue."'
else
  skip "--heat on a terminal" "no script here"
fi
score --html "$T/page.html" "$T/looked"
check "--html: one page that needs nothing else" eval 'quiet_success && out_has "perplexity" && [ "$(head -c 15 $T/page.html)" = "<!DOCTYPE html>" ] &&
  grep -q "</html>" $T/page.html && ! grep -qE "https?://| src=| href=" $T/page.html && grep -q ">banana\| ban" $T/page.html'
cp "$T/page.html" "$T/first"
score --html "$T/page.html" "$T/looked"; error "--html: a file that is there" 2 "$T/page.html" --force
score --html "$T/page.html" --force -t 1 "$T/looked"; check "--html --force: the same page" eval 'quiet_success && same $T/page.html $T/first'
score --html "$T/looked" --force "$T/looked"; error "--html: the input" 2 "$T/looked"
score --heat --unit word "$T/looked"; error "--heat is no table" 2 --heat --unit
score --heat=blue "$T/looked"; error "--heat: no such form" 2 --heat=marks

score --lines --jsonl "$T/lines"; error "two forms of input" 2 --jsonl
score --unit word --columns best "$T/lines"; error "a column of tokens" 2 best "--unit token"
score --columns text,txet "$T/lines"; error "no such column" 2 txet surprisal
score --columns text,text "$T/lines"; error "a column twice" 2 "each once"
score --word-correction "$T/lines"; error "--word-correction of documents" 2 "--unit word"
score --resume -o "$T/part" "$T/lines"; error "--resume of a table" 2 jsonl
score --window 257 "$T/lines"; error "a window past the context" 2 --window 256
score --window 8 --stride 8 "$T/lines"; error "a stride as long as the window" 2 --stride 7
score "$T/none"; check "a missing file" eval 'status_is 1 && err_has "$T/none"'
score - - </dev/null; error "stdin twice" 2 stdin
finish
