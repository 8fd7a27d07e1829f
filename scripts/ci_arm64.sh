#!/usr/bin/env bash
# The 64-bit Arm part of test.sh: sets the cross compiler and the emulator up, then `make arm64`, whose lines run_tests.sh counts.
# A machine that cannot have them says that it was skipped.
set -uo pipefail
cd "$(dirname "$0")/.."
if [ "$(dpkg --print-architecture)" = arm64 ]; then
  echo "skip arm64 under an emulator: this machine is one, and ran all tests"
  exit 0
fi
if ! scripts/setup_arm64.sh >&2; then
  echo "skip arm64: the cross compiler or the emulator cannot be installed here"
  exit 0
fi
exec make -s -j"$(nproc)" arm64
