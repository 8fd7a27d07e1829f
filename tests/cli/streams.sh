#!/usr/bin/env bash
# stdout that fails, signals, model files that change, terminals.
. "$(dirname "$0")/lib.bash"

"$GPT2" generate --greedy -n 5 "The sea" >/dev/full 2>"$T/err"; status=$?; : >"$T/out"
error "a full disk" 1 stdout "No space left"
"$GPT2" generate --json -n 5 "The sea" >/dev/full 2>"$T/err"; status=$?
error "a full disk, --json" 1 stdout
"$GPT2" generate --greedy -n 5 "The sea" >&- 2>"$T/err"; status=$?
error "a closed stdout" 1 stdout
"$GPT2" --help >/dev/full 2>"$T/err"; status=$?
error "help on a full disk" 1 stdout
"$GPT2" generate --greedy -n 5 <&- 2>"$T/err" >"$T/out"; status=$?
error "a closed stdin" 1 stdin
run "$GPT2" generate --greedy -n 5 "The sea" <&-
check "a closed stdin that is not needed" quiet_success
"$GPT2" generate --greedy -n 5 "The sea" 2>&- >"$T/out"; status=$?; : >"$T/err"
check "a closed stderr" eval 'quiet_success && [ -s $T/out ]'
(ulimit -f 1; exec "$GPT2" generate --help) >"$T/short" 2>"$T/err"; status=$?
check "a file size limit is an error, not a signal" eval 'status_is 1 && err_has "File too large"'

# 256 tokens of the plain kernels take long enough to be interrupted.
export GPT2_ISA=scalar
slow=(env --default-signal=INT,TERM,PIPE "$GPT2" generate -t 1 --ignore-eos -n 1000 -s)
PIPE=$(bash -c "$(printf '%q ' "${slow[@]}") 1 x | head -c 1 >/dev/null; echo \${PIPESTATUS[0]}" 2>"$T/err")
check "a reader that goes away ends it by SIGPIPE" [ "$PIPE" = 141 ]
check "... silently" [ ! -s "$T/err" ]

# interrupted SIGNAL SEED OPTION...: status and output of a run that gets the signal once it has begun to write.
interrupted() {
  local signal=$1 seed=$2
  shift 2
  : >"$T/out"
  "${slow[@]}" "$seed" -T 5 "$@" "It was" >"$T/out" 2>"$T/err" &
  local pid=$!
  for _ in $(seq 200); do
    [ -s "$T/out" ] && break
    kill -0 $pid 2>/dev/null || break
    sleep 0.005
  done
  kill -"$signal" $pid
  wait $pid 2>/dev/null
  status=$?
}
whole=1
for seed in 1 2 3 4 5; do
  interrupted INT $seed
  full=$("$GPT2" generate -t 2 --ignore-eos -n 1000 -s $seed -T 5 "It was" | head -c "$(stat -c %s "$T/out")" | cksum)
  ((status == 130)) && [ "$full" = "$(cksum <"$T/out")" ] || whole=0
done
check "SIGINT: status 130, what was printed is the beginning of the text" [ $whole = 1 ]
interrupted INT 6
check "SIGINT: nothing on stderr" eval 'status_is 130 && [ ! -s $T/err ]'
interrupted TERM 7
check "SIGTERM: status 143" status_is 143
"${slow[@]}" 8 --json "It was" >"$T/out" 2>"$T/err" & pid=$!
sleep 0.2
kill -INT $pid
wait $pid 2>/dev/null; status=$?
check "SIGINT with --json: the record says so" eval 'status_is 130 && out_has "\"finish_reason\":\"interrupted\""'

