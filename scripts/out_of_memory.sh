#!/usr/bin/env bash
# out_of_memory.sh RUNS: commands of GPT2 with the N-th request for memory refused, for the first RUNS values of N (libraries begin
# with them), about RUNS more spread over all of a clean run and its last RUNS / 4 (threads end there), each once with that request
# alone and once with all after it. Right is: exit 1 and one line that ends in "out of memory", or the result of the clean run.
# Prints what is wrong and a line of counts; the status tells.
set -uo pipefail
cd "$(dirname "$0")/.."
runs=${1:-100}
program=${GPT2:-$PWD/build/gpt2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${CC:-cc}" -shared -fPIC -O1 -o "$work/failing.so" tests/failing_malloc.c -ldl || exit 2
echo '{"prompt":"The sea","max_new_tokens":3,"seed":7}' >"$work/records"
"$program" convert -q models/books "$work/model" || exit 2
bad=0 total=0

# right: whether the run that just ended may end so. The line may be one of libgomp.
right() {
  ((status == 0)) && cmp -s "$work/out" "$work/clean" && return
  ((status == 1)) && [ "$(grep -c . "$work/err")" = 1 ] && grep -qi 'out of memory' "$work/err"
}

# each STDIN ARGUMENT...: the command with refused requests.
each() {
  local stdin=$1 calls step n on
  shift
  FAIL_COUNT=1 LD_PRELOAD=$work/failing.so "$program" "$@" <"$stdin" >"$work/clean" 2>"$work/err" || { echo "WRONG: $*: fails by itself"; exit 1; }
  calls=$(sed -n 's/^CALLS //p' "$work/err")
  step=$(((calls + runs - 1) / runs))
  for n in $( (seq 1 "$runs"; seq 1 "$step" "$calls"; seq $((calls - runs / 4)) "$calls") | sort -nu); do
    for on in "" 1; do
      env FAIL_AT="$n" ${on:+FAIL_ON=1} LD_PRELOAD="$work/failing.so" timeout 20 "$program" "$@" <"$stdin" >"$work/out" 2>"$work/err"
      status=$?
      total=$((total + 1))
      right && continue
      bad=$((bad + 1))
      echo "WRONG: $*: request $n of $calls${on:+ and all after it}: status $status, $(head -c 200 "$work/err" | tr '\n' '|')"
    done
  done
}

each /dev/null --version
each /dev/null generate -t 2 -n 3 --greedy "The sea"
each "$work/records" generate -t 2 --jsonl -n 3 --batch 2
each /dev/null convert --force -q models/books "$work/again"
each /dev/null tokenize -m "$work/model" "The sea"
each /dev/null inspect -m "$work/model"
echo "$total runs, $bad wrong"
((bad == 0))
