#!/usr/bin/env bash
# Installs what the build needs and the machine lacks, with apt; says what it does. Sourced or run; needs Debian 12 or later.
set -euo pipefail
packages=(g++ make libcli11-dev libsimdjson-dev libxxhash-dev libedit-dev libboost-dev doctest-dev libbenchmark-dev "$@")
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $status == ii* ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi
echo "setup: installing ${missing[*]}" >&2
root=()
if ((EUID != 0)); then
  echo "setup: this needs root; sudo may ask for your password" >&2
  root=(sudo)
fi
"${root[@]}" apt-get update -qq >&2
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
