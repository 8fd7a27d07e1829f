#!/usr/bin/env bash
# Sets the machine up, builds, and runs all tests and checks. The last line counts them: "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
make -s -j"$(nproc)" all build/gpt2-tests build/gpt2-bench
make -s -j"$(nproc)" check
exec scripts/run_tests.sh
