#!/usr/bin/env bash
# records_proof.sh [N]: N (200) prompts of mixed length, greedy and drawn, a third with a long beginning in common, through --jsonl in
# batches of 1, 3 and 16, in order and shuffled: each text is that of its record alone in a process of its own.
set -uo pipefail
cd "$(dirname "$0")/.."
n=${1:-200} gpt2=${GPT2:-build/gpt2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
common="It was a dark and stormy night; the rain fell in torrents, except at occasional intervals, when it was checked by a violent gust of \
wind which swept up the streets, rattling along the housetops, and fiercely agitating the scanty flame of the lamps that struggled."
for ((i = 0; i < n; ++i)); do
  text="Number $i"
  ((i % 3 == 0)) && text="$common And then $i"
  for ((k = 0; k < i % 17; ++k)); do text+=" and the old captain said"; done
  choice='"greedy":true'
  ((i % 2 == 1)) && choice='"temperature":0.9,"top_p":0.95'
  echo "{\"id\":$i,\"prompt\":\"$text\",\"max_new_tokens\":$((1 + i * 7 % 40)),\"seed\":$((1000 + i)),$choice}"
done >"$work/in"
tokens() { grep -o "\"$1\":[0-9]*,\|\"tokens\":\[[^]]*\]" | paste -sd' ' | sed "s/ \"$1\"/\n\"$1\"/g" | sort; }
i=0
while read -r line; do
  prompt=$(sed 's/.*"prompt":"\([^"]*\)".*/\1/' <<<"$line") length=$(grep -o '"max_new_tokens":[0-9]*' <<<"$line" | cut -d: -f2)
  options=(--greedy)
  ((i % 2 == 1)) && options=(-T 0.9 --top-p 0.95)
  echo "\"id\":$i, $("$gpt2" generate --json -s $((1000 + i)) -n "$length" "${options[@]}" "$prompt" </dev/null | grep -o '"tokens":\[[^]]*\]')"
  i=$((i + 1))
done <"$work/in" | sort >"$work/alone"
bad=0
for batch in 1 3 16; do
  for order in cat "shuf --random-source=$work/in"; do
    $order "$work/in" | "$gpt2" generate --jsonl --batch $batch | tokens id >"$work/together"
    if cmp -s "$work/alone" "$work/together"; then
      echo "ok batch $batch, ${order%% *}: $n texts are those of $n processes"
    else
      echo "not ok batch $batch, ${order%% *}: $(diff "$work/alone" "$work/together" | grep -c '^<') texts differ"
      bad=1
    fi
  done
done
exit $bad