"$GPT2" convert "$BOOKS" "$T/model.gpt2"
"${slow[@]}" 9 -m "$T/model.gpt2" "It was" >"$T/out" 2>"$T/err" & pid=$!
sleep 0.1
truncate -s 8192 "$T/model.gpt2"
wait $pid 2>/dev/null; status=$?
: >"$T/out"
error "a model file that shrinks while it is used" 3 "$T/model.gpt2" shorter
"$GPT2" convert --force "$BOOKS" "$T/model.gpt2"
"$GPT2" convert "$BOOKS" "$T/draft.gpt2"
"${slow[@]}" 9 -m "$T/model.gpt2" --draft-model "$T/draft.gpt2" --draft-max 1 "It was" >"$T/out" 2>"$T/err" & pid=$!
until grep -q draft.gpt2 /proc/$pid/maps 2>/dev/null || ! kill -0 $pid; do sleep 0.01; done
truncate -s 8192 "$T/model.gpt2"
wait $pid 2>/dev/null; status=$?
: >"$T/out"
error "... while a draft is mapped too: the file that the fault lies in is named" 3 "$T/model.gpt2" shorter
# A model that is overwritten where it lies. Its text may be anything, its status not.
"$GPT2" convert -qf "$BOOKS" "$T/model.gpt2"
"$GPT2" convert -qf --dtype int8 "$BOOKS" "$T/draft.gpt2"
# overwritten FILE: flips bytes of the file while the last job, of which $pid is the process, is in the middle.
overwritten() {
  for _ in $(seq 400); do [ -s "$T/out" ] && break; sleep 0.01; done
  printf 'xxxx' | dd of="$1" bs=1 seek=900000 conv=notrunc 2>/dev/null
  wait $pid 2>/dev/null; status=$?
}
: >"$T/out"; "${slow[@]}" 9 -m "$T/model.gpt2" "It was" >"$T/out" 2>"$T/err" & pid=$!
overwritten "$T/model.gpt2"
check "a model file that is overwritten while it is used" eval 'status_is 3 && err_has "$T/model.gpt2: file: " && err_has changed'
for i in $(seq 30); do echo "{\"prompt\":\"Number $i\",\"max_new_tokens\":12,\"ignore_eos\":true}"; done >"$T/in"
"$GPT2" convert -qf "$BOOKS" "$T/model.gpt2"
"$GPT2" generate --jsonl -t 1 --batch 1 -s 1 -m "$T/model.gpt2" -f "$T/in" >"$T/whole" 2>/dev/null
: >"$T/out"; "$GPT2" generate --jsonl -t 1 --batch 1 -s 1 -m "$T/model.gpt2" -f "$T/in" >"$T/out" 2>"$T/err" & pid=$!
overwritten "$T/model.gpt2"
check "... with many prompts: no result after the change" \
  eval 'status_is 3 && err_has changed && cmp -s -n $(stat -c %s "$T/out") "$T/out" "$T/whole" && (($(wc -l <"$T/out") < 30))'
"$GPT2" convert -qf "$BOOKS" "$T/model.gpt2"
: >"$T/out"; "${slow[@]}" 9 -m "$T/model.gpt2" --draft-model "$T/draft.gpt2" "It was" >"$T/out" 2>"$T/err" & pid=$!
overwritten "$T/draft.gpt2"
check "... a draft" eval 'status_is 3 && err_has "$T/draft.gpt2: file: "'
: >"$T/out"; "${slow[@]}" 9 -m "$T/model.gpt2" "It was" >"$T/out" 2>"$T/err" & pid=$!
for _ in $(seq 400); do [ -s "$T/out" ] && break; sleep 0.01; done
"$GPT2" convert -qf --dtype int8 "$BOOKS" "$T/model.gpt2"
wait $pid; status=$?
check "a model file that is replaced by another is still the old one" eval 'status_is 0 && [ ! -s "$T/err" ]'
unset GPT2_ISA

# Descriptors that do not block, as whoever shares them may have set.
if perl -MFcntl -e 1 2>/dev/null; then
  nonblocking() { perl -MFcntl -e 'for my $fd (*STDIN, *STDOUT, *STDERR) { fcntl($fd, F_SETFL, fcntl($fd, F_GETFL, 0) | O_NONBLOCK) } exec @ARGV' "$@"; }
  for i in $(seq 400); do echo "{\"prompt\":\"Number $i\",\"max_new_tokens\":1,\"seed\":1}"; done >"$T/in"
  "$GPT2" generate --jsonl -f "$T/in" >"$T/whole"
  { (sleep 0.2; cat "$T/in") | nonblocking "$GPT2" generate --jsonl; echo $? >"$T/status"; } 2>"$T/err" | { sleep 1; cat; } >"$T/out"
  check "O_NONBLOCK: all results to a slow reader" eval '[ "$(cat $T/status)" = 0 ] && [ ! -s "$T/err" ] && same "$T/out" "$T/whole"'
  (sleep 0.2; echo "The sea") | nonblocking "$GPT2" generate --greedy -n 4 2>"$T/err" | cat >"$T/out"
  check "O_NONBLOCK: a prompt that comes late" eval '[ ! -s "$T/err" ] && [ "$(cat $T/out)" = "$("$GPT2" generate --greedy -n 4 "The sea")" ]'
  for i in $(seq 2000); do echo "nonsense $i"; done >"$T/bad"
  { nonblocking "$GPT2" generate --lines --on-overflow error -n 999999 -f "$T/bad" 2>&1 >/dev/null </dev/null; } | { sleep 1; cat; } >"$T/err"
  check "O_NONBLOCK: all messages to a slow reader" eval '(($(wc -l <"$T/err") == 2000))'
