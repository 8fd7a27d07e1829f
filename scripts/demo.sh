#!/usr/bin/env bash
# From a fresh Debian machine to generated text: installs what is missing, builds, and lets the built-in model write.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
echo "demo: building build/gpt2 (a minute or two the first time)" >&2
make -s -j"$(nproc)"
# Without the penalty, greedy text of a small model soon turns in a circle.
echo "demo: build/gpt2 generate --greedy --repetition-penalty 1.3 -n 60 'Once upon a time'" >&2
build/gpt2 generate --echo always --greedy --repetition-penalty 1.3 -n 60 "Once upon a time"
echo "demo: now try  build/gpt2 generate \"The old captain said\"  and  build/gpt2 --help" >&2
