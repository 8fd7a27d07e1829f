#!/usr/bin/env bash
# get-gpt2.sh [--dtype f32|bf16|int8|int8g32|int4] [--to FOLDER] NAME: downloads a published GPT-2 and converts it.
# NAME: gpt2, gpt2-medium, gpt2-large, gpt2-xl or distilgpt2. The model is NAME.gpt2, or NAME-DTYPE.gpt2 for another type than
# f32, in the folder where `gpt2 generate -m NAME` looks; FOLDER is for another.
# A download that was cut goes on where it stopped, also in the next run. Size and hash are compared with what the server
# says of the file (the hub's SHA-256 of a weight file, git's hash of a small one) before it gets its name.
# Environment: GPT2_HUB, the server (https://huggingface.co); GPT2, the program; GPT2_RETRIES, attempts a file (5).
set -euo pipefail

hub=${GPT2_HUB:-https://huggingface.co}
retries=${GPT2_RETRIES:-5}
dtype=f32
models=${XDG_DATA_HOME:-${HOME:?}/.local/share}/gpt2/models
name=

die() { echo "get-gpt2: $1" >&2; exit "${2:-1}"; }
usage() { sed -n '2,8s/^# \?//p' "$0"; }
while (($# > 0)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dtype) (($# > 1)) || die "--dtype needs a value" 2; dtype=$2; shift ;;
    --dtype=*) dtype=${1#*=} ;;
    --to) (($# > 1)) || die "--to needs a value" 2; models=$2; shift ;;
    --to=*) models=${1#*=} ;;
    -*) die "unknown option \"$1\"" 2 ;;
    *) [ -z "$name" ] || die "expected one model, found \"$name\" and \"$1\"" 2; name=$1 ;;
  esac
  shift
done
case $name in
  gpt2 | gpt2-medium | gpt2-large | gpt2-xl) repository=openai-community/$name ;;
  distilgpt2) repository=distilbert/$name ;;
  "") usage >&2; exit 2 ;;
  *) die "expected gpt2, gpt2-medium, gpt2-large, gpt2-xl or distilgpt2, found \"$name\"" 2 ;;
esac
case $dtype in f32 | bf16 | int8 | int8g32 | int4) ;; *) die "--dtype: expected f32, bf16, int8, int8g32 or int4, found \"$dtype\"" 2 ;; esac
command -v curl >/dev/null || die "curl is not installed"

here=$(dirname "$0")
for program in "${GPT2:-}" "$here/../build/gpt2" "$(command -v gpt2 || true)"; do [ -x "$program" ] && break; done
[ -x "$program" ] || die "no gpt2 program found: run make first, or name it with GPT2=..."

model=$models/$name.gpt2
[ "$dtype" = f32 ] || model=$models/$name-$dtype.gpt2
if [ -e "$model" ]; then
  echo "get-gpt2: $model is there already"
  exit 0
fi
downloads=${XDG_CACHE_HOME:-${HOME:?}/.cache}/gpt2/downloads/$name
mkdir -p "$downloads" "$models"
exec 9>"$downloads/.lock"
flock -n 9 || die "another download of $name is running"

# header NAME: its last value in the answer to HEAD, without quotes; redirections answer too.
header() { tr -d '\r"' <"$downloads/.head" | sed -n "s/^$1: *//Ip" | tail -n 1; }
# size FILE
size() { stat -c %s "$1" 2>/dev/null || echo 0; }

# ask URL: size and hash that the server promises, in $want_size and $want_hash ("sha256 HEX", "git HEX" or nothing).
ask() {
  local tag
  curl --fail --silent --show-error --location --head --retry "$retries" --output "$downloads/.head" "$1" || die "cannot reach $1"
  want_size=$(header x-linked-size)
  [ -n "$want_size" ] || want_size=$(header content-length)
  want_hash=
  tag=$(header x-linked-etag)
  if [[ $tag =~ ^[0-9a-f]{64}$ ]]; then
    want_hash="sha256 $tag"
  elif [ -n "$(header x-repo-commit)" ]; then
    tag=$(header etag)
    tag=${tag#W/}
    [[ ! $tag =~ ^[0-9a-f]{40}$ ]] || want_hash="git $tag"
  fi
}

# same_hash FILE: whether it has $want_hash.
same_hash() {
  local found
  case $want_hash in
    sha256\ *) found=$(sha256sum "$1") ;;
    git\ *) found=$({ printf 'blob %s\0' "$(size "$1")"; cat "$1"; } | sha1sum) ;;
    *) return 0 ;;
  esac
  [ "${found%% *}" = "${want_hash#* }" ]
}

# transfer URL PART: the file's bytes, from where PART ends. curl's own retries would begin again at the same place.
transfer() {
  local attempt status=0 show=--silent
  [ -t 2 ] && show=--progress-bar
  for ((attempt = 1; attempt <= retries; ++attempt)); do
    if [ -n "$want_size" ] && (($(size "$2") == want_size)); then return 0; fi
    if [ -n "$want_size" ] && (($(size "$2") > want_size)); then rm -f "$2"; fi
    status=0
    curl --fail $show --show-error --location --continue-at - --speed-limit 1000 --speed-time 60 --output "$2" "$1" || status=$?
    if ((status == 0)) && { [ -z "$want_size" ] || (($(size "$2") == want_size)); }; then return 0; fi
    if ((status == 33 || status == 22)); then rm -f "$2"; fi  # it cannot go on from there
    ((attempt == retries)) || sleep "${GPT2_RETRY_SECONDS:-$((attempt * 2))}"
  done
  die "$1: not complete after $retries attempts (curl status $status); the next run goes on where it stopped"
}

fetch() {
  local url=$hub/$repository/resolve/main/$1 file=$downloads/$1 part=$downloads/$1.part found
  ask "$url"
  if [ -e "$file" ] && { [ -z "$want_size" ] || (($(size "$file") == want_size)); } && same_hash "$file"; then return 0; fi
  rm -f "$file"
  echo "get-gpt2: $1${want_size:+, $want_size bytes}" >&2
  transfer "$url" "$part"
  if ! same_hash "$part"; then
    rm -f "$part"
    die "$url: what came has not the hash that the server promised (${want_hash/ /: }); it was removed"
  fi
  mv "$part" "$file"
}

for file in config.json vocab.json merges.txt model.safetensors; do fetch "$file"; done
"$program" convert --dtype "$dtype" "$downloads" "$model"
rm -rf "$downloads"
used=${model##*/}
echo "get-gpt2: $model is ready: gpt2 generate -m ${used%.gpt2} \"Hello\""
