#!/usr/bin/env bash
# The 64-bit Arm part of test.sh: `make arm64`, whose lines run_tests.sh counts, where setup_arm64.sh could install what it needs.
set -uo pipefail
cd "$(dirname "$0")/.."
if [ "$(dpkg --print-architecture)" = arm64 ]; then
  echo "skip arm64 under an emulator: this machine is one, and ran all tests"
elif ! scripts/setup_arm64.sh --missing; then
  echo "skip arm64: the cross compiler, the emulator or arm64 libraries are not here (scripts/test.sh --arm64 adds them)"
else
  exec make -s -j"$(nproc)" arm64
fi
