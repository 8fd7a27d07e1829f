#!/usr/bin/env bash
# Where -m NAME looks, and what it says when it finds nothing.
. "$(dirname "$0")/lib.bash"

export HOME=$T/home
unset GPT2_MODELS XDG_DATA_HOME XDG_CACHE_HOME HF_HOME HF_HUB_CACHE
mkdir -p "$HOME"
"$GPT2" convert -q "$BOOKS" "$T/books.gpt2"
run "$GPT2" generate --greedy -n 8 "The sea"
cp "$T/out" "$T/expected"
finds() {
  local name=$1
  shift
  run "$@" --greedy -n 8 "The sea"
  check "$name" eval 'quiet_success && same $T/out $T/expected'
}
# put FOLDER NAME: the converted model there.
put() { mkdir -p "$1" && ln -f "$T/books.gpt2" "$1/$2.gpt2"; }

run "$GPT2" generate -m nowhere x
error "no such name: every place is named" 3 nowhere "$HOME/.local/share/gpt2/models" "$HOME/.cache/gpt2/models" "$HOME/.cache/huggingface/hub"
run "$GPT2" generate -m gpt2-xl x; error "a published name: how to get it" 3 "scripts/get-gpt2.sh gpt2-xl"
run env GPT2_MODELS=/one:/two/three "$GPT2" generate -m nowhere x; error "GPT2_MODELS is named too" 3 "/one" "/two/three"
run env XDG_DATA_HOME=/d XDG_CACHE_HOME=/c "$GPT2" generate -m nowhere x
error "XDG folders are named" 3 /d/gpt2/models /c/gpt2/models /c/huggingface/hub
run env XDG_DATA_HOME=relative "$GPT2" generate -m nowhere x
error "a relative XDG folder counts as unset" 3 "$HOME/.local/share/gpt2/models"
run env HF_HOME=/h "$GPT2" generate -m nowhere x; error "HF_HOME" 3 /h/hub
run env HF_HOME=/h HF_HUB_CACHE=/hc "$GPT2" generate -m nowhere x; error "HF_HUB_CACHE wins" 3 "in /hc"
run env -u HOME "$GPT2" generate -m nowhere x; error "no home" 3 "none here"
run env GPT2_MODEL=nowhere "$GPT2" generate x; error "GPT2_MODEL with no such name" 3 nowhere
run "$GPT2" inspect nowhere; error "inspect of no such name" 3 nowhere
run "$GPT2" generate -m "$T/none.gpt2" x; error "a path that is not there" 3 "$T/none.gpt2" "No such file"
run "$GPT2" generate -m ../none x; error "a relative path that is not there" 3 ../none "No such file"

put "$T/one" in-path; put "$T/two" in-path2
finds "GPT2_MODELS" env GPT2_MODELS="$T/one:$T/two" "$GPT2" generate -m in-path
finds "its second folder" env GPT2_MODELS="$T/one::$T/two" "$GPT2" generate -m in-path2
finds "a name with its ending" env GPT2_MODELS="$T/one" "$GPT2" generate -m in-path.gpt2
finds "GPT2_MODEL may be a name" env GPT2_MODELS="$T/one" GPT2_MODEL=in-path "$GPT2" generate
put "$HOME/.local/share/gpt2/models" in-data; put "$HOME/.cache/gpt2/models" in-cache
finds "data folder" "$GPT2" generate -m in-data
finds "cache folder" "$GPT2" generate -m in-cache
put "$T/xdg/gpt2/models" in-xdg
finds "XDG_DATA_HOME" env XDG_DATA_HOME="$T/xdg" "$GPT2" generate -m in-xdg
finds "XDG_CACHE_HOME" env XDG_CACHE_HOME="$T/xdg" "$GPT2" generate -m in-xdg
cp -r "$BOOKS" "$T/one/directory"
finds "a checkpoint in a folder" env GPT2_MODELS="$T/one" "$GPT2" generate -m directory

# The hub's cache: revisions of links to blobs; refs/main names the one that counts.
hub=$T/hub
repository() {
  local folder=$hub/models--$1/snapshots/$2
  mkdir -p "$folder" "$hub/models--$1/refs"
  ln -s "$BOOKS"/* "$folder/"
}
repository someone--own-gpt2 aaaa
finds "hub: by its whole name" env HF_HUB_CACHE="$hub" "$GPT2" generate -m someone/own-gpt2
finds "hub: by the last part" env HF_HUB_CACHE="$hub" "$GPT2" generate -m own-gpt2
mkdir -p "$T/hf"; ln -s "$hub" "$T/hf/hub"
finds "hub: HF_HOME" env HF_HOME="$T/hf" "$GPT2" generate -m someone/own-gpt2
repository gpt2 cccc
mkdir -p "$hub/models--gpt2/snapshots/zzzz"
echo '{"model_type": "broken"}' >"$hub/models--gpt2/snapshots/zzzz/config.json"
run env HF_HUB_CACHE="$hub" "$GPT2" generate -m gpt2 x
error "hub: without refs/main the last revision counts" 3 zzzz/config.json
printf cccc >"$hub/models--gpt2/refs/main"
finds "hub: the revision of refs/main" env HF_HUB_CACHE="$hub" "$GPT2" generate -m gpt2
printf '../../../../etc' >"$hub/models--gpt2/refs/main"
run env HF_HUB_CACHE="$hub" "$GPT2" generate -m gpt2 x
error "hub: refs/main cannot lead out" 3 zzzz/config.json
run env HF_HUB_CACHE="$hub" "$GPT2" generate -v -n 0 -m own-gpt2 x
check "hub: -v says how to convert once" err_has "gpt2 convert $hub/models--someone--own-gpt2/snapshots/aaaa $HOME/.local/share/gpt2/models/own-gpt2.gpt2"
mkdir -p "$hub/models--half--done/snapshots/dddd"
run env HF_HUB_CACHE="$hub" "$GPT2" generate -m half/done x; error "hub: half a download is no model" 3 half/done "in $hub"

put "$T/cwd/org" here; put "$T/one" here.gpt2-not
cd "$T/cwd"
finds "a name with a slash is a path first" env GPT2_MODELS="$T/one" "$GPT2" generate -m org/here.gpt2
mkdir -p in-path && printf junk >in-path.gpt2
finds "a bare name is not taken from here first" env GPT2_MODELS="$T/one" "$GPT2" generate -m in-path
run env GPT2_MODELS="$T/one" "$GPT2" generate -m in-path.gpt2 x; error "NAME.gpt2 is a path first" 3 in-path.gpt2
cp -r "$BOOKS" "$T/cwd/plain"
finds "a bare name is a path last" "$GPT2" generate -m plain

run env GPT2_MODELS="$T/one" HF_HUB_CACHE="$hub" "$GPT2" doctor --no-probes
check "doctor lists the places" eval 'quiet_success && out_has "$T/one: directory, here.gpt2-not, in-path" &&
  out_has "$HOME/.local/share/gpt2/models: in-data" && out_has "$hub: gpt2, someone/own-gpt2"'
finish