else
  skip "O_NONBLOCK" "no perl"
fi

if ! script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
  skip "on a terminal" "no script(1)"
  finish
fi
on_terminal() { SHELL=$BASH script -qec "$(printf '%q ' "$@")" /dev/null </dev/null >"$T/out" 2>"$T/err"; status=$?; tr -d '\r' <"$T/out" >"$T/text"; }
export TERM=xterm
on_terminal "$GPT2" generate --greedy -n 6 "The sea"
check "terminal: the prompt is faint, the text is not" grep -qF $'\x1b[2mThe sea\x1b[0m' "$T/text"
on_terminal env TERM=dumb "$GPT2" generate --greedy -n 6 "The sea"
check "terminal: no colours for TERM=dumb" eval '[ -s $T/text ] && ! grep -qF "$(printf "\\033")" $T/text'
export NO_COLOR=1
on_terminal "$GPT2" generate --greedy -n 6 "The sea"
check "terminal: the prompt is shown, the last line ended" \
  [ "$(cat "$T/text"; echo x)" = "The sea$("$GPT2" generate --greedy -n 6 "The sea")"$'\nx' ]
on_terminal "$GPT2" generate --echo never --greedy -n 6 "The sea"
check "terminal: --echo never" [ "$(cat "$T/text"; echo x)" = "$("$GPT2" generate --greedy -n 6 "The sea")"$'\nx' ]
on_terminal "$GPT2" generate -n 1 --greedy $'a\x1b[31m\x07\xff'
check "terminal: control characters are shown" grep -qF 'a\x1B[31m\x07'$'\xef\xbf\xbd' "$T/text"
on_terminal "$GPT2" generate --greedy -n 2 "ends in a space "
check "terminal: a note on a final space" grep -q "note: the prompt ends in a space" "$T/text"
script -qec "$GPT2 generate; echo status \$?" /dev/null >"$T/out" 2>&1 </dev/null
check "terminal: no prompt is a usage error of one line" \
  eval 'out_has "status 2" && out_has "no prompt given" && out_has "usage: gpt2 generate" && (($(grep -c . $T/out) <= 2 + $(grep -c Script $T/out)))'
# Progress fits in any width, and is gone when a signal ends the work.
for i in $(seq 400); do echo "The captain looked at the sea, and said nothing for $i minutes; then he went below."; done >"$T/long"
for width in 12 30 200; do
  script -qec "stty cols $width; GPT2_ISA=scalar timeout --foreground -s INT 2 env --default-signal=INT $GPT2 eval perplexity -t 1 $T/long" /dev/null >"$T/out" 2>&1 </dev/null
  tr '\r' '\n' <"$T/out" | sed 's/\x1b\[K//g' | grep '^tokens' >"$T/drawn"
  if [ -s "$T/drawn" ]; then
    check "terminal: progress in $width columns" eval '! grep -qE "^.{$width}" $T/drawn'
    check "... and gone in the end" eval '[ "$(grep -v "^Script" $T/out | tail -n 1 | grep -oE "[^K]*K?$" | tail -n 1 | tr -d "\n^C" | tail -c 3 | od -An -c | tr -d " ")" = "033[K" ] || tail -n 3 $T/out | grep -q "top\|time"'
  else
    skip "terminal: progress in $width columns" "none was drawn"
  fi
done
script -qec "stty cols 60; $GPT2 doctor --no-probes" /dev/null >"$T/out" 2>&1 </dev/null
check "terminal: doctor's lines wrap" eval 'out_has kernels && ! tr -d "\r" <$T/out | grep -qE "^.{61}"'
script -qec "$GPT2 tokenize; echo status \$?" /dev/null >"$T/out" 2>&1 </dev/null
check "terminal: nothing to tokenize is a usage error" out_has "status 2"
finish
