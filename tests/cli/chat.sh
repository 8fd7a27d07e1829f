#!/usr/bin/env bash
# gpt2 chat without a terminal, and generate --chat.
. "$(dirname "$0")/lib.bash"

chat() { run timeout 60 "$GPT2" chat "$@"; }

# A model that was not taught to chat: it says so, and each answer continues the text so far.
chat --greedy -n 8 < <(printf 'The old captain said\n\nand then he\n')
check "GPT-2 continues, and says so" eval 'status_is 0 && err_has "was not taught to chat" && (($(grep -c . $T/out) >= 2))'
cp "$T/out" "$T/two"
run "$GPT2" generate --greedy -n 8 "The old captain said"
check "the first answer is what generate writes" eval '[ "$(head -n $(wc -l <$T/out) $T/two)" = "$(cat $T/out)" ]'
first=$(cat "$T/out")
run "$GPT2" generate --greedy -n 8 "The old captain said$first
and then he"
check "the second is what it writes behind both" eval '[ "$(tail -n $(wc -l <$T/out) $T/two)" = "$(cat $T/out)" ]'
chat --greedy -n 4 </dev/null
check "no line, no answer" eval 'status_is 0 && [ ! -s $T/out ]'
chat --greedy -n 4 < <(printf '/system x\n')
check "/system needs a model that chats" eval 'status_is 2 && err_has "/system"'
chat x </dev/null; error "a text as operand" 2 "chat:" "found \"x\""
chat --system x </dev/null; error "--system without a chat model" 2 "--system"

# The same weights with a template.
cp -r "$BOOKS" "$T/taught"
cat >"$T/taught/tokenizer_config.json" <<'JSON'
{"chat_template":"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"}
JSON
run "$GPT2" convert "$T/taught" "$T/taught.gpt2"
check "convert keeps the template" eval 'status_is 0'
run "$GPT2" inspect --no-values "$T/taught.gpt2"
check "inspect names its form" eval 'quiet_success && grep -qE "^chat +chatml" $T/out'
chat -m "$T/taught.gpt2" --greedy -n 6 --system "Be brief." < <(printf 'Who is there?\n/save %s\n/stats\n/seed 5\n' "$T/saved.jsonl")
check "a model with a template" eval 'status_is 0 && ! err_has "not taught" && [ -s $T/out ] && err_has "seed 5" && err_has "kept from earlier turns"'
cp "$T/out" "$T/answer"
printf '{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Who is there?"}],"greedy":true,"max_tokens":6}\n' >"$T/messages"
run "$GPT2" generate --chat -m "$T/taught.gpt2" <"$T/messages"
check "generate --chat" eval 'quiet_success && out_has "\"text\""'
ids=$(grep -oE '"tokens":\[[0-9,]*\]' "$T/out" | head -n 1 | cut -d: -f2)
text=$("$GPT2" detokenize -m "$T/taught.gpt2" "$ids")
printf '%s\n' "$text" | sed '1{/^[ ]*$/d}; s/^ *//' >"$T/text"
sed 's/^ *//' "$T/answer" >"$T/shown"
check "generate --chat gives the answer of chat" eval '[ -s $T/text ] && same $T/text $T/shown'
run "$GPT2" generate --chat -m "$T/taught.gpt2" -n 3 --greedy <"$T/saved.jsonl"
check "what /save wrote is read" eval 'quiet_success && grep -q "\"role\":\"assistant\"" $T/saved.jsonl'
chat -m "$T/taught.gpt2" -n 2 < <(printf '/save %s\n' "$T/saved.jsonl")
check "/save replaces nothing" eval 'status_is 2 && err_has saved.jsonl && err_has "nothing is replaced" && ! err_has --force'
chat -m "$T/taught.gpt2" -n 2 < <(printf '/nonsense\nhello\n')
check "an unknown command is said, and the next line answered" eval 'status_is 2 && err_has "/nonsense" && [ -s $T/out ]'
chat -m "$T/taught.gpt2" --greedy -n 6 < <(printf '"""one\ntwo"""\nthree\\\nfour\n/save %s\n' "$T/lines.jsonl")
check "messages of several lines" eval 'status_is 0 && grep -qF "one\\ntwo\"" $T/lines.jsonl && grep -qF "three\\nfour\"" $T/lines.jsonl'
chat -m "$T/taught.gpt2" -n 2 < <(for i in $(seq 40); do echo "line $i of a conversation that outgrows the context"; done)
check "a full context goes on" eval 'status_is 0 && err_has "were forgotten"'
chat --greedy -n 100000 --ignore-eos < <(echo 'The old captain said')
check "an answer that the context ends says so" eval 'status_is 0 && [ "$(grep -c "the context is full: the answer ends here" $T/err)" = 1 ]'
chat -m "$T/taught.gpt2" -n 2 < <(printf '"""one\ntwo\n')
check "a block that the end of the input ends is a message" eval 'status_is 0 && [ -s $T/out ]'
chat -m "$T/taught.gpt2" -n 2 < <(printf 'one\\\n')
check "... and a line that was to go on" eval 'status_is 0 && [ -s $T/out ]'
chat -m "$T/taught.gpt2" -n 2 < <(printf 'one\n/reset\n/system Be brief.\n/save %s\n/help\n' "$T/anew.jsonl")
check "/reset and /system say what they did" eval 'status_is 0 && err_has "begun anew" && err_has "with this system message" &&
  [ "$(cat $T/anew.jsonl)" = "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"}]}" ]'
