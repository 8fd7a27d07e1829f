#!/usr/bin/env bash
# gpt2 convert the other way: GGUF files and Hugging Face directories made of a model.
. "$(dirname "$0")/lib.bash"

mkdir "$T/dir"
"$GPT2" convert -q "$BOOKS" "$T/books.gpt2"
"$GPT2" convert -q --dtype int8 "$BOOKS" "$T/int8.gpt2"
text() { "$GPT2" generate -m "$1" --greedy -n 24 "The old captain said"; }
text "$T/books.gpt2" >"$T/expected"
text "$T/int8.gpt2" >"$T/expected8"

run "$GPT2" convert "$T/books.gpt2" "$T/dir/books.gguf"
check "to .gguf" eval 'quiet_success && [ "$(ls -A "$T/dir")" = books.gguf ]'
text "$T/dir/books.gguf" >"$T/out"
check "... continues a text as the model does" same "$T/out" "$T/expected"
run "$GPT2" convert "$T/books.gpt2" "$T/dir/books.gguf"; error "an existing file needs --force" 2 --force
run "$GPT2" convert -v --force "$T/int8.gpt2" "$T/dir/books.gguf"
check "--force, -v: a summary" eval '((status == 0)) && err_has parameters'
run "$GPT2" convert --to gguf "$BOOKS" "$T/dir/f32"
check "--to gguf of a directory" eval 'quiet_success && [ "$(head -c 4 "$T/dir/f32")" = GGUF ]'

run "$GPT2" convert --to hf "$T/books.gpt2" "$T/dir/hf/"
check "--to hf" eval 'quiet_success && [ "$(ls -A "$T/dir/hf" | tr "\n" " ")" = "config.json model.safetensors tokenizer.json tokenizer_config.json " ]'
text "$T/dir/hf" >"$T/out"
check "... continues a text as the model does" same "$T/out" "$T/expected"
run "$GPT2" convert --to hf "$T/books.gpt2" "$T/dir/hf"; error "a directory is never replaced" 2 "$T/dir/hf" never
run "$GPT2" convert --force --to hf "$T/books.gpt2" "$T/dir/hf"; error "... not by --force either" 2 never
run "$GPT2" convert --to hf "$T/int8.gpt2" "$T/dir/hf8"
text "$T/dir/hf8" >/dev/null
check "--to hf of int8" eval '[ -s "$T/dir/hf8/model.safetensors" ]'
run "$GPT2" convert --dtype int4 "$T/int8.gpt2" "$T/dir/x.gguf"; error "types of a converted model" 2 --dtype
run "$GPT2" convert "$T/int8.gpt2" "$T/dir/x.gpt2"; error ".gpt2 to .gpt2" 3
head -c 100000 "$T/int8.gpt2" >"$T/cut.gpt2"
run "$GPT2" convert --to hf "$T/cut.gpt2" "$T/dir/cut"; error "a cut model" 3 cut.gpt2
"$GPT2" convert -q --draft-vocab 50 --text "$0" "$BOOKS" "$T/draft.gpt2"
run "$GPT2" convert --to hf "$T/draft.gpt2" "$T/dir/draft"; error "a draft" 3 n_draft_vocab
cp "$T/int8.gpt2" "$T/broken.gpt2"
printf 'x' | dd of="$T/broken.gpt2" bs=1 seek=200000 conv=notrunc status=none
run "$GPT2" convert "$T/broken.gpt2" "$T/dir/broken.gguf"; error "a model with a wrong checksum" 3 checksum
check "... nothing is left behind" eval '[ "$(ls -A "$T/dir" | tr "\n" " ")" = "books.gguf f32 hf hf8 " ]'
finish
