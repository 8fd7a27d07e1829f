#!/usr/bin/env python3
"""make_smollm2_goldens.py GGUF OUT: ids and continuations of SmolLM2-135M-Instruct, from its GGUF file (scripts/get-smollm2.sh).

Needs numpy, gguf (0.19) and tokenizers (0.23). Ids are those of `tokenizers` on the file's vocabulary, with SmolLM2's own steps
(each digit alone, then GPT-2's rule). Continuations are greedy, by a forward pass in float64 over the weights that `gguf` decodes;
rotary angles in float32 as in transformers. Of each token the margin to the second best logit is kept.
tests/data/smollm2.json was made by: scripts/make_smollm2_goldens.py SmolLM2-135M-Instruct.Q4_1.gguf tests/data/smollm2.json"""
import json
import random
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

N_STEPS = 16
PROMPTS = ["The capital of France is", "Once upon a time", "def fibonacci(n):", "Water boils at", "The three primary colours are",
           "To be, or not to be,", "In 1969, the first man", "1, 2, 3, 4,", "Dear Sir or Madam,", "The quick brown fox",
           "import numpy as", "Photosynthesis is the process", "She opened the door and", "A recipe for bread:", "E = mc^2 means",
           "The opposite of hot is", "Q: What is 7 + 5?\nA:", "Il était une fois", "My favourite season is",
           "<|im_start|>user\nWhat is the sun?<|im_end|>\n<|im_start|>assistant\n"]
WORDS = ["the", "Hello", "don't", "we'LL", "I'm", "naïve", "café", "e\u0301", "日本語", "русский", "العربية", "हिन्दी", "한국어",
         "😀", "👩‍👩‍👧", "12345", "3.14159", "1,000", "٣٤", "Ⅷ", "x²", "\t", "\n", "\n\n", "  ", "   ", "\u00a0", "\u3000", "…", "—",
         "“q”", "if(x==1){", "}", "a_b", "C++", "#!", "http://a.b/c?d=e", "user@example.org", "<|im_start|>", "<|endoftext|>", "🇫🇷",
         "ﬁ", "ß", "İ", "\u200b", "\r\n", "fooBar", "SCREAM", "0x1F", "½", "\x00", "\x7f"]


def strings():
    rng = random.Random(16)
    texts = ["", " ", "a", " a"] + PROMPTS + WORDS
    while len(texts) < 200:
        parts = [rng.choice(WORDS) for _ in range(rng.randint(2, 9))]
        texts.append(rng.choice(["", " "]).join(parts))
    return texts[:200]


def build_tokenizer(fields):
    tokens, types = fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ", 1)) for m in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t, kind in zip(tokens, types) if kind == 3])
    return tokenizer


class Model:
    def __init__(self, reader):
        get = lambda key: reader.fields["llama." + key].contents()
        self.n_layer, self.n_head, self.n_kv = get("block_count"), get("attention.head_count"), get("attention.head_count_kv")
        self.d = get("rope.dimension_count")
        self.eps, base = get("attention.layer_norm_rms_epsilon"), get("rope.freq_base")
        self.w = {t.name: dequantize(t.data, t.tensor_type).astype(np.float64) for t in reader.tensors}
        self.inv = (base ** (-np.arange(0, self.d, 2) / self.d)).astype(np.float32)

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * self.w[name].reshape(-1)

    def turn(self, x, start):  # [heads, tokens, d], pairs side by side
        angle = (np.arange(start, start + x.shape[1], dtype=np.float32)[:, None] * self.inv).astype(np.float64)
        c, s, out = np.cos(angle), np.sin(angle), np.empty_like(x)
        out[..., 0::2], out[..., 1::2] = x[..., 0::2] * c - x[..., 1::2] * s, x[..., 1::2] * c + x[..., 0::2] * s
        return out

    def attend(self, q, k, v, memory, layer):
        """Of one text's new tokens; its keys and values are kept in `memory`."""
        start = memory[layer][0].shape[1] if memory[layer] else 0
        heads = lambda y, n: y.reshape(len(y), n, self.d).transpose(1, 0, 2)
        q, k, v = self.turn(heads(q, self.n_head), start), self.turn(heads(k, self.n_kv), start), heads(v, self.n_kv)
        if memory[layer]:
            k, v = np.concatenate([memory[layer][0], k], 1), np.concatenate([memory[layer][1], v], 1)
        memory[layer] = (k, v)
        k, v = (np.repeat(m, self.n_head // self.n_kv, axis=0) for m in (k, v))
        seen = np.arange(k.shape[1])[None, :] <= start + np.arange(q.shape[1])[:, None]
        scores = np.where(seen, q @ k.transpose(0, 2, 1) / np.sqrt(self.d), -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(q.shape[1], -1)

    def step(self, texts, memories):
        """The logits of the last token of each text; the matrices meet all texts at once."""
        ends = np.cumsum([len(ids) for ids in texts])
        x = self.w["token_embd.weight"][np.concatenate(texts)]
        for i in range(self.n_layer):
            w = lambda name: self.w[f"blk.{i}.{name}.weight"]
            h = self.norm(x, f"blk.{i}.attn_norm.weight")
            parts = [np.split(h @ w(name).T, ends[:-1]) for name in ("attn_q", "attn_k", "attn_v")]
            a = np.concatenate([self.attend(q, k, v, memory, i) for q, k, v, memory in zip(*parts, memories)])
            x = x + a @ w("attn_output").T
            h = self.norm(x, f"blk.{i}.ffn_norm.weight")
            gate = h @ w("ffn_gate").T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
        return self.norm(x[ends - 1], "output_norm.weight") @ self.w["token_embd.weight"].T


def main():
    reader = GGUFReader(sys.argv[1])
    tokenizer, model = build_tokenizer(reader.fields), Model(reader)
    texts = [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False).ids} for t in strings()]
    prompts = [{"text": p, "tokens": [], "margins": []} for p in PROMPTS]
    memories = [[None] * model.n_layer for _ in PROMPTS]
    logits = model.step([tokenizer.encode(p, add_special_tokens=False).ids for p in PROMPTS], memories)
    for _ in range(N_STEPS):
        for prompt, row in zip(prompts, logits):
            second, first = np.sort(row)[-2:]
            prompt["tokens"].append(int(np.argmax(row)))
            prompt["margins"].append(round(float(first - second), 6))
        logits = model.step([prompt["tokens"][-1:] for prompt in prompts], memories)
    for prompt in prompts:
        print(prompt["text"], "->", tokenizer.decode(prompt["tokens"]), file=sys.stderr)
    lines = lambda items: "[\n" + ",\n".join(json.dumps(i, ensure_ascii=True) for i in items) + "]"
    with open(sys.argv[2], "w") as out:
        out.write('{"texts": ' + lines(texts) + ', "prompts": ' + lines(prompts) + "}\n")


if __name__ == "__main__":
    main()
