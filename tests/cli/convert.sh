#!/usr/bin/env bash
# gpt2 convert and gpt2 inspect: whole files or none, and what is in them.
. "$(dirname "$0")/lib.bash"

mkdir "$T/dir"
model=$T/dir/books.gpt2
only_model() { [ "$(ls -A "$T/dir")" = books.gpt2 ]; }
run "$GPT2" convert "$BOOKS" "$model"
check "convert" eval 'quiet_success && [ ! -s $T/out ] && only_model'
cp "$model" "$T/first"
run "$GPT2" convert "$BOOKS" "$model"; error "an existing file needs --force" 2 "$model" --force
check "... and is kept" same "$model" "$T/first"
echo old >"$model"
run "$GPT2" convert --force "$BOOKS" "$model"
check "--force: the same bytes again" eval 'quiet_success && same $model $T/first && only_model'
"$GPT2" convert --quiet --dtype int8 "$BOOKS" "$T/int8.gpt2"
hash=$("$GPT2" inspect --no-values --json "$T/int8.gpt2" | grep -o '"header_xxh3":"[^"]*"')
check "the built-in model is this checkpoint in int8" [ "$("$GPT2" inspect --no-values --json | grep -o '"header_xxh3":"[^"]*"')" = "${hash:-none}" ]
run "$GPT2" convert -v "$BOOKS" "$T/dir/v.gpt2"
check "-v: a summary" eval '((status == 0)) && err_has parameters && (($(wc -l <$T/err) == 1))'
rm "$T/dir/v.gpt2"

run "$GPT2" convert -q --dtype int8 --keep 'h.0.*=f32' --keep 'h.2.*=int8g32' --keep 'wte*=bf16' "$BOOKS" "$T/dir/kept.gpt2"
"$GPT2" inspect -m "$T/dir/kept.gpt2" >"$T/out"
# type TENSOR: of a matrix, as inspect lists it.
type() { awk -v name="$1" '$1 == name { print $4 }' "$T/out"; }
check "--keep: the types of the tensors that it names, and of others" \
  [ "$(type h.0.attn.c_attn.weight) $(type h.0.mlp.c_proj.weight) $(type h.1.mlp.c_proj.weight) $(type h.2.mlp.c_proj.weight) $(type wte.weight)" = "f32 f32 int8 int8g32 bf16" ]
rm "$T/dir/kept.gpt2"
run "$GPT2" convert "$BOOKS"; error "one operand" 2 "SRC and DST"
run "$GPT2" convert "$BOOKS" "$BOOKS"; error "SRC is DST" 2 same
run "$GPT2" convert --force "$BOOKS" "$BOOKS/../books"; error "SRC is DST by another name" 2 same
run "$GPT2" convert --force "$BOOKS" "$T/dir"; error "DST is a directory" 2 directory
run "$GPT2" convert "$T/none" "$T/dir/x"; error "no such SRC" 3 "$T/none"
run "$GPT2" convert "$BOOKS/model.safetensors" "$T/dir/x"; error "SRC is a file of a directory" 3 "the directory $BOOKS"
printf 'GGUF\3\0\0\0' >"$T/gguf"
run "$GPT2" convert "$T/gguf" "$T/dir/x"; error "SRC is a damaged GGUF file" 3 "$T/gguf: tensor count"
run "$GPT2" generate -m "$T/gguf" x; error "-m of a damaged GGUF file" 3 "$T/gguf: tensor count"
# A repository in a hub's cache: by its name, and by its folder.
mkdir -p "$T/hub/models--a--b/snapshots/abc" "$T/hub/models--a--b/refs"
ln -s "$(realpath "$BOOKS")"/* "$T/hub/models--a--b/snapshots/abc/"
printf abc >"$T/hub/models--a--b/refs/main"
for source in a/b "$T/hub/models--a--b" "$T/hub/models--a--b/"; do
  run env HF_HUB_CACHE="$T/hub" "$GPT2" convert "$source" "$T/dir/hub"
  check "SRC in the hub's cache: ${source#"$T/"}" quiet_success
  rm -f "$T/dir/hub"
done
run "$GPT2" convert "$BOOKS" "$T/none/x"; error "no such folder for DST" 1 "$T/none"
cp -r "$BOOKS" "$T/broken"
truncate -s 100000 "$T/broken/model.safetensors"
run "$GPT2" convert "$T/broken" "$T/dir/x"; error "a truncated checkpoint" 3 "$T/broken/model.safetensors"
rm "$T/broken/model.safetensors"
: >"$T/broken/pytorch_model.bin"
run "$GPT2" convert "$T/broken" "$T/dir/x"; error "only pytorch_model.bin" 3 safetensors
check "failures leave nothing behind" only_model
cp -r "$BOOKS" "$T/warned"
sed -i 's/"n_layer"/"some_new_key": 1, "n_layer"/' "$T/warned/config.json"
run "$GPT2" convert "$T/warned" "$T/dir/w"
check "an unknown key is one warning" eval '((status == 0)) && err_has some_new_key && (($(wc -l <$T/err) == 1))'
run "$GPT2" convert --force --quiet "$T/warned" "$T/dir/w"
check "--quiet" quiet_success
rm "$T/dir/w"

(ulimit -f 64; exec "$GPT2" convert "$BOOKS" "$T/dir/x") 2>"$T/err"; status=$?
check "a disk that fills up" eval 'status_is 1 && err_has "$T/dir/x"'
check "... leaves nothing behind" only_model
clean=1
for delay in 0 0.002 0.004 0.006 0.008 0.01 0.015 0.02 0.03; do
  env --default-signal=INT "$GPT2" convert --force "$BOOKS" "$T/dir/x" 2>/dev/null & pid=$!
  sleep $delay
  kill -INT $pid 2>/dev/null
  wait $pid 2>/dev/null; status=$?
  case $status in 0 | 130) ;; *) clean=0 ;; esac
  if [ -e "$T/dir/x" ]; then
    same "$T/dir/x" "$T/first" || clean=0
    rm "$T/dir/x"
  fi
  only_model || clean=0
done
check "SIGINT at any moment: the whole file or nothing" [ $clean = 1 ]

run "$GPT2" inspect "$model"
check "inspect" eval 'quiet_success && out_has wte.weight && out_has n_ctx && out_has "0 NaN, 0 infinite"'
check "inspect counts the parameters" out_has 2615424
run "$GPT2" inspect -m "$model" --verify
check "inspect --verify" eval 'quiet_success && out_has "all tensors match"'
run "$GPT2" inspect "$BOOKS" --no-values; check "inspect of a directory" eval 'quiet_success && out_has n_ctx'
run "$GPT2" inspect; check "inspect of the built-in model" eval 'quiet_success && out_has "built in"'
run "$GPT2" inspect --json --verify "$model"
check "inspect --json" eval 'quiet_success && out_has "\"parameters\":2615424" && out_has "\"verified\":true"'
if python3 -c 'import json' 2>/dev/null; then
  check "inspect --json parses" python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
t = {x["name"]: x for x in r["tensors"]}
assert t["wte.weight"]["shape"] == [4096, 192] and t["wte.weight"]["nan"] == 0 and r["config"]["n_layer"] == 4' "$T/out"
else
  skip "inspect --json parses" "no python3"
fi
run "$GPT2" inspect "$T/none"; error "inspect: no such file" 3 "$T/none"
cp "$model" "$T/flipped"
printf '\x5a' | dd of="$T/flipped" bs=1 seek=$(($(stat -c %s "$model") / 2)) conv=notrunc 2>/dev/null
run "$GPT2" inspect --verify "$T/flipped"; error "a changed byte" 3 "$T/flipped" checksum
run "$GPT2" inspect "$model" "$model"; error "two models" 2 inspect
run "$GPT2" inspect -m "$model" "$model"; error "a model twice" 2 --model
# Memory: a checkpoint of 130 MB of zeros, largest tensor 12.6 MB, under a limit of 64 MiB plus twice that for what is no file.
mkdir "$T/large"
cp "$BOOKS"/{vocab.json,merges.txt} "$T/large/"
echo '{"model_type":"gpt2","n_layer":4,"n_head":12,"n_embd":768,"n_positions":1024,"vocab_size":4096}' >"$T/large/config.json"
header= at=0
# tensor NAME SHAPE COUNT: the next one in the file.
tensor() {
  header+="${header:+,}\"$1\":{\"dtype\":\"F32\",\"shape\":[$2],\"data_offsets\":[$at,$((at + 4 * $3))]}"
  at=$((at + 4 * $3))
}
tensor wte.weight 4096,768 $((4096 * 768))
tensor wpe.weight 1024,768 $((1024 * 768))
for i in 0 1 2 3; do
  for norm in ln_1 ln_2; do tensor h.$i.$norm.weight 768 768; tensor h.$i.$norm.bias 768 768; done
  for matrix in "attn.c_attn 768 2304" "attn.c_proj 768 768" "mlp.c_fc 768 3072" "mlp.c_proj 3072 768"; do
    read -r name rows columns <<<"$matrix"
    tensor h.$i.$name.weight "$rows,$columns" $((rows * columns))
    tensor h.$i.$name.bias "$columns" "$columns"
  done
done
tensor ln_f.weight 768 768
tensor ln_f.bias 768 768
header="{$header}"
{
  for ((i = 0; i < 8; ++i)); do printf "\\x$(printf %02x $((${#header} >> (8 * i) & 255)))"; done
  printf %s "$header"
} >"$T/large/model.safetensors"
truncate -s $((8 + ${#header} + at)) "$T/large/model.safetensors"
for dtype in f32 int4; do
  if sanitized; then skip "convert $dtype: memory" "AddressSanitizer's own is more"; continue; fi
  (ulimit -d $((64 * 1024 + 2 * 12288)); OMP_NUM_THREADS=2 exec "$GPT2" convert -q --dtype $dtype "$T/large" "$T/dir/x") >"$T/out" 2>"$T/err"
  status=$?
  check "convert $dtype: memory is bounded by the largest tensor, not the file" quiet_success
  rm -f "$T/dir/x"
done
rm -r "$T/large"
finish
