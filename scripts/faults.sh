#!/usr/bin/env bash
# faults.sh [STRIDE]: `gpt2 convert` with the N-th call of each kind failing, or the process killed there, for N = 1, 1 + STRIDE,
# ... up to the number of calls of a clean run, into an absent and over an old destination. After each run the destination is
# absent, old or the whole new file, the status is 0 only with the new file, and nothing else lies beside it (SIGKILL may
# leave one hidden file). GPT2: the program; FAULT_CALLS: the calls; FAULT_STATES: what is there before, -named for a file
# system that has no files without names; FAULT_SOURCE: the checkpoint.
set -uo pipefail
cd "$(dirname "$0")/.."
stride=${1:-1}
program=${GPT2:-$PWD/build/gpt2}
source=${FAULT_SOURCE:-models/books}
calls=${FAULT_CALLS:-openat read pread64 mmap munmap fallocate ftruncate pwrite64 write fsync fdatasync linkat unlink rename renameat2 close fstat newfstatat madvise}
states=${FAULT_STATES:-absent old absent-named old-named}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0 total=0

"$program" convert -q "$source" "$work/new" || exit 1
echo "an old file" >"$work/old"
same() { cmp -s "$1" "$2"; }

# counts: how many calls of this kind a clean run makes, in $most, and how many of them before the program begins, in $early.
counts() {
  rm -rf "$work/dir"
  mkdir "$work/dir"
  [[ $state == old* ]] && cp "$work/old" "$work/dir/model"
  strace -f -qq -o "$work/trace" -e "trace=$call,openat" "${named[@]}" "$program" convert -q "${force[@]}" "$source" "$work/dir/model" >/dev/null 2>&1
  most=$(grep -c " $call(" "$work/trace")
  early=$(sed '/O_TMPFILE\|config.json/,$d' "$work/trace" | grep -c " $call(")
}

# wrong REASON: reports the run that just ended.
wrong() {
  echo "WRONG: $call $fault when=$n $state: $1 (status $status: $(head -c 200 "$work/err" | tr '\n' '|'))"
  bad=$((bad + 1))
}

# one: a run with $call failing by $fault the $n-th time, the destination $state before.
one() {
  local litter
  rm -rf "$work/dir"
  mkdir "$work/dir"
  [[ $state == old* ]] && cp "$work/old" "$work/dir/model"
  # The shell's own "Killed" goes nowhere.
  {
    strace -f -qq -o /dev/null -e "trace=$call" "${named[@]}" -e "inject=$call:$fault:when=$n" \
      "$program" convert -q "${force[@]}" "$source" "$work/dir/model" >/dev/null 2>"$work/err"
    status=$?
  } 2>/dev/null
  total=$((total + 1))
  if [ -e "$work/dir/model" ]; then
    if same "$work/dir/model" "$work/new"; then
      outcome[complete]=$((${outcome[complete]} + 1))
    elif [[ $state == old* ]] && same "$work/dir/model" "$work/old"; then
      outcome[old]=$((${outcome[old]} + 1))
      ((status != 0)) || wrong "success, but the old file is still there"
    else
      wrong "the destination is neither old nor complete"
    fi
  else
    outcome[absent]=$((${outcome[absent]} + 1))
    [[ $state == absent* ]] || wrong "the old file is gone"
    ((status != 0)) || wrong "success without a file"
  fi
  litter=$(ls -A "$work/dir" | grep -vx model | wc -l)
  if [[ $fault == signal=* ]]; then
    ((litter <= 1)) || wrong "$litter files left behind"
    killed_litter=$((killed_litter + litter))
  else
    ((litter == 0)) || wrong "$litter files left behind"
    # Before the program begins the dynamic loader answers, by 127 or not so well.
    ((status <= 5 || n <= early)) || wrong "no documented status"
    ((status == 0 || n <= early)) || (($(grep -c '^gpt2: ' "$work/err") == 1)) || wrong "no message"
  fi
}

strace -f -qq -o "$work/trace" -e trace=openat "$program" convert -q "$source" "$work/first" >/dev/null 2>&1
unnamed_open=$(grep -n O_TMPFILE "$work/trace" | cut -d: -f1)
[ -n "$unnamed_open" ] || { echo "no file without a name is opened"; exit 1; }
killed_litter=0
for call in $calls; do
  declare -A outcome=([absent]=0 [old]=0 [complete]=0)
  before=$total
  for state in $states; do
    force=() named=()
    [[ $state == old* ]] && force=(--force)
    if [[ $state == *-named ]]; then
      [ "$call" != openat ] || continue  # one call cannot fail in two ways
      named=(-e "trace=$call,openat" -e "inject=openat:error=EOPNOTSUPP:when=$unnamed_open")
    fi
    counts
    for fault in error=EIO error=ENOSPC signal=SIGKILL; do
      for ((n = 1; n <= most; n += stride)); do one; done
    done
  done
  echo "$call: $((total - before)) runs; absent ${outcome[absent]}, old ${outcome[old]}, complete ${outcome[complete]}"
done
echo "$total runs, $bad wrong; files left behind by SIGKILL: $killed_litter"
((bad == 0))
