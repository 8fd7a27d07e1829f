#!/usr/bin/env python3
"""What scripts/bench_spec.sh measures with, beside the shared models.

    bench_spec_inputs.py noise SRC_DIR OUT_DIR       a checkpoint of SRC's shape and tokenizer whose weights are noise
    bench_spec_inputs.py repeats GPT2 TEXT OUT_FILE  prompts, one a line, escaped: 80 tokens twice and begun a third time, where
                                                     the built-in model goes on as before
Needs numpy for noise.
"""
import json, os, shutil, struct, subprocess, sys

PASSAGE, BEGUN, FOLLOWED, PROMPTS = 80, 8, 64, 12


def noise(src, out):
    import numpy as np
    os.makedirs(out, exist_ok=True)
    for f in ("config.json", "vocab.json", "merges.txt"):
        shutil.copy(os.path.join(src, f), os.path.join(out, f))
    with open(os.path.join(src, "model.safetensors"), "rb") as f:
        raw = f.read()
    n, = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8:8 + n])
    rng = np.random.default_rng(1)
    data = bytearray(raw[8 + n:])
    for name, tensor in head.items():
        if name == "__metadata__":
            continue
        begin, end = tensor["data_offsets"]
        kind = {"F16": "<f2", "F32": "<f4"}[tensor["dtype"]]
        values = 0.1 * rng.standard_normal(tensor["shape"]) + (1 if "ln_" in name and name.endswith("weight") else 0)
        data[begin:end] = values.astype(kind).tobytes()
    with open(os.path.join(out, "model.safetensors"), "wb") as f:
        f.write(raw[:8 + n] + data)


def repeats(gpt2, text, out):
    def run(*arguments):
        return subprocess.run([gpt2, *arguments], capture_output=True, check=True).stdout.decode("utf-8", "replace")

    def greedy(tokens, n):
        return json.loads(run("generate", "--greedy", "--json", "-n", str(n), "--tokens", " ".join(map(str, tokens))))["tokens"]

    tokens = json.loads(run("tokenize", "--json", "-f", text))["tokens"]
    prompts, at = [], 0
    while len(prompts) < PROMPTS and at + 40 < len(tokens):
        # A passage that the model wrote is the likeliest to be one that it follows.
        passage = greedy(tokens[at:at + 40], 200)[-PASSAGE:]
        at += 500
        if len(passage) < PASSAGE:
            continue
        prompt = 2 * passage + passage[:BEGUN]
        line = run("detokenize", *map(str, prompt))
        if json.loads(run("tokenize", "--json", "--", line))["tokens"] != prompt:
            continue
        if greedy(prompt, FOLLOWED) == passage[BEGUN:BEGUN + FOLLOWED]:
            prompts.append(line.replace("\\", "\\\\").replace("\n", "\\n"))
    with open(out, "w") as f:
        f.write("".join(p + "\n" for p in prompts))
    print(f"{out}: {len(prompts)} prompts")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "noise":
        noise(*sys.argv[2:])
    elif len(sys.argv) == 5 and sys.argv[1] == "repeats":
        repeats(*sys.argv[2:])
    else:
        sys.exit(__doc__)
