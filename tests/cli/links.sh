#!/usr/bin/env bash
# Symbolic links that lead nowhere or in a circle, as every kind of input and output; and runs that may open few files.
. "$(dirname "$0")/lib.bash"
cd "$T" || exit 1
"$GPT2" convert -q "$BOOKS" m.gpt2
ln -s gone dangling; ln -s circle circle; ln -s no/folder/x far
printf '{"prompt":"The sea","max_new_tokens":2}\n{"prompt":"The sky","max_new_tokens":2}\n' >in
long=$(for i in $(seq 30); do printf 'The captain looked at the sea %d times. ' "$i"; done)

# Inputs: a prompt's is exit 1, a model's exit 3; the link and what it leads to are named.
for link in "dangling gone" "circle circle"; do
  read -r name target <<<"$link"
  run "$GPT2" generate -f $name; error "-f $name" 1 $name "link to $target"
  run "$GPT2" generate --jsonl -f $name; error "--jsonl -f $name" 1 $name "link to $target"
  run "$GPT2" generate -m ./$name x; error "-m $name" 3 $name "link to $target"
  run env GPT2_MODELS="$T" "$GPT2" generate -m $name x; error "-m $name by its name" 3 $name "link to $target"
  run "$GPT2" inspect -m ./$name; error "inspect $name" 3 $name "link to $target"
  run "$GPT2" convert ./$name new.gpt2; error "convert $name" 3 $name "link to $target"
  run "$GPT2" convert --draft-vocab 99 --text $name "$BOOKS" new.gpt2; error "--text $name" 1 $name "link to $target"
  run "$GPT2" eval perplexity $name; error "eval $name" 1 $name "link to $target"
done
check "nothing was written" [ ! -e new.gpt2 ]
# A file of a checkpoint that is a link to nothing is no file that is not there.
for file in config.json model.safetensors vocab.json merges.txt generation_config.json tokenizer.json tokenizer_config.json \
  added_tokens.json special_tokens_map.json chat_template.jinja model.safetensors.index.json; do
  rm -rf src; cp -r "$BOOKS" src; rm -f src/$file
  [ $file != model.safetensors.index.json ] || rm src/model.safetensors
  ln -s ../../blobs/abc src/$file
  run "$GPT2" convert src new.gpt2
  error "a checkpoint whose $file leads nowhere" 3 src/$file "link to ../../blobs/abc"
done

# Outputs: a link to a new name is written through; one that leads into no folder, or in a circle, is exit 1.
for path in far circle; do
  run "$GPT2" convert "$BOOKS" $path; error "convert to $path" 1 $path "link to"
  run "$GPT2" generate --jsonl -f in -o $path; error "-o $path" 1 $path "link to"
  run "$GPT2" generate --jsonl -f in -o $path --force; error "-o $path --force" 1 $path "link to"
  run "$GPT2" generate --jsonl -f in -o $path --resume; error "-o $path --resume" 1 $path "link to"
  run "$GPT2" generate -m m.gpt2 --greedy -n 1 --on-overflow truncate-left --prompt-cache $path "$long"
  check "--prompt-cache $path" eval 'status_is 1 && err_has $path && err_has "link to"'
  check "$path stays a link" [ -L $path ]
done

# Few descriptors (the loader itself takes 4): every run is the same as with many, or exit 1 that says so and leaves what
# was there.
rm -rf src; cp -r "$BOOKS" src
"$GPT2" generate --jsonl -s 1 -f in >whole
mkdir few
with() { (ulimit -n "$1" && shift && exec "$@"); }
said() { status_is 1 && (($(wc -l <err) == 1)) && grep -qE 'Too many open files|closed standard stream' err; }
wrong=""
each() {
  local what=$1 n
  shift
  for n in $(seq 4 14); do
    rm -rf few; mkdir few; head -n 1 whole >few/r; echo old >few/m
    with "$n" "$@" >out 2>err; status=$?
    if status_is 0; then continue; fi
    said && [ "$(cat few/m)" = old ] && same few/r <(head -n 1 whole) || wrong+=" $what:$n:$status:$(head -c 200 err | tr '\n' '|')"
  done
}
each resume "$GPT2" generate --jsonl -s 1 -f in -o few/r --resume
each text "$GPT2" generate -m m.gpt2 --greedy -n 2 x
each checkpoint "$GPT2" generate -m src --greedy -n 2 x
each convert "$GPT2" convert --force -q "$BOOKS" few/m
each name env GPT2_MODELS="$T" "$GPT2" generate -m m --greedy -n 2 x
each cache "$GPT2" generate -m m.gpt2 --greedy -n 1 --on-overflow truncate-left --prompt-cache few/new "$long"
each inspect "$GPT2" inspect -m m.gpt2
each tokenize "$GPT2" tokenize -m src -f in
each eval "$GPT2" eval perplexity -m m.gpt2 in
check "with 4 to 14 descriptors" [ -z "$wrong" ]
[ -z "$wrong" ] || echo "# $wrong"
finish
