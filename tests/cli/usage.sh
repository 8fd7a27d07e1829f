#!/usr/bin/env bash
# Commands, options, their help and their errors.
. "$(dirname "$0")/lib.bash"

run "$GPT2" </dev/null
check "no command: usage on stderr, status 2" eval '((status == 2)) && [ ! -s $T/out ] && err_has "Usage: gpt2 COMMAND"'
run "$GPT2" --version
check "--version" out_is "gpt2 0.1.0"$'\n'
run "$GPT2" --version -v
check "--version -v names the kernels" eval 'quiet_success && out_has "kernels" && out_has scalar && out_has commit'
for arguments in --help -h help "help generate" "generate --help" "generate -h" "convert -h" "eval --help" "eval -h" "tokenize --help" "detokenize -h" \
  "inspect --help" "generate --help --no-such"; do
  run "$GPT2" $arguments </dev/null
  check "gpt2 $arguments" eval 'quiet_success && out_has "Usage: gpt2" && out_has "Examples:"'
  check "gpt2 $arguments: 80 columns" eval '[ -s $T/out ] && ! grep -qE "^.{81}" $T/out'
done
run "$GPT2" generate -h
check "-h is short" eval '(($(wc -l <$T/out) <= 40))'

run "$GPT2" generat; error "unknown command" 2 'unknown command "generat"' "did you mean generate?"
run "$GPT2" zzzzzz; error "unknown command, nothing near" 2 'unknown command "zzzzzz"' "gpt2 --help"
run "$GPT2" help generat; error "help for an unknown command" 2 "did you mean generate?"
run "$GPT2" --vresion; error "unknown option of gpt2" 2 "did you mean --version?"
run "$GPT2" -m x generate; error "option before the command" 2 'expected a command, found the option "-m"'
run "$GPT2" generate --top-q 5 x; error "unknown option" 2 'unknown option "--top-q"' "did you mean --top-"
run "$GPT2" generate --tempreature=1 x; error "unknown option with a value" 2 "did you mean --temperature?"
for name in --num-beams --num_beams --beam --beam-size=4 --beams; do
  run "$GPT2" generate $name x; error "$name" 2 "unknown option" "there is no beam search" --greedy "-N 4"
done
run "$GPT2" generate --do-sample x; error "--do-sample" 2 --greedy
run "$GPT2" generate -Z x; error "unknown short option" 2 'unknown option "-Z"'
run "$GPT2" generate x --seed; error "option without its value" 2 "--seed needs a value"
run "$GPT2" generate --greedy=yes x; error "flag with a value" 2 --greedy 'found "yes"'

bad_value() { run "$GPT2" generate "$1" "$2" x; error "$1 $2" 2 "${3:-$1}" "found \"$2\""; }
for value in abc -1 1e999 nan "" "1 " 0x10 99999999999999999999999; do
  bad_value --top-k "$value"
  bad_value --max-new-tokens "$value"
  bad_value --seed "$value"
  bad_value --threads "$value"
done
for value in abc -1 1e999 nan inf "" "1 " 1,5 1001; do bad_value --temperature "$value"; done
for value in abc -0.1 1.1 nan; do
  bad_value --top-p "$value"
  bad_value --min-p "$value"
done
bad_value --threads 0
bad_value --threads 257
bad_value -n -1 --max-new-tokens
bad_value --kv-dtype f64
bad_value --echo maybe
run "$GPT2" generate --stats=xml x; error "--stats=xml" 2 "--stats" 'found "xml"'
run "$GPT2" generate -m "" x; error "empty model name" 2 --model
run "$GPT2" convert --dtype f64 a b; error "convert --dtype f64" 2 --dtype 'found "f64"'

run "$GPT2" generate --greedy -n 8 "The sea"
cp "$T/out" "$T/expected"
same_text() { check "$1" eval 'quiet_success && same $T/out $T/expected'; }
run "$GPT2" generate --greedy --max_new_tokens=8 "The sea"; same_text "_ stands for - in option names"
for name in --max-tokens --n-predict --predict --max-new-tokens; do
  run "$GPT2" generate --greedy $name 8 "The sea"; same_text "$name is -n"
done
run "$GPT2" generate --temp 0 -n8 "The sea"; same_text "--temp 0 is greedy"
run "$GPT2" generate -T 1e-40 -n8 "The sea"; same_text "a temperature of almost 0 is greedy"
run "$GPT2" generate -n 3 --greedy -n 8 "The sea"; same_text "the last of an option given twice counts"
run "$GPT2" generate -n 8 --greedy -- "The sea"; same_text "-- ends the options"
run "$GPT2" generate -n 4 --greedy --echo always -- "--greedy is a word"
check "text after -- may begin with hyphens" eval 'quiet_success && grep -q "^--greedy is a word" $T/out'
run "$GPT2" generate -n 4 --greedy --echo always "[a, b]"
check "a prompt in brackets is text" eval 'quiet_success && grep -qF "[a, b]" $T/out'
run "$GPT2" generate -n 4 --greedy --echo always "- item"
check "a prompt that begins with a hyphen and a space" eval 'quiet_success && grep -q "^- item" $T/out'

GPT2_ISA=scalar run "$GPT2" generate --greedy -n 8 "The sea"; same_text "GPT2_ISA=scalar: the same text"
GPT2_ISA=mmx run "$GPT2" generate x; error "GPT2_ISA: unknown name" 2 GPT2_ISA scalar 'found "mmx"'
absent=$("$GPT2" --version -v | sed -n 's/^kernels//; s/^ *\([a-z0-9]*\) (not here.*/\1/p' | head -n 1)
if [ -n "$absent" ]; then
  GPT2_ISA=$absent run "$GPT2" generate x; error "GPT2_ISA: not on this CPU" 5 "GPT2_ISA=$absent"
else
  skip "GPT2_ISA: not on this CPU" "this CPU runs all kernels"
fi
finish
