#!/usr/bin/env bash
# No output destroys a file that it was not told to replace: outputs that are inputs, links, FIFOs and devices, prompt caches,
# what is left of killed runs; and --resume, which goes on with its own results only.
. "$(dirname "$0")/lib.bash"
cd "$T" || exit 1

long=$(for i in $(seq 30); do printf 'The captain looked at the sea %d times. ' "$i"; done)
printf '%s' "$long" >prompt
"$GPT2" convert -q "$BOOKS" m.gpt2
printf '{"prompt":"The sea","max_new_tokens":2}\n{"prompt":"The sky","max_new_tokens":2}\n' >in
cp in in.kept

# kept NAME FILE KEPT WORD...: the last run was refused by one line, and FILE has the bytes of KEPT.
kept() {
  local name=$1 file=$2 before=$3
  shift 3
  error "$name" 2 "$@"
  check "... and it is kept" same "$file" "$before"
}
many() { run timeout 60 "$GPT2" generate --jsonl -s 1 "$@"; }

# An output that is an input, by every name.
ln in hard; ln -s in soft; mkdir -p sub; ln -s ../in sub/far; cp m.gpt2 m.kept; ln m.gpt2 m.hard
for name in in ./in hard soft sub/far; do
  many -f in -o $name --force; kept "-o $name is -f" in in.kept "$name"
  many -o $name --force <in; kept "-o $name is stdin" in in.kept stdin
done
many -f in -o in --resume; kept "--resume of the input" in in.kept
many -f in -o m.hard --force -m m.gpt2; kept "-o is -m" m.gpt2 m.kept -m
GPT2_MODEL=m.gpt2 many -f in -o m.hard --force; kept "-o is \$GPT2_MODEL" m.gpt2 m.kept
many -f in -o m.gpt2 --force --draft-model m.hard; kept "-o is --draft-model" m.gpt2 m.kept --draft-model
cp -r "$BOOKS" src
for file in config.json model.safetensors vocab.json merges.txt; do
  [ -e src/$file ] || continue
  many -f in -o src/$file --force -m src; kept "-o is $file of -m" src/$file "$BOOKS/$file"
  run "$GPT2" convert --force src src/$file; kept "DST is $file of SRC" src/$file "$BOOKS/$file"
done
ln src/model.safetensors weights; ln -s src/model.safetensors to-weights
run "$GPT2" convert --force src weights; kept "DST is the weights by a hard link" weights "$BOOKS/model.safetensors"
run "$GPT2" convert --force src to-weights; kept "DST is the weights by a symbolic link" weights "$BOOKS/model.safetensors"
run "$GPT2" convert --force --draft-vocab 99 --text prompt src prompt; kept "DST is --text" prompt <(printf '%s' "$long") --text
run "$GPT2" convert --force --draft-vocab 99 --text - src prompt <prompt; kept "DST is the --text on stdin" prompt <(printf '%s' "$long")
"$GPT2" generate --jsonl -s 1 -f in >>in 2>err; status=$?; : >out
check "stdout is the input" eval 'status_is 2 && same in in.kept && grep -q stdout err'
many -f in -o fresh; check "another file is written" eval 'quiet_success && (($(wc -l <fresh) == 2))'
"$GPT2" convert -q src m.src
run "$GPT2" convert src src/again.gpt2 && run "$GPT2" convert --force src src/again.gpt2
check "a file beside SRC's own is replaced" eval 'quiet_success && same src/again.gpt2 m.src'

