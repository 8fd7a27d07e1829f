#!/usr/bin/env bash
# Manual pages and shell completions: what make install puts in place, checked by the shells and by man itself.
. "$(dirname "$0")/lib.bash"

pages=$("$GPT2" __manual)
commands=$("$GPT2" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\)  .*/\1/p')
check "a page of each command" [ "$(echo "$pages" | sort)" = "$({ echo gpt2; for c in $commands; do echo "gpt2-$c"; done; } | sort)" ]
for page in $pages; do
  run "$GPT2" __manual "$page"
  check "$page.1" eval 'quiet_success && grep -q "^.SH SYNOPSIS" $T/out && grep -q "^.SH EXAMPLES" $T/out'
  cp "$T/out" "$T/page.1"  # $T/out becomes the next program's
  if command -v mandoc >/dev/null; then
    run mandoc -T lint -W warning "$T/page.1"
    check "$page.1: mandoc has no warnings" [ ! -s "$T/out" ]
  elif command -v man >/dev/null && command -v groff >/dev/null; then
    run man --warnings -E UTF-8 -l -Tutf8 -Z "$T/page.1"
    check "$page.1: man has no warnings" [ ! -s "$T/err" ]
  else
    skip "$page.1: warnings" "neither mandoc nor man with groff is here"
  fi
done
# Every option that help shows has its entry in the page.
for command in $commands; do
  "$GPT2" "$command" --help | grep -oE '^ +(-[a-zA-Z0-9], )?--[a-z0-9-]+' | grep -oE -- '--[a-z0-9-]+' | sort -u >"$T/shown"
  "$GPT2" __manual "gpt2-$command" | grep '^\\fB' | sed 's/\\-/-/g' | grep -oE -- '--[a-z0-9-]+' | sort -u >"$T/paged"
  check "gpt2-$command.1 has the options of --help" eval '[ -s $T/shown ] && same $T/shown $T/paged'
done
run "$GPT2" __manual gpt2-nothing; error "page of an unknown command" 2 gpt2-nothing
run "$GPT2" completions tcsh; error "completions of an unknown shell" 2 "expected bash, zsh or fish" tcsh
run "$GPT2" completions; error "completions of no shell" 2 "expected bash, zsh or fish"

# A shell of its own reads the script, sets what readline would set, and prints the words offered.
"$GPT2" completions bash >"$T/gpt2.bash"
mkdir -p "$T/models/tiny" "$T/here"
cp "$BOOKS/config.json" "$T/models/tiny/"
touch "$T/models/small.gpt2" "$T/here/prompt.txt"
cat >"$T/complete.bash" <<'EOF'
source "$1"
cd "$2" || exit
program=$3
shift 3
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
[[ $(complete -p gpt2) == "complete -F _gpt2 gpt2" ]] || exit
_gpt2 "$program"
printf '%s\n' "${COMPREPLY[@]}"
EOF
offers() {
  local name=$1 want=$2
  shift 2
  run env GPT2_MODELS="$T/models" HOME="$T" bash "$T/complete.bash" "$T/gpt2.bash" "$T/here" "$GPT2" "$@"
  for word in $want; do grep -qxF -- "$word" "$T/out" || status=99; done
  check "bash: $name" eval '((status == 0)) && [ ! -s $T/err ]'
}
offers "commands" "generate convert doctor help" gpt2 ""
offers "a command's beginning" generate gpt2 gen
check "bash: nothing else for it" out_is generate$'\n'
offers "options" "--max-new-tokens --stop --model -n" gpt2 generate -
offers "an option's beginning" "--top-k --top-p" gpt2 generate --top
check "bash: nothing else for it" eval '(($(wc -l <$T/out) == 2))'
offers "the words of an option" "f32 f16" gpt2 generate --kv-dtype ""
offers "the words of an option after =" "f16 f32" gpt2 generate --kv-dtype = f
offers "an empty word after =" "auto always never" gpt2 generate --echo =
offers "a value that may be missing" json gpt2 generate --stats =
offers "after it without a value" "--stats" gpt2 generate --stats --sta
offers "models" "small tiny" gpt2 generate -m ""
offers "a model's beginning" small gpt2 generate --model sm
offers "files" prompt.txt gpt2 generate -f p
offers "nothing for a number" "" gpt2 generate -n ""
check "bash: nothing for a number, really" out_is $'\n'
offers "operands that are files" prompt.txt gpt2 convert p
offers "a kind beside files" "perplexity prompt.txt" gpt2 eval p
offers "kinds" perplexity gpt2 eval ""
offers "operands that are words" fish gpt2 completions fi
offers "help" doctor gpt2 help d

