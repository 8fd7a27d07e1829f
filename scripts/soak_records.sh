#!/usr/bin/env bash
# soak_records.sh [RECORDS] [generate|score]: so many short records through `gpt2 generate --jsonl`, or lines through `gpt2 score --lines`.
# Memory after 1000 results and at the end differs by less than 1 %; every record has its result, in order; a run that SIGINT and SIGKILL
# cut, resumed, gives the same bytes. GPT2: the program. SIGNALS: those that cut ("INT KILL"); POLL: seconds between looks.
set -uo pipefail
cd "$(dirname "$0")/.."
records=${1:-100000} command=${2:-generate}
program=${GPT2:-$PWD/build/gpt2}
work=$(mktemp -d)
trap '[ "$BASHPID" != "$$" ] || rm -rf "$work"' EXIT
bad=0
wrong() { echo "WRONG: $*"; bad=$((bad + 1)); }
case $command in
  generate)
    awk -v n="$records" 'BEGIN { for (i = 0; i < n; ++i) printf "{\"id\":\"r%d\",\"prompt\":\"Word %d and\",\"max_new_tokens\":%d}\n", i, i % 997, i % 4 + 1 }' >"$work/in"
    run=("$program" generate --jsonl -s 1 -f "$work/in")
    ;;
  score)
    awk -v n="$records" 'BEGIN { for (i = 0; i < n; ++i) print "Word " i % 997 (i % 3 ? " and" : " or so") }' >"$work/in"
    run=("$program" score --lines --format jsonl "$work/in")
    ;;
  *) echo "soak_records.sh: expected generate or score, found $command" >&2; exit 2 ;;
esac
lines() { wc -l <"$1"; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status" 2>/dev/null; }

start=$(date +%s.%N)
"${run[@]}" -o "$work/whole" &
pid=$!
early='' late=''
while kill -0 $pid 2>/dev/null; do
  now=$(rss $pid)
  if [ -n "$now" ]; then
    if [ -z "$early" ] && [ -e "$work/whole" ] && (($(lines "$work/whole") >= 1000)); then early=$now; fi
    late=$now
  fi
  sleep "${POLL:-0.05}"
done
wait $pid || wrong "status $?"
took=$(echo "$start $(date +%s.%N)" | awk '{ print $2 - $1 }')
(($(lines "$work/whole") == records)) || wrong "$(lines "$work/whole") results of $records"
seq 0 $((records - 1)) | cmp -s - <(sed 's/.*"index":\([0-9]*\),.*/\1/' "$work/whole") || wrong "results out of order"
growth=$(awk -v a="${early:-1}" -v b="${late:-0}" 'BEGIN { printf "%.2f", 100 * (b - a) / a }')
awk -v g="$growth" 'BEGIN { exit !(g < 1) }' || wrong "memory grew by $growth %"
echo "$records records in $took s, $(awk -v n="$records" -v t="$took" 'BEGIN { printf "%.0f", n / t }') records/s; VmRSS $early kB after 1000, $late kB at the end: $growth %"

# Cut three times by each signal, each time after another part of the results.
for signal in ${SIGNALS:-INT KILL}; do
  rm -f "$work/part"
  for cut in 1 2 3; do
    env --default-signal=INT "${run[@]}" -o "$work/part" --resume &
    pid=$!
    while kill -0 $pid 2>/dev/null && { [ ! -e "$work/part" ] || (($(lines "$work/part") < records * cut / 5)); }; do sleep "${POLL:-0.05}"; done
    kill -$signal $pid 2>/dev/null || wrong "it ended before SIG$signal"
    wait $pid 2>/dev/null
  done
  before=$(lines "$work/part")
  "${run[@]}" -o "$work/part" --resume || wrong "status $? after SIG$signal"
  cmp -s "$work/part" "$work/whole" || wrong "after SIG$signal the results are others"
  echo "three SIG$signal, resumed at $before results: $(cmp -s "$work/part" "$work/whole" && echo the same bytes || echo DIFFERENT)"
done
((bad == 0))
