#!/usr/bin/env bash
# gpt2 generate --prompt-cache: the same text, the prompt computed once.
. "$(dirname "$0")/lib.bash"

long="It was the best of times, it was the worst of times. The old captain looked at the sea and said nothing for a long while, for \
he knew that the wind would turn before the morning, and that nobody on board would believe him if he told them so. Then he laughed, \
and lit his pipe, and looked at the boy who had come to him with the letter, and asked him whether he was afraid of the dark."
run "$GPT2" generate -s 5 -n 30 "$long"
cp "$T/out" "$T/plain"
run "$GPT2" generate -s 5 -n 30 --prompt-cache "$T/cache" "$long"
check "a new cache: the same text" eval 'quiet_success && same $T/plain $T/out && [ -s $T/cache ]'
cp "$T/cache" "$T/first"
inode=$(stat -c %i "$T/cache")
run "$GPT2" generate -s 5 -n 30 --prompt-cache "$T/cache" --stats=json "$long"
check "a known prompt: the same text, whole blocks from the file" eval '((status == 0)) && same $T/plain $T/out && (($(json_number cached_tokens $T/err) == 64))'
check "an unchanged cache is not written again" [ "$inode" = "$(stat -c %i "$T/cache")" ]
run "$GPT2" generate -s 5 -n 30 --prompt-cache "$T/cache" --kv-dtype f32 -v "$long"
check "another type of cache: a note and a cold start" eval '((status == 0)) && err_has "type of the cache" && err_has "computed anew"'
printf 'x' | dd of="$T/first" bs=1 seek=5000 conv=notrunc 2>/dev/null
run "$GPT2" generate -s 5 -n 30 --prompt-cache "$T/first" -v "$long"
check "a damaged cache: a note, the same text, a new file" eval '((status == 0)) && same $T/plain $T/out && err_has checksum'
run "$GPT2" generate -s 5 -n 30 --prompt-cache "$T/first" "$long"
check "a damaged cache was made anew" eval 'quiet_success && same $T/plain $T/out'
run "$GPT2" generate -n 4 --prompt-cache "$T/no/such" "$long"
check "a cache that cannot be written is an error after the text" eval 'status_is 1 && err_has $T/no'
run "$GPT2" generate --lines --prompt-cache "$T/cache"; error "one prompt only" 2 --prompt-cache
run "$GPT2" generate --jsonl -v -o "$T/r.jsonl" --resume </dev/null
check "--resume without a seed says what it does" eval '((status == 0)) && err_has "without --seed"'
finish