for shell in zsh fish; do
  if ! command -v $shell >/dev/null; then skip "$shell completion" "no $shell here"; continue; fi
  "$GPT2" completions $shell >"$T/gpt2.$shell"
  run $shell -n "$T/gpt2.$shell"
  check "$shell: the script parses" eval 'quiet_success && [ -s $T/gpt2.$shell ]'
done
if command -v fish >/dev/null; then
  fish_offers() {
    run env GPT2_MODELS="$T/models" HOME="$T" PATH="$(dirname "$GPT2"):$PATH" \
      fish --no-config -c "source $T/gpt2.fish; complete -C '$2'"
    cut -f1 "$T/out" >"$T/words"
    check "fish: $1" grep -qxF -- "$3" "$T/words"
  }
  fish_offers "commands" "gpt2 " generate
  fish_offers "options" "gpt2 generate --max" --max-new-tokens
  fish_offers "words" "gpt2 generate --kv-dtype " f16
  fish_offers "models" "gpt2 generate -m " small
fi
if command -v zsh >/dev/null; then
  run env HOME="$T" zsh -f -c "autoload -U compinit && compinit -u -D && source $T/gpt2.zsh && print \${_comps[gpt2]}"
  check "zsh: the script registers itself" eval 'quiet_success && out_is "_gpt2"$'"'\\n'"
fi

# The user's flags reach the compiler and the linker. (A dry run: nothing is built.)
make -n BUILD="$T/dry" CXX=g++ CPPFLAGS=-Dcpp CXXFLAGS=-Dcxx LDFLAGS=-Wl,-ld 2>/dev/null >"$T/out"
check "make: CPPFLAGS and CXXFLAGS" eval 'grep -- "-c src/base/error.cpp" $T/out | grep -q -- "-Dcpp -Dcxx"'
check "make: LDFLAGS" eval 'grep -- "-o $T/dry/gpt2$" $T/out | grep -q -- -Wl,-ld'
# What install puts in place, uninstall takes away.
root=$T/root
# The program is there; whatever flags it was built with, it is not built again.
as_built() { make BUILD="${BUILD:-build}" -o "${BUILD:-build}/flags" -o "${BUILD:-build}/commit" "$@"; }
run as_built -s install PREFIX=/opt/gpt2 DESTDIR="$root"
check "make install" quiet_success
# Nothing of the build is run by install: programs that are another machine's would not run here.
as_built -n install DESTDIR="$T/root" 2>/dev/null >"$T/out"
check "make install runs nothing" eval 'grep -q "install -m 755" $T/out && ! grep -qE "^[^#]*gpt2 (__manual|completions)" $T/out'
for file in bin/gpt2 share/man/man1/gpt2.1 share/man/man1/gpt2-generate.1 share/bash-completion/completions/gpt2 \
  share/zsh/site-functions/_gpt2 share/fish/vendor_completions.d/gpt2.fish; do
  check "make install: $file" [ -s "$root/opt/gpt2/$file" ]
done
run make -s uninstall PREFIX=/opt/gpt2 DESTDIR="$root"
check "make uninstall leaves no file" eval '((status == 0)) && [ -z "$(find $root -type f)" ]'
finish