check "/help fits 80 columns" eval '! grep -qE "^.{81}" $T/err && err_has "/seed N"'

# At a terminal of 40 columns: help that fits, a block, the last message brought back by an arrow, and the end.
if script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
  printf '/help\r"""a\rb"""\r\033[A\r/save %s\r/quit\r' "$T/typed.jsonl" |
    SHELL=$BASH timeout 60 script -qec "stty cols 40; $GPT2 chat -m $T/taught.gpt2 -n 4 --greedy; echo status \$?" /dev/null >"$T/typed" 2>&1
  tr -d '\r' <"$T/typed" >"$T/text"
  check "at a terminal: the end" grep -q '^status 0' "$T/text"
  check "... help in 40 columns" eval 'grep -q "^    (without N: show it)" $T/text && ! grep -qE "^ .{40}" $T/text'
  check "... a message of two lines, twice" [ "$(grep -oF '"content":"a\nb"' "$T/typed.jsonl" | wc -l)" = 2 ]
else
  skip "at a terminal" "script cannot make one"
fi

run "$GPT2" generate --chat </dev/null; error "--chat without a template" 3 chat_template --chat-template
run "$GPT2" generate --chat --chat-template zephyr -n 2 --greedy < <(echo '{"messages":[{"role":"user","content":"x"}]}')
check "--chat-template for a model without" eval 'quiet_success && out_has "\"text\""'
run "$GPT2" generate --chat-template zephyr x; error "--chat-template without --chat" 2 --chat-template
run "$GPT2" generate --jsonl < <(echo '{"messages":[]}')
check "messages without --chat" eval 'status_is 6 && out_has "--chat reads messages"'
run "$GPT2" generate --chat --chat-template gemma < <(echo '{"messages":[{"role":"system","content":"x"}]}')
check "a role that the template has no place for" eval 'status_is 6 && out_has "no system message"'
sed -i 's/<|im_start|>/[INST]/g; s/<|im_end|>/[\/INST]/g' "$T/taught/tokenizer_config.json"
chat -m "$T/taught" </dev/null
check "a template of another form is refused by name" eval 'status_is 3 && err_has mistral && err_has --chat-template'

# Signals: SIGINT ends a run from a pipe, as any other command.
GPT2_ISA=scalar env --default-signal=INT "$GPT2" chat -t 1 -n 100000 --ignore-eos -s 1 < <(echo hello; sleep 5) >"$T/out" 2>"$T/err" & pid=$!
for _ in $(seq 100); do [ -s "$T/out" ] && break; sleep 0.05; done
kill -INT $pid 2>/dev/null
wait $pid; status=$?
check "SIGINT from a pipe" status_is 130
finish
