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
unset GPT2_ISA

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
check "terminal: no prompt is a usage error" eval 'out_has "status 2" && out_has "Usage: gpt2 generate"'
script -qec "$GPT2 tokenize; echo status \$?" /dev/null >"$T/out" 2>&1 </dev/null
check "terminal: nothing to tokenize is a usage error" out_has "status 2"
finish
