#!/usr/bin/env python3
"""score_against_numpy.py GPT2 CHECKPOINT TEXT [N]: surprisal, entropy, rank and the corrected words of N (40) passages of TEXT as
`GPT2 score -m CHECKPOINT` prints them, beside a float64 forward pass of a GPT-2 checkpoint in numpy. Needs numpy."""
import json
import subprocess
import sys

import numpy as np

TOLERANCE = 2e-5  # nats, of a token


def tensors(path):
    data = open(path, "rb").read()
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + n])
    types = {"F16": np.float16, "F32": np.float32}
    out = {}
    for name, one in header.items():
        if name == "__metadata__":
            continue
        begin, end = one["data_offsets"]
        values = np.frombuffer(data[8 + n + begin:8 + n + end], types[one["dtype"]])
        out[name.removeprefix("transformer.")] = values.reshape(one["shape"]).astype(np.float64)
    return out


def forward(w, config, ids):
    """Returns the log-probabilities behind each token, [n, n_vocab]."""
    n, heads = len(ids), config["n_head"]
    norm = lambda x, g: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * w[g + ".weight"] + w[g + ".bias"]
    linear = lambda x, name: x @ w[name + ".weight"] + w[name + ".bias"]
    x = w["wte.weight"][ids] + w["wpe.weight"][:n]
    mask = np.triu(np.full((n, n), -np.inf), 1)
    for i in range(config["n_layer"]):
        h = f"h.{i}."
        q, k, v = np.split(linear(norm(x, h + "ln_1"), h + "attn.c_attn"), 3, axis=-1)
        q, k, v = (t.reshape(n, heads, -1).transpose(1, 0, 2) for t in (q, k, v))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]) + mask
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        x = x + linear((scores @ v).transpose(1, 0, 2).reshape(n, -1), h + "attn.c_proj")
        a = linear(norm(x, h + "ln_2"), h + "mlp.c_fc")
        a = 0.5 * a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3)))
        x = x + linear(a, h + "mlp.c_proj")
    logits = norm(x, "ln_f") @ w["wte.weight"].T
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def main():
    program, checkpoint, text = sys.argv[1:4]
    n_texts = int(sys.argv[4]) if len(sys.argv) > 4 else 40
    config = json.load(open(checkpoint + "/config.json"))
    config = {"n_head": config["n_head"], "n_layer": config["n_layer"], "bos": config.get("bos_token_id", 4095)}
    w = tensors(checkpoint + "/model.safetensors")
    whole = open(text, encoding="utf-8").read()
    step = len(whole) // n_texts
    passages = [whole[i * step:i * step + 40 + 23 * i % 560].strip() for i in range(n_texts)]
    records = "".join(json.dumps({"text": one}) + "\n" for one in passages)

    def score(*options):
        run = subprocess.run([program, "score", "--jsonl", "-m", checkpoint, *options], input=records, capture_output=True,
                             text=True, check=True)
        return [json.loads(line) for line in run.stdout.splitlines()]

    tokens = score("--unit", "token", "--columns", "tokens,text,surprisal,entropy,rank,is_greedy")
    words = score("--unit", "word", "--word-correction", "--columns", "text,tokens,surprisal")
    vocab = {i: t for t, i in json.load(open(checkpoint + "/vocab.json")).items()}
    begins = np.array([vocab.get(i, "")[:1] in set("\u0120\u0109\u010a\u010b\u010c\u010d") or i == config["bos"]
                       for i in range(len(vocab))])
    worst = {"surprisal": 0.0, "entropy": 0.0, "word": 0.0}
    n_tokens = n_words = n_ranks = 0
    for one, corrected in zip(tokens, words):
        ids = one["tokens"]
        logp = forward(w, config, [config["bos"]] + ids)
        own = -logp[np.arange(len(ids)), ids]
        entropy = -(np.exp(logp) * logp).sum(-1)[:-1]
        worst["surprisal"] = max(worst["surprisal"], np.abs(own - one["surprisal"]).max())
        worst["entropy"] = max(worst["entropy"], np.abs(entropy - one["entropy"]).max())
        rank = (logp[:-1] > -own[:, None]).sum(-1) + 1
        n_ranks += int((rank != one["rank"]).sum())
        n_tokens += len(ids)
        ends = np.log(np.exp(logp)[:, begins].sum(-1))
        at = 0
        for word, (word_ids, value) in enumerate(zip(corrected["tokens"], corrected["surprisal"])):
            end = at + len(word_ids)
            expected = own[at:end].sum() - ends[end] + (ends[at] if at > 0 else 0)
            worst["word"] = max(worst["word"], abs(expected - value) / max(1, len(word_ids) / 2))
            at = end
            n_words += 1
    print(f"{n_tokens} tokens: surprisal within {worst['surprisal']:.2e}, entropy within {worst['entropy']:.2e} nats, "
          f"{n_ranks} ranks differ; {n_words} corrected words within {worst['word']:.2e} nats for two tokens")
    good = worst["surprisal"] <= TOLERANCE and worst["entropy"] <= 5 * TOLERANCE and worst["word"] <= 2 * TOLERANCE
    return 0 if good and n_ranks <= n_tokens // 500 else 1


if __name__ == "__main__":
    sys.exit(main())
