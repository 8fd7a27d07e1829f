#!/usr/bin/env python3
"""Makes tests/data/family: a small seeded checkpoint of each architecture, and what its logits are.

    python3 scripts/make_family_goldens.py tests/data/family

Needs numpy alone. The forward pass below is written from the architectures' own definitions (Hugging Face transformers' modeling
files as described in their papers), tensor by tensor under the checkpoints' own names, in float64, rotary angles in float32 as there.
It shares nothing with the program: no moved rows, no packed matrices, no common description of a block.
Weights are not stored: W(name, i) of both sides is the same hash (tests/test_family_convert.cpp), so that a golden is a few kilobytes.
"""
import json
import struct
import sys
from pathlib import Path

import numpy as np

N_VOCAB, N_TOKENS = 37, 90


def hash64(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def tensor(name, *shape):
    """About normal with deviation 0.4 (biases 0.3, embeddings 0.8, norms 1 +- 0.1), rounded to float32."""
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        x = np.uint64(hash64(name)) + np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        total = np.full(n, -2, dtype=np.float32)
        for _ in range(4):
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            total = total + ((x ^ (x >> np.uint64(31))) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
    if len(shape) == 1 and not name.endswith("bias"):
        values = np.float32(1) + np.float32(0.1) * total
    elif name.endswith("bias"):
        values = np.float32(0.3) * total
    elif "emb" in name or "wte" in name or "wpe" in name:
        values = np.float32(0.8) * total
    else:
        values = np.float32(0.4) * total
    return values.reshape(shape).astype(np.float64)


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_erf(x):
    from math import erf
    return 0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2)))


def relu(x):
    return np.maximum(x, 0)


def silu(x):
    return x / (1 + np.exp(-x))


class Model:
    """Keeps the list of tensors as they are asked for: it is the checkpoint."""

    def __init__(self, config, skip_bias=()):
        self.c, self.shapes = config, {}

    def t(self, name, *shape):
        self.shapes[name] = list(shape)
        return tensor(name, *shape)

    def linear(self, x, name, n_out, bias=True):
        y = x @ self.t(name + ".weight", n_out, x.shape[-1]).T
        return y + self.t(name + ".bias", n_out) if bias else y

    def layer_norm(self, x, name, eps):
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        n = x.shape[-1]
        return (x - mean) / np.sqrt(var + eps) * self.t(name + ".weight", n) + self.t(name + ".bias", n)

    def rms_norm(self, x, name, eps, offset=0):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * (offset + self.t(name + ".weight", x.shape[-1]))


def heads(x, n):
    return x.reshape(x.shape[0], n, -1).transpose(1, 0, 2)  # [n, tokens, d]


