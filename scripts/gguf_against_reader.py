#!/usr/bin/env python3
"""Compares the GGUF files that gpt2 writes with what the Python package `gguf` reads of them.

    gguf_against_reader.py GPT2_BINARY CHECKPOINT_DIR [--dtypes f32,bf16,int8,int8g32,int4]

For each type the checkpoint (of GPT-2) is converted to a .gpt2 file, and that to GGUF and to a Hugging Face directory. The package
opens the GGUF file, decodes every tensor, and its values must be those of the directory to the bit; each key is read as well. Needs
numpy and gguf (0.19). Status 1 if anything differs.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

NAMES = [(r"token_embd\.weight", "wte.weight"), (r"position_embd\.weight", "wpe.weight"), (r"output_norm\.(\w+)", r"ln_f.\1"),
         (r"output\.weight", "lm_head.weight"), (r"blk\.(\d+)\.attn_norm\.(\w+)", r"h.\1.ln_1.\2"),
         (r"blk\.(\d+)\.ffn_norm\.(\w+)", r"h.\1.ln_2.\2"), (r"blk\.(\d+)\.attn_qkv\.(\w+)", r"h.\1.attn.c_attn.\2"),
         (r"blk\.(\d+)\.attn_output\.(\w+)", r"h.\1.attn.c_proj.\2"), (r"blk\.(\d+)\.ffn_up\.(\w+)", r"h.\1.mlp.c_fc.\2"),
         (r"blk\.(\d+)\.ffn_down\.(\w+)", r"h.\1.mlp.c_proj.\2")]


def our_name(name):
    for theirs, ours in NAMES:
        if re.fullmatch(theirs, name):
            return re.sub(theirs, ours, name)
    raise SystemExit(f"an unknown tensor: {name}")


def read_safetensors(path):
    data = np.memmap(path, np.uint8, "r")
    size = int(data[:8].view("<u8")[0])
    header = json.loads(bytes(data[8:8 + size]))
    values = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + at for at in info["data_offsets"])
        raw = data[begin:end]
        if info["dtype"] == "BF16":
            x = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            x = raw.view("<f4")
        values[name.removeprefix("transformer.")] = x.reshape(info["shape"])
    return values


def compare(reader, expected):
    """Yields what differs."""
    seen = set()
    for tensor in reader.tensors:
        name = our_name(tensor.name)
        seen.add(name)
        got = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        want = expected[name]
        if re.fullmatch(r"h\..*\.c_\w+\.weight", name):
            want = want.T  # Conv1D
        if got.shape != want.shape:
            yield f"{tensor.name}: shape {got.shape}, not {want.shape}"
        elif not np.array_equal(np.ascontiguousarray(got).view(np.uint32), np.ascontiguousarray(want).view(np.uint32)):
            yield f"{tensor.name}: {np.count_nonzero(got != want)} values differ"
    for name in expected.keys() - seen:
        yield f"{name}: not in the GGUF file"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gpt2")
    parser.add_argument("checkpoint")
    parser.add_argument("--dtypes", default="f32,bf16,int8,int8g32,int4")
    args = parser.parse_args()
    failures = 0
    for dtype in args.dtypes.split(","):
        with tempfile.TemporaryDirectory() as work:
            model, gguf, hf = (os.path.join(work, name) for name in ("model.gpt2", "model.gguf", "hf"))
            convert = [args.gpt2, "convert", "--quiet"]
            subprocess.run([*convert, "--dtype", dtype, args.checkpoint, model], check=True)
            subprocess.run([*convert, model, gguf], check=True)
            subprocess.run([*convert, "--to", "hf", model, hf], check=True)
            reader = GGUFReader(gguf)
            n_keys = sum(field.contents() is not None for field in reader.fields.values())
            different = list(compare(reader, read_safetensors(os.path.join(hf, "model.safetensors"))))
            for line in different:
                print(f"{dtype}: {line}")
            failures += len(different)
            types = sorted({tensor.tensor_type.name for tensor in reader.tensors})
            print(f"{dtype}: {len(reader.tensors)} tensors ({', '.join(types)}), {n_keys} keys, {len(different)} differ")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
