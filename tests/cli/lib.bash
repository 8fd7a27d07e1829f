# What the command-line tests share. Each test is one line of output: "ok NAME", "not ok NAME: why" or "skip NAME: why".
# Sourced by the scripts beside it; needs no program but the shell's and coreutils'.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
GPT2=${GPT2:-$PWD/${BUILD:-build}/gpt2}
BOOKS=$PWD/models/books
unset GPT2_MODEL GPT2_ISA
export LC_ALL=C
T=$(mktemp -d)
# Only this shell removes it: a child that a signal meets before its exec would run the trap too.
trap '[ "$BASHPID" != "$$" ] || rm -rf "$T"' EXIT
failures=0

ok() { echo "ok $1"; }
not_ok() { echo "not ok $1: $2"; failures=$((failures + 1)); }
skip() { echo "skip $1: $2"; }
finish() { exit $((failures > 0)); }

# run COMMAND...: its output in $T/out and $T/err, its status in $status; stdin is empty unless redirected.
run() {
  "$@" >"$T/out" 2>"$T/err"
  status=$?
}

# check NAME CONDITION...: ok if the command succeeds.
check() {
  local name=$1
  shift
  if "$@"; then ok "$name"; else not_ok "$name" "$* failed; status ${status:-?}, stderr: $(head -c 200 "$T/err" | tr '\n' '|')"; fi
}

# error NAME STATUS WORD...: the last run ended with STATUS, nothing on stdout, one line on stderr that has every WORD.
error() {
  local name=$1 want=$2 word
  shift 2
  if ((status != want)); then
    not_ok "$name" "status $status instead of $want: $(head -c 200 "$T/err" | tr '\n' '|')"
    return
  fi
  if [ -s "$T/out" ]; then not_ok "$name" "stdout is not empty"; return; fi
  if (($(wc -l <"$T/err") != 1)); then not_ok "$name" "$(wc -l <"$T/err") lines on stderr"; return; fi
  for word in "$@"; do
    if ! grep -qF -- "$word" "$T/err"; then
      not_ok "$name" "no \"$word\" in: $(cat "$T/err")"
      return
    fi
  done
  ok "$name"
}

# quiet_success: the last run succeeded with nothing on stderr.
quiet_success() { ((status == 0)) && [ ! -s "$T/err" ]; }
same() { cmp -s "$1" "$2"; }
out_has() { grep -qF -- "$1" "$T/out"; }
err_has() { grep -qF -- "$1" "$T/err"; }
status_is() { ((status == $1)); }
out_is() { [ "$(cat "$T/out"; echo x)" = "$1x" ]; }
sanitized() { grep -q -a __asan_init "$GPT2"; }
valid_utf8() { iconv -f UTF-8 -t UTF-8 "$1" >/dev/null 2>&1; }
# The number behind "KEY": in a file of JSON.
json_number() { grep -oE "\"$1\":-?[0-9.e+-]+" "$2" | head -n 1 | cut -d: -f2; }