def attend(q, k, v, scale, window=None):
    n_tokens = q.shape[1]
    k, v = (np.repeat(m, q.shape[0] // k.shape[0], axis=0) for m in (k, v))
    i, j = np.arange(n_tokens)[:, None], np.arange(n_tokens)[None, :]
    seen = (j <= i) & (j > i - (window or n_tokens))
    scores = np.where(seen, q @ k.transpose(0, 2, 1) * scale, -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    out = p / p.sum(-1, keepdims=True) @ v
    return out.transpose(1, 0, 2).reshape(n_tokens, -1)


def inverse_frequencies(base, r, scaling=None):
    inv = base ** (-np.arange(0, r, 2) / r)
    if scaling and scaling.get("rope_type", scaling.get("type")) == "linear":
        inv = inv / scaling["factor"]
    elif scaling:
        low, high = (scaling["original_max_position_embeddings"] / scaling[k] for k in ("low_freq_factor", "high_freq_factor"))
        length = 2 * np.pi / inv
        smooth = (scaling["original_max_position_embeddings"] / length - scaling["low_freq_factor"]) / (
            scaling["high_freq_factor"] - scaling["low_freq_factor"])
        middle = (1 - smooth) * inv / scaling["factor"] + smooth * inv
        inv = np.where(length < high, inv, np.where(length > low, inv / scaling["factor"], middle))
    return inv.astype(np.float32)


def angles(inv, n_tokens):
    a = (np.arange(n_tokens, dtype=np.float32)[:, None] * inv[None, :]).astype(np.float64)
    return np.cos(a), np.sin(a)


def rotate_half(x, inv):
    r = 2 * len(inv)
    c, s = angles(inv, x.shape[1])
    a, b = x[..., : r // 2], x[..., r // 2: r]
    return np.concatenate([a * c - b * s, b * c + a * s, x[..., r:]], -1)


def rotate_pairs(x, inv):
    r = 2 * len(inv)
    c, s = angles(inv, x.shape[1])
    out = x.copy()
    out[..., 0:r:2] = x[..., 0:r:2] * c - x[..., 1:r:2] * s
    out[..., 1:r:2] = x[..., 1:r:2] * c + x[..., 0:r:2] * s
    return out


def llama(m, ids, qkv_bias=False, window=None, windows=None, norm=None, act=silu, scale=1.0, r=None, parallel=False):
    c = m.c
    n_head, n_kv = c["num_attention_heads"], c.get("num_key_value_heads") or c["num_attention_heads"]
    d = c.get("head_dim") or c["hidden_size"] // n_head
    rope = c.get("rope_parameters") or {}
    inv = inverse_frequencies(rope.get("rope_theta", c.get("rope_theta", 10000.0)), r or d, c.get("rope_scaling") or (rope if "factor" in rope else None))
    x = m.t("model.embed_tokens.weight", N_VOCAB, c["hidden_size"])[ids] * scale
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        h = norm(x, p + "input_layernorm")
        q = rotate_half(heads(m.linear(h, p + "self_attn.q_proj", n_head * d, qkv_bias), n_head), inv)
        k = rotate_half(heads(m.linear(h, p + "self_attn.k_proj", n_kv * d, qkv_bias), n_kv), inv)
        v = heads(m.linear(h, p + "self_attn.v_proj", n_kv * d, qkv_bias), n_kv)
        a = attend(q, k, v, d**-0.5, windows[i] if windows else window)
        a = m.linear(a, p + "self_attn.o_proj", c["hidden_size"], False)
        if not parallel:
            x = x + a
            h = norm(x, p + "post_attention_layernorm")
        n = c["intermediate_size"]
        f = act(m.linear(h, p + "mlp.gate_proj", n, False)) * m.linear(h, p + "mlp.up_proj", n, False)
        x = x + m.linear(f, p + "mlp.down_proj", c["hidden_size"], False) + (a if parallel else 0)
    x = norm(x, "model.norm")
    if c.get("tie_word_embeddings"):
        return x @ tensor("model.embed_tokens.weight", N_VOCAB, c["hidden_size"]).T
    return m.linear(x, "lm_head", N_VOCAB, False)


def gpt_like(m, ids, block, wte, wpe, ln_f, n_ctx, d, eps, skip=0, head=None):
    x = m.t(wte, N_VOCAB, d)[ids]
    if wpe:
        x = x + m.t(wpe, n_ctx + skip, d)[skip: skip + len(ids)]
    x = m.layer_norm(block(x), ln_f, eps)
    return x @ tensor(wte, N_VOCAB, d).T if head is None else head(x)


BASE = {"vocab_size": N_VOCAB, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = dict(BASE, hidden_size=48, num_hidden_layers=2, intermediate_size=52, max_position_embeddings=128)
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


@case
def llama2(ids):
    c = dict(LLAMA, model_type="llama", architectures=["LlamaForCausalLM"], num_attention_heads=3, hidden_act="silu", rms_norm_eps=1e-3,
             tie_word_embeddings=False, rope_theta=10000.0, rope_scaling=None, torch_dtype="bfloat16", pretraining_tp=1, attention_bias=False)
    m = Model(c)
    return m, llama(m, ids, norm=lambda x, n: m.rms_norm(x, n, 1e-3))


@case
def llama32(ids):
    c = dict(LLAMA, model_type="llama", num_attention_heads=6, num_key_value_heads=2, head_dim=24, tie_word_embeddings=True, rms_norm_eps=1e-5,
             eos_token_id=[2, 3], rope_theta=500000.0,
             rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64})
    m = Model(c)
    return m, llama(m, ids, norm=lambda x, n: m.rms_norm(x, n, 1e-5))


@case
def llama_linear(ids):
    c = dict(LLAMA, model_type="llama", num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, dtype="float32",
             rope_parameters={"rope_type": "linear", "rope_theta": 1000.0, "factor": 4.0})
    m = Model(c)
    return m, llama(m, ids, norm=lambda x, n: m.rms_norm(x, n, 1e-6))


@case
def mistral(ids):
    c = dict(LLAMA, model_type="mistral", num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False, sliding_window=70, rms_norm_eps=1e-5)
    m = Model(c)
    return m, llama(m, ids, window=70, norm=lambda x, n: m.rms_norm(x, n, 1e-5))


@case
def qwen2(ids):
    c = dict(LLAMA, model_type="qwen2", num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True, use_sliding_window=False,
             sliding_window=7, max_window_layers=2, rope_theta=1000000.0)
    m = Model(c)

    def linear(x, name, n_out, bias=True, plain=m.linear):
        return plain(x, name, n_out, name.split(".")[-1] in ("q_proj", "k_proj", "v_proj"))
    m.linear = linear
    return m, llama(m, ids, norm=lambda x, n: m.rms_norm(x, n, 1e-6))


@case
def gemma(ids):
    c = dict(LLAMA, model_type="gemma", num_attention_heads=2, num_key_value_heads=1, head_dim=80, hidden_act="gelu", rms_norm_eps=1e-6, torch_dtype="bfloat16")
    m = Model(dict(c, tie_word_embeddings=True))
    # sqrt(48) = 6.9282 rounds to 6.9375 in bf16.
    out = llama(m, ids, norm=lambda x, n: m.rms_norm(x, n, 1e-6, 1), act=gelu_tanh, scale=6.9375)
    m.c = c
    return m, out


@case
def stablelm(ids):
    c = dict(LLAMA, model_type="stablelm", num_attention_heads=3, use_qkv_bias=True, partial_rotary_factor=0.25, layer_norm_eps=1e-5, tie_word_embeddings=False)
    m = Model(c)

    def linear(x, name, n_out, bias=True, plain=m.linear):
        return plain(x, name, n_out, name.split(".")[-1] in ("q_proj", "k_proj", "v_proj"))
    m.linear = linear
    return m, llama(m, ids, r=4, norm=lambda x, n: m.layer_norm(x, n, 1e-5))


@case
def gpt_bigcode_mqa(ids, multi_query=True):
    c = dict(BASE, model_type="gpt_bigcode", n_embd=40, n_layer=2, n_head=5, n_positions=128, n_inner=52, activation_function="gelu_pytorch_tanh",
             multi_query=multi_query, scale_attn_weights=True)
    m, d, n_kv = Model(c), 8, 1 if multi_query else 5

    def block(x):
        for i in range(2):
            p = f"transformer.h.{i}."
            qkv = m.linear(m.layer_norm(x, p + "ln_1", 1e-5), p + "attn.c_attn", 40 + 2 * n_kv * d)
            if multi_query:
                q, k, v = qkv[:, :40], qkv[:, 40:48], qkv[:, 48:]
            else:  # head by head
                q, k, v = (np.concatenate([qkv[:, h * 24 + j * 8: h * 24 + j * 8 + 8] for h in range(5)], 1) for j in range(3))
            x = x + m.linear(attend(heads(q, 5), heads(k, n_kv), heads(v, n_kv), d**-0.5), p + "attn.c_proj", 40)
            x = x + m.linear(gelu_tanh(m.linear(m.layer_norm(x, p + "ln_2", 1e-5), p + "mlp.c_fc", 52)), p + "mlp.c_proj", 40)
        return x
    return m, gpt_like(m, ids, block, "transformer.wte.weight", "transformer.wpe.weight", "transformer.ln_f", 128, 40, 1e-5)


@case
def gpt_bigcode_mha(ids):
    return gpt_bigcode_mqa(ids, False)


@case
def gptj(ids):
    c = dict(BASE, model_type="gptj", n_embd=48, n_layer=2, n_head=3, n_positions=128, rotary_dim=8, n_inner=None, tie_word_embeddings=False)
    m, inv = Model(c), inverse_frequencies(10000.0, 8)

    def block(x):
        for i in range(2):
            p = f"transformer.h.{i}."
            h = m.layer_norm(x, p + "ln_1", 1e-5)
            q, k = (rotate_pairs(heads(m.linear(h, p + f"attn.{n}_proj", 48, False), 3), inv) for n in "qk")
            v = heads(m.linear(h, p + "attn.v_proj", 48, False), 3)
            a = m.linear(attend(q, k, v, 16**-0.5), p + "attn.out_proj", 48, False)
            x = x + a + m.linear(gelu_tanh(m.linear(h, p + "mlp.fc_in", 192)), p + "mlp.fc_out", 48)
        return x
    return m, gpt_like(m, ids, block, "transformer.wte.weight", None, "transformer.ln_f", 128, 48, 1e-5, head=lambda x: m.linear(x, "lm_head", N_VOCAB))


@case
def gpt_neox(ids, parallel=True, embed_out="embed_out"):
    c = dict(BASE, model_type="gpt_neox", hidden_size=48, num_hidden_layers=2, num_attention_heads=2, intermediate_size=52, max_position_embeddings=128,
             rotary_pct=0.25, rotary_emb_base=10000, hidden_act="gelu", layer_norm_eps=1e-5, use_parallel_residual=parallel, tie_word_embeddings=False)
    m, inv = Model(c), inverse_frequencies(10000.0, 6)

    def block(x):
        for i in range(2):
            p = f"gpt_neox.layers.{i}."
            qkv = m.linear(m.layer_norm(x, p + "input_layernorm", 1e-5), p + "attention.query_key_value", 144).reshape(len(ids), 2, 3, 24)
            q, k, v = (qkv[:, :, j].transpose(1, 0, 2) for j in range(3))
            a = m.linear(attend(rotate_half(q, inv), rotate_half(k, inv), v, 24**-0.5), p + "attention.dense", 48)
            h = m.layer_norm(x if parallel else x + a, p + "post_attention_layernorm", 1e-5)
            x = x + a + m.linear(gelu_erf(m.linear(h, p + "mlp.dense_h_to_4h", 52)), p + "mlp.dense_4h_to_h", 48)
        return x
    return m, gpt_like(m, ids, block, "gpt_neox.embed_in.weight", None, "gpt_neox.final_layer_norm", 128, 48, 1e-5,
                       head=lambda x: m.linear(x, embed_out, N_VOCAB, False))


@case
def gpt_neox_serial(ids):
    return gpt_neox(ids, False, "lm_head")


@case
def gpt_neo(ids):
    c = dict(BASE, model_type="gpt_neo", hidden_size=40, num_layers=2, num_heads=4, max_position_embeddings=128, intermediate_size=None,
             attention_types=[[["global", "local"], 1]], window_size=20, activation_function="gelu_new", layer_norm_epsilon=1e-5)
    m = Model(c)

    def block(x):
        for i in range(2):
            p = f"transformer.h.{i}."
            h = m.layer_norm(x, p + "ln_1", 1e-5)
            q, k, v = (heads(m.linear(h, p + f"attn.attention.{n}_proj", 40, False), 4) for n in "qkv")
            x = x + m.linear(attend(q, k, v, 1.0, 20 if i == 1 else None), p + "attn.attention.out_proj", 40)
            x = x + m.linear(gelu_tanh(m.linear(m.layer_norm(x, p + "ln_2", 1e-5), p + "mlp.c_fc", 160)), p + "mlp.c_proj", 40)
        return x
    return m, gpt_like(m, ids, block, "transformer.wte.weight", "transformer.wpe.weight", "transformer.ln_f", 128, 40, 1e-5)


@case
def opt(ids):
    c = dict(BASE, model_type="opt", hidden_size=40, num_hidden_layers=2, num_attention_heads=2, ffn_dim=52, max_position_embeddings=128,
             do_layer_norm_before=True, word_embed_proj_dim=40, activation_function="relu")
    m = Model(c)

    def block(x):
        for i in range(2):
            p = f"model.decoder.layers.{i}."
            h = m.layer_norm(x, p + "self_attn_layer_norm", 1e-5)
            q, k, v = (heads(m.linear(h, p + f"self_attn.{n}_proj", 40), 2) for n in "qkv")
            x = x + m.linear(attend(q, k, v, 20**-0.5), p + "self_attn.out_proj", 40)
            x = x + m.linear(relu(m.linear(m.layer_norm(x, p + "final_layer_norm", 1e-5), p + "fc1", 52)), p + "fc2", 40)
        return x
    return m, gpt_like(m, ids, block, "model.decoder.embed_tokens.weight", "model.decoder.embed_positions.weight", "model.decoder.final_layer_norm",
                       128, 40, 1e-5, skip=2)


@case
def phi(ids):
    c = dict(BASE, model_type="phi", hidden_size=60, num_hidden_layers=2, num_attention_heads=3, intermediate_size=52, max_position_embeddings=128,
             hidden_act="gelu_new", partial_rotary_factor=0.5, layer_norm_eps=1e-5, qk_layernorm=False, tie_word_embeddings=False)
    m, inv = Model(c), inverse_frequencies(10000.0, 10)

    def block(x):
        for i in range(2):
            p = f"model.layers.{i}."
            h = m.layer_norm(x, p + "input_layernorm", 1e-5)
            q, k, v = (heads(m.linear(h, p + f"self_attn.{n}_proj", 60), 3) for n in "qkv")
            a = m.linear(attend(rotate_half(q, inv), rotate_half(k, inv), v, 20**-0.5), p + "self_attn.dense", 60)
            x = x + a + m.linear(gelu_tanh(m.linear(h, p + "mlp.fc1", 52)), p + "mlp.fc2", 60)
        return x
    return m, gpt_like(m, ids, block, "model.embed_tokens.weight", None, "model.final_layernorm", 128, 60, 1e-5,
                       head=lambda x: m.linear(x, "lm_head", N_VOCAB))


def with_biases(m, has_bias):
    """Of the linear layers, those whose name says so have a bias."""
    def linear(x, name, n_out, bias=True, plain=m.linear):
        return plain(x, name, n_out, has_bias(name))
    m.linear = linear
    return m


@case
def stablelm_parallel(ids):
    c = dict(LLAMA, model_type="stablelm", num_attention_heads=3, use_qkv_bias=False, use_parallel_residual=True, rope_pct=0.5, norm_eps=1e-4,
             tie_word_embeddings=False)
    m = with_biases(Model(c), lambda name: False)
    return m, llama(m, ids, r=8, parallel=True, norm=lambda x, n: m.layer_norm(x, n, 1e-4))


@case
def llama_biases(ids):
    c = dict(LLAMA, model_type="llama", num_attention_heads=4, num_key_value_heads=2, head_dim=20, attention_bias=True, mlp_bias=True)
    m = with_biases(Model(c), lambda name: name != "lm_head")
    return m, llama(m, ids, norm=lambda x, n: m.rms_norm(x, n, 1e-6))


@case
def qwen2_window(ids):
    c = dict(LLAMA, model_type="qwen2", num_attention_heads=3, use_sliding_window=True, sliding_window=20, max_window_layers=1, rope_theta=1000000.0)
    m = with_biases(Model(c), lambda name: name.split(".")[-1] in ("q_proj", "k_proj", "v_proj"))
    return m, llama(m, ids, windows=[None, 20], norm=lambda x, n: m.rms_norm(x, n, 1e-6))


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.random.default_rng(7).integers(0, N_VOCAB, N_TOKENS)
    kept = [0, 1, 15, 63, 64, 66, N_TOKENS - 1]
    table = {"ids": ids.tolist(), "rows": kept, "cases": {}}
    logits = b""
    for name, function in CASES.items():
        model, out = function(ids)
        assert out.shape == (N_TOKENS, N_VOCAB) and np.isfinite(out).all()
        table["cases"][name] = {"config": json.dumps(model.c), "deviation": float(out.std()), "tensors": model.shapes}
        logits += out[kept].astype("<f4").tobytes()
    (folder / "family.json").write_text(json.dumps(table, indent=None, separators=(",", ":")) + "\n")
    (folder / "family.f32").write_bytes(logits)
    print(f"{len(CASES)} architectures, {len(logits)} bytes of logits")


if __name__ == "__main__":
    main()