# Links stay, FIFOs and devices are never replaced.
mkdir disk2; echo old >disk2/m; chmod 600 disk2/m; ln -s disk2/m link; ln -s disk2/new dangling; ln -s loop loop
run "$GPT2" convert --force src link
check "convert: a link stays, its target is replaced where it is" eval 'quiet_success && [ -L link ] && [ ! -L disk2/m ] && same disk2/m m.src'
check "... and is as private as it was" [ "$(stat -c %a disk2/m)" = 600 ]
run "$GPT2" convert src dangling; check "convert: through a link to nothing" eval 'quiet_success && [ -L dangling ] && same disk2/new m.src'
run "$GPT2" convert src link; error "convert: what a link leads to needs --force" 2 link --force
run "$GPT2" convert src loop; error "convert: a loop of links" 1 loop
many -f in -o link --force; check "-o: a link stays" eval 'quiet_success && [ -L link ] && same disk2/m fresh'
mkfifo pipe
run timeout 10 "$GPT2" convert --force src pipe; error "convert: a FIFO" 2 pipe FIFO
check "... stays" [ -p pipe ]
run timeout 10 "$GPT2" convert --force src /dev/null; error "convert: a device" 2 /dev/null device
check "... stays" [ -c /dev/null ]
ln -s pipe to-pipe
run timeout 10 "$GPT2" convert --force src to-pipe; error "convert: a link to a FIFO" 2 to-pipe FIFO
timeout 60 cat pipe >read & pid=$!
many -f in -o to-pipe --force; wait $pid
check "-o: a FIFO is written to" eval 'quiet_success && [ -p pipe ] && same read fresh'
many -f in -o /dev/null; check "-o: a device is written to" quiet_success

for name in "" -; do run "$GPT2" convert src "$name"; error "convert to \"$name\"" 2 DST "\"$name\""; done
run timeout 60 "$GPT2" generate --prompt-cache - x; error "--prompt-cache -" 2 --prompt-cache stdout
check "no file is called -" [ ! -e ./- ]

# A prompt cache takes the place of nothing else.
cache() { run timeout 60 "$GPT2" generate -m m.gpt2 --greedy -n 1 --on-overflow truncate-left --prompt-cache "$@"; }
echo 'my notes' >notes; cp notes notes.kept; printf 'gpt2-k' >short; cp short short.kept
cache notes -f prompt; kept "--prompt-cache of notes" notes notes.kept notes "prompt cache"
cache short -f prompt; kept "--prompt-cache of a file that only begins like one" short short.kept
cp prompt prompt.kept
cache prompt -f prompt; kept "--prompt-cache is -f" prompt prompt.kept
cache m.hard -f prompt; kept "--prompt-cache is -m" m.gpt2 m.kept
cache src/config.json -f prompt -m src; kept "--prompt-cache is a file of -m" src/config.json "$BOOKS/config.json"
cache pipe -f prompt; error "--prompt-cache of a FIFO" 2 pipe FIFO
cache /dev/null -f prompt; error "--prompt-cache of a device" 2 /dev/null
ln -s target cachelink; : >empty
cache cachelink -f prompt; check "--prompt-cache through a link" eval 'quiet_success && [ -L cachelink ] && [ -s target ]'
cache empty -f prompt; check "--prompt-cache of an empty file" eval 'quiet_success && same empty target'
cache empty "$long and then some more of it, which is long enough to be told from what was there before it"
check "--prompt-cache of another prompt's" eval 'quiet_success && [ -s empty ]'
GPT2_ISA= "$GPT2" generate -m m.gpt2 --greedy -n 1 --on-overflow truncate-left --prompt-cache both -f prompt >both 2>err; status=$?
check "--prompt-cache is stdout" eval 'status_is 2 && [ ! -s both ]'
cache tiny -v "The sea"; check "-v: too short for a file" eval '((status == 0)) && [ ! -e tiny ] && err_has tiny && err_has 64'

# Where files without names are missing (here: /proc is refused), temporaries have names that nobody else has.
echo half >.left.gpt2.tmp.1234
run "$GPT2" convert src left.gpt2
check "what a killed run left is told" eval '((status == 0)) && err_has .left.gpt2.tmp.1234 && [ -s .left.gpt2.tmp.1234 ]'
longest=$(printf 'n%.0s' $(seq 250))
run "$GPT2" convert --force -q src "$longest" && run "$GPT2" convert --force -q src "$longest"
check "a name of 250 bytes" eval 'quiet_success && same "$longest" m.src'

