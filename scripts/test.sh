#!/usr/bin/env bash
# test.sh [--arm64]: sets the machine up, builds, and runs all tests and checks. With --arm64, or where CI=true, those of the 64-bit Arm
# build too, for which an x86 machine gets arm64 as a foreign architecture of its packages. The last line counts them: "N passed, N
# failed, N skipped".
set -euo pipefail
case ${1:-} in
  "" | --arm64) ;;
  *) echo "test: expected --arm64 or nothing, found $1" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
scripts/setup.sh parallel strace  # what some tests run beside the program
if [ "${1:-}" = --arm64 ] || [ "${CI:-}" = true ]; then
  scripts/setup_arm64.sh || echo "test: what needs these packages will be skipped" >&2
fi
make -s -j"$(nproc)" WERROR=-Werror all build/gpt2-tests build/gpt2-bench
make -s -j"$(nproc)" check
exec scripts/run_tests.sh scripts/ci_arm64.sh
