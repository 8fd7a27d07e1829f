#!/usr/bin/env bash
# scripts/get-gpt2.sh against a small hub on this machine, with the built-in model's checkpoint in the place of GPT-2.
. "$(dirname "$0")/lib.bash"

get=$PWD/scripts/get-gpt2.sh
run bash "$get"; check "no model: usage" eval '((status == 2)) && err_has "get-gpt2.sh [--dtype" && [ ! -s $T/out ]'
run bash "$get" gpt3; error "no such model" 2 gpt2-xl 'found "gpt3"'
run bash "$get" --dtype f64 gpt2; error "no such type" 2 --dtype 'found "f64"'
run bash "$get" gpt2 gpt2-xl; error "two models" 2 gpt2-xl
if ! command -v python3 >/dev/null || ! command -v curl >/dev/null; then
  skip "get-gpt2.sh" "python3 or curl is not here"
  finish
fi

export GPT2 GPT2_RETRY_SECONDS=0 HOME=$T/home no_proxy=127.0.0.1
unset XDG_DATA_HOME XDG_CACHE_HOME GPT2_MODELS
models=$HOME/.local/share/gpt2/models
downloads=$HOME/.cache/gpt2/downloads
python3 tests/hub_server.py "$BOOKS" "$T/port" >"$T/requests" 2>/dev/null &
server=$!
trap '[ "$BASHPID" != "$$" ] || { kill "$server" 2>/dev/null; rm -rf "$T"; }' EXIT
for ((i = 0; i < 100; ++i)); do [ -s "$T/port" ] && break; sleep 0.05; done
get_from() {
  local mode=$1
  shift
  run env GPT2_HUB="http://127.0.0.1:$(cat "$T/port")/$mode" bash "$get" "$@"
}
"$GPT2" convert -q "$BOOKS" "$T/want.gpt2"
"$GPT2" generate --greedy -n 8 "The sea" >"$T/expected"
# Hidden names (the lock) aside, what a run that failed leaves may only be called .part.
only_parts() { [ ! -e "$models/$1.gpt2" ] && [ ! -e "$downloads/$1/model.safetensors" ]; }
is_whole() { ((status == 0)) && "$GPT2" inspect --verify --no-values "$models/$1.gpt2" >/dev/null && [ ! -e "$downloads/$1" ]; }

get_from good gpt2
check "download and convert" eval 'is_whole gpt2 && out_has "gpt2 generate -m gpt2 "'
run "$GPT2" generate --greedy -n 8 -m gpt2 "The sea"
check "-m finds it" eval 'quiet_success && same $T/out $T/expected'
get_from gone gpt2; check "a model that is there is not asked for" eval '((status == 0)) && out_has "there already"'
get_from good --dtype int8 gpt2
check "--dtype" eval '((status == 0)) && "$GPT2" inspect --no-values --json $models/gpt2-int8.gpt2 | grep -q int8'
get_from good --to "$T/elsewhere" distilgpt2; check "--to" eval '((status == 0)) && [ -s $T/elsewhere/distilgpt2.gpt2 ]'
get_from plain gpt2-large; check "a server that promises only a length" is_whole gpt2-large

get_from cut gpt2-medium
check "a connection cut twice goes on where it stopped" eval 'is_whole gpt2-medium &&
  [ "$(grep "^cut model.safetensors" $T/requests | cut -d" " -f3 | tr "\n" " " | grep -cE "^0 [1-9][0-9]+ [1-9][0-9]+ $")" = 1 ]'
get_from norange gpt2-xl; check "a server without ranges: again from the start" is_whole gpt2-xl
rm -f "$models/gpt2-medium.gpt2"
kill "$server"; wait "$server" 2>/dev/null; rm "$T/port"
python3 tests/hub_server.py "$BOOKS" "$T/port" >"$T/requests" 2>/dev/null &
server=$!
for ((i = 0; i < 100; ++i)); do [ -s "$T/port" ] && break; sleep 0.05; done
run env GPT2_RETRIES=1 GPT2_HUB="http://127.0.0.1:$(cat "$T/port")/cut" bash "$get" gpt2-medium
check "no attempts left: no half file under a final name" eval '((status == 1)) && only_parts gpt2-medium && err_has "not complete" &&
  [ -s $downloads/gpt2-medium/model.safetensors.part ]'
get_from good gpt2-medium
check "the next run goes on" eval 'is_whole gpt2-medium && grep -qE "^good model.safetensors [1-9]" $T/requests'
rm -f "$models/gpt2-medium.gpt2"
get_from wrong gpt2-medium
check "another hash than promised" eval '((status == 1)) && only_parts gpt2-medium && err_has "hash" &&
  [ ! -e $downloads/gpt2-medium/model.safetensors.part ]'
mkdir -p "$downloads/gpt2-medium"; head -c 100000000 /dev/zero >"$downloads/gpt2-medium/model.safetensors.part"
get_from good gpt2-medium; check "a part that is too long is thrown away" is_whole gpt2-medium
rm -f "$models/gpt2-medium.gpt2"
mkdir -p "$downloads/gpt2-medium"; head -c 1000 /dev/zero >"$downloads/gpt2-medium/model.safetensors.part"
get_from good gpt2-medium
check "a part of something else is noticed" eval '((status == 1)) && only_parts gpt2-medium && err_has hash'
get_from good gpt2-medium; check "... and the next run begins again" is_whole gpt2-medium
rm -f "$models/gpt2-medium.gpt2"
get_from gone gpt2-medium; check "404" eval '((status == 1)) && only_parts gpt2-medium && err_has "cannot reach"'
(mkdir -p "$downloads/gpt2-medium"; exec 8>"$downloads/gpt2-medium/.lock"; flock 8; sleep 1) &
sleep 0.3
get_from good gpt2-medium; check "two at once" eval '((status == 1)) && err_has "another download"'
finish