# --resume: alone, with its own results.
many -f in -o r; cp r whole
for line in "$(sed 's/The sea/An apple/' in)" "$(sed 1d in)" "$(sed '1i {"prompt":"A new one"}' in)"; do
  head -n 1 whole >r; cp r r.kept
  printf '%s\n' "$line" >edited
  many -f edited -o r --resume
  kept "--resume: a line was changed, removed or inserted: $(head -n 1 edited | head -c 30)" r r.kept
done
for options in "-s 2" "-T 5" "--top-p 0.5" "-N 2" "--kv-dtype f32" "--stop x" "--logprobs 1" "-m m.gpt2" "--ignore-eos" "--logit-bias 5:1"; do
  head -n 1 whole >r; cp r r.kept
  # shellcheck disable=SC2086
  many -f in -o r --resume $options; kept "--resume with $options" r r.kept made_from
done
for options in "-t 1" "--batch 1" "--draft-lookup --spec force"; do
  head -n 1 whole >r
  # shellcheck disable=SC2086
  many -f in -o r --resume $options; check "--resume with $options, which gives the same" eval 'quiet_success && same r whole'
done
cat whole <(head -n 1 whole) >r; cp r r.kept; many -f in -o r --resume; kept "--resume: a result twice" r r.kept r:3 once
cp whole r; cp r r.kept; many -f in -o r --resume --shard 1/2; kept "--resume: another shard's result" r r.kept r:2 "record 1"
sed 's/"sample":0/"sample":4294967295/' whole >r; cp r r.kept; many -f in -o r --resume; kept "--resume: no such sample" r r.kept 4294967295
sed 's/,"made_from":"[^"]*"//' whole >r; cp r r.kept; many -f in -o r --resume; kept "--resume: an older version's" r r.kept r:1 older
printf 'my notes' >r; cp r r.kept; many -f in -o r --resume; kept "--resume: a file that ends in no newline" r r.kept r:1
{ cat whole; printf 'my notes'; } >r; cp r r.kept; many -f in -o r --resume; kept "--resume: results and notes behind them" r r.kept r:3
{ head -n 1 whole; printf '{"id":1,"text":'; } >r; cp r r.kept; many -f in -o r --resume; kept "--resume: another program's record" r r.kept r:2
same_after_cut=1
for cut in $(seq 1 3 "$(stat -c %s whole)"); do
  head -c "$cut" whole >r
  many -f in -o r --resume
  quiet_success && same r whole || same_after_cut=0
done
check "--resume after a cut anywhere" [ $same_after_cut = 1 ]
printf '{"prompt":"a","max_new_tokens":1}\nnonsense\n{"prompt":3}\n' >bad
many -f bad -o r --force; cp r r.kept
check "records that fail" status_is 6
many -f bad -o r --resume; check "--resume remembers records that failed" eval 'status_is 6 && same r r.kept && [ ! -s err ]'
sed 's/nonsense/Nonsense/' bad >edited
many -f edited -o r --resume; kept "--resume: another bad record" r r.kept
run "$GPT2" generate --jsonl --greedy -f in -o g && run "$GPT2" generate --jsonl --greedy -f in -o g --resume
check "--resume without a seed of what no seed changes" eval 'quiet_success && (($(wc -l <g) == 2))'

mkfifo slow; rm r
"$GPT2" generate --jsonl -s 1 -f slow -o r & pid=$!
exec 9<>slow  # does not wait for a program that is not there
head -n 1 in >&9
for _ in $(seq 400); do [ -s r ] && break; sleep 0.02; done
cp r r.kept
many -f in -o r --resume; kept "--resume of a file that another run writes" r r.kept r another
many -f in -o r --force; kept "--force of a file that another run writes" r r.kept r another
tail -n 1 in >&9
exec 9>&-
wait $pid; status=$?
check "... and that run is not disturbed" eval 'status_is 0 && same r whole'
finish
