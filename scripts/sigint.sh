#!/usr/bin/env bash
# sigint.sh [TIMES]: SIGINT at random moments of `gpt2 generate` into a pipe. Each time: status 130; the text is valid UTF-8
# and a beginning of the whole text, that is, nothing printed was lost. GPT2: the program; RANDOM_SEED: of the moments.
set -uo pipefail
cd "$(dirname "$0")/.."
times=${1:-100}
program=${GPT2:-$PWD/build/gpt2}
RANDOM=${RANDOM_SEED:-$$}
work=$(mktemp -d)
trap '[ "$BASHPID" != "$$" ] || rm -rf "$work"' EXIT
# 709 is a dash of three bytes, so that the text is not all ASCII.
options=(-n 240 -s 5 --ignore-eos --logit-bias 709:3 -t 1)
"$program" generate "${options[@]}" "The sea" >"$work/whole" || exit 1
valid() { iconv -f UTF-8 -t UTF-8 "$1" >/dev/null 2>&1; }
whole_valid=1
valid "$work/whole" || whole_valid=0
bad=0 cut=0 ended=0 empty=0
for ((i = 0; i < times; ++i)); do
  # The stop comes after 0 to 60 ms, of about 70 that a whole text takes.
  env --default-signal=INT "$program" generate "${options[@]}" "The sea" >"$work/out" 2>"$work/err" &
  pid=$!
  sleep "0.$(printf '%04d' $((RANDOM % 600)))"
  kill -INT $pid 2>/dev/null
  wait $pid 2>/dev/null
  status=$?
  size=$(stat -c %s "$work/out")
  if ((status == 0)) && cmp -s "$work/out" "$work/whole"; then ended=$((ended + 1)); continue; fi
  ((status == 130)) || { echo "WRONG: status $status"; bad=$((bad + 1)); }
  cmp -s -n "$size" "$work/out" "$work/whole" || { echo "WRONG: not a beginning of the text"; bad=$((bad + 1)); }
  ((whole_valid == 0)) || valid "$work/out" || { echo "WRONG: not UTF-8"; bad=$((bad + 1)); }
  [ ! -s "$work/err" ] || { echo "WRONG: stderr: $(head -c 100 "$work/err")"; bad=$((bad + 1)); }
  if ((size == 0)); then empty=$((empty + 1)); else cut=$((cut + 1)); fi
done
echo "$times signals: $cut texts cut, $empty before the first token, $ended after the last; valid UTF-8 wanted: $whole_valid; $bad wrong"
((bad == 0))
