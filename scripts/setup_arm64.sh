#!/usr/bin/env bash
# Installs what `make arm64` needs and the machine lacks: Debian's cross compiler, qemu-user and the arm64 shared objects. Removes
# nothing: libsimdjson-dev exists for one architecture at a time, so its headers stay this machine's and only the library is added.
# --missing installs nothing and fails if something is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(dpkg --print-architecture)" = arm64 ]; then exit 0; fi
root=()
((EUID == 0)) || root=(sudo)
simdjson=$(dpkg-query -W -f '${Depends}' libsimdjson-dev | grep -oE 'libsimdjson[0-9]+' | head -n 1)
packages=(g++-aarch64-linux-gnu qemu-user "$simdjson:arm64" libedit2:arm64 libgomp1:arm64)
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $status == ii* ]] || missing+=("$package")
done
((${#missing[@]} > 0)) || exit 0
[ "${1:-}" != --missing ] || exit 1
echo "setup: adding arm64 as a foreign architecture, installing ${missing[*]} for its tests" >&2
"${root[@]}" dpkg --add-architecture arm64
"${root[@]}" apt-get update -qq >&2
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove "${missing[@]}" >&2
