#!/usr/bin/env bash
# Stock clients against `gpt2 serve`, in a virtual environment of their own (850 MB; needs python3-venv and a network).
# No part of the tests: those replay what these clients send. Usage: scripts/clients.sh [TASKS], where TASKS is a folder
# of lm-eval task files (*.yaml); CLIENTS_VENV names an environment that is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
gpt2=${GPT2:-build/gpt2} venv=${CLIENTS_VENV:-build/clients-venv}
tasks=${1:-../shared/data/clients}
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet openai 'tritonclient[http]' 'lm-eval[api]==0.4.13'
fi
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
"$gpt2" serve --port 0 2>"$work/err" &
server=$!
for _ in $(seq 100); do
  port=$(grep -oE ':[0-9]+' "$work/err" | head -n 1 | tr -d ':') && [ -n "$port" ] && break
  sleep 0.1
done
"$venv/bin/python" scripts/clients.py "http://127.0.0.1:$port" "$gpt2" "$tasks" "$work"
