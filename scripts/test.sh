#!/usr/bin/env bash
# Sets the machine up, builds, and runs all tests and checks, on an x86 machine those of the 64-bit Arm build too. The last line
# counts them: "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh parallel strace  # what some tests run beside the program
scripts/setup_arm64.sh || echo "test: what needs these packages will be skipped" >&2
make -s -j"$(nproc)" all build/gpt2-tests build/gpt2-bench
make -s -j"$(nproc)" check
exec scripts/run_tests.sh scripts/ci_arm64.sh
