#!/usr/bin/env python3
"""make_gguf_models.py DIR: a small GGUF file of each architecture that is read, written by the Python package `gguf` (0.19.0) from the
seeded weights of make_family_goldens.py, as a converter of Hugging Face directories would: rows of llama's q and k interleaved, GPT-NeoX'
q, k and v apart, Gemma's norms with their 1, GPT-2's matrices turned. The keys test.config and test.tensors hold the directory's
config.json and shapes, so that the tests build that directory and compare logits bit by bit. Weights are rounded to F16.
tests/data/gguf was made by: scripts/make_gguf_models.py tests/data/gguf"""
import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from make_family_goldens import tensor

N_VOCAB, N_CTX, D, INNER, LAYERS = 37, 24, 32, 40, 2
BASE = {"vocab_size": N_VOCAB, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32"}
LLAMA = dict(BASE, hidden_size=D, num_hidden_layers=LAYERS, intermediate_size=INNER, max_position_embeddings=N_CTX)
GPT = dict(BASE, n_embd=D, n_layer=LAYERS, n_inner=INNER, n_positions=N_CTX)


class File:
    """One GGUF file and the directory that it stands for."""

    def __init__(self, folder, name, architecture, config, keys):
        self.writer, self.shapes = GGUFWriter(folder / (name + ".gguf"), architecture), {}
        self.config, self.d = config, config.get("head_dim", D // 2)
        self.writer.add_context_length(N_CTX)
        self.writer.add_embedding_length(D)
        self.writer.add_block_count(LAYERS)
        self.writer.add_feed_forward_length(INNER)
        for key, value in keys.items():
            getattr(self.writer, "add_" + key)(value)
        self.writer.add_tokenizer_model("gpt2")
        self.writer.add_tokenizer_pre("gpt-2")
        self.writer.add_token_list(["a", "b", "ab"] + [f"t{i}" for i in range(3, N_VOCAB)])
        self.writer.add_token_types([1] * 36 + [3])
        self.writer.add_token_merges(["a b"])
        self.writer.add_bos_token_id(1)
        self.writer.add_eos_token_id(2)

    def t(self, name, *shape):
        self.shapes[name] = list(shape)
        return tensor(name, *shape).astype(np.float16)

    def put(self, name, values):
        self.writer.add_tensor(name, np.ascontiguousarray(values if values.ndim > 1 else values.astype(np.float32)))

    def copy(self, theirs, ours, *shape):
        self.put(ours, self.t(theirs, *shape))

    def both(self, theirs, ours, *shape):
        self.copy(theirs + ".weight", ours + ".weight", *shape)
        self.copy(theirs + ".bias", ours + ".bias", shape[0])

    def close(self):
        self.writer.add_string("test.config", json.dumps(self.config))
        self.writer.add_string("test.tensors", json.dumps(self.shapes))
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def interleaved(rows, n_head):
    """Row i of the halves of each head becomes row 2 i, row half + i becomes 2 i + 1."""
    heads = rows.reshape(n_head, -1, *rows.shape[1:])
    out, half = np.empty_like(heads), heads.shape[1] // 2
    out[:, 0::2], out[:, 1::2] = heads[:, :half], heads[:, half:]
    return out.reshape(rows.shape)


def llama_blocks(f, n_head, n_kv, bias=False, turn=lambda rows, n: rows, norm=lambda f, theirs, ours: f.copy(theirs + ".weight", ours + ".weight", D)):
    f.copy("model.embed_tokens.weight", "token_embd.weight", N_VOCAB, D)
    for i in range(LAYERS):
        theirs, ours = f"model.layers.{i}.", f"blk.{i}."
        norm(f, theirs + "input_layernorm", ours + "attn_norm")
        for letter, n in (("q", n_head), ("k", n_kv), ("v", n_kv)):
            name = theirs + f"self_attn.{letter}_proj"
            move = (lambda rows, n=n: turn(rows, n)) if letter != "v" else (lambda rows: rows)
            f.put(ours + f"attn_{letter}.weight", move(f.t(name + ".weight", n * f.d, D)))
            if bias:
                f.put(ours + f"attn_{letter}.bias", move(f.t(name + ".bias", n * f.d)))
        f.copy(theirs + "self_attn.o_proj.weight", ours + "attn_output.weight", D, n_head * f.d)
        norm(f, theirs + "post_attention_layernorm", ours + "ffn_norm")
        for part in ("gate", "up"):
            f.copy(theirs + f"mlp.{part}_proj.weight", ours + f"ffn_{part}.weight", INNER, D)
        f.copy(theirs + "mlp.down_proj.weight", ours + "ffn_down.weight", D, INNER)
    norm(f, "model.norm", "output_norm")
    if not f.config.get("tie_word_embeddings"):
        f.copy("lm_head.weight", "output.weight", N_VOCAB, D)


def llama(folder):
    c = dict(LLAMA, model_type="llama", num_attention_heads=4, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-3, rope_theta=5000.0,
             tie_word_embeddings=False, attention_bias=True, rope_scaling={"type": "linear", "factor": 4.0})
    f = File(folder, "llama", "llama", c, {"head_count": 4, "head_count_kv": 2, "key_length": 16, "value_length": 16, "layer_norm_rms_eps": 1e-3,
                                           "rope_freq_base": 5000.0, "rope_dimension_count": 16, "rope_scaling_factor": 4.0, "vocab_size": N_VOCAB})
    f.writer.add_string("llama.rope.scaling.type", "linear")
    llama_blocks(f, 4, 2, bias=True, turn=interleaved)
    f.close()


def llama3(folder):
    """The scaling of Llama 3 is a tensor of divisors; of powers of two here, so that no bit is lost."""
    c = dict(LLAMA, model_type="llama", num_attention_heads=2, num_key_value_heads=1, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=True,
             rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0000001, "original_max_position_embeddings": 64})
    f = File(folder, "llama3", "llama", c, {"head_count": 2, "head_count_kv": [1, 1], "layer_norm_rms_eps": 1e-5})
    length = 2 * np.pi / 10000.0 ** (-np.arange(0, f.d, 2) / f.d)
    f.writer.add_tensor("rope_freqs.weight", np.where(length > 64, 8, 1).astype(np.float32))
    llama_blocks(f, 2, 1, turn=interleaved)
    f.close()


def qwen2(folder):
    c = dict(LLAMA, model_type="qwen2", num_attention_heads=2, num_key_value_heads=1, rms_norm_eps=1e-6, rope_theta=1000000.0, tie_word_embeddings=True)
    f = File(folder, "qwen2", "qwen2", c, {"head_count": 2, "head_count_kv": 1, "layer_norm_rms_eps": 1e-6, "rope_freq_base": 1000000.0})
    llama_blocks(f, 2, 1, bias=True)
    f.close()


def gemma(folder):
    c = dict(LLAMA, model_type="gemma", num_attention_heads=2, num_key_value_heads=1, head_dim=24, rms_norm_eps=1e-6, tie_word_embeddings=True)
    f = File(folder, "gemma", "gemma", c, {"head_count": 2, "head_count_kv": 1, "key_length": 24, "value_length": 24, "layer_norm_rms_eps": 1e-6})

    def norm(f, theirs, ours):
        f.put(ours + ".weight", f.t(theirs + ".weight", D).astype(np.float32) + np.float32(1))
    llama_blocks(f, 2, 1, norm=norm)
    f.close()


def stablelm(folder):
    c = dict(LLAMA, model_type="stablelm", num_attention_heads=2, use_qkv_bias=True, partial_rotary_factor=0.25, layer_norm_eps=1e-5, tie_word_embeddings=False)
    f = File(folder, "stablelm", "stablelm", c, {"head_count": 2, "head_count_kv": 2, "layer_norm_eps": 1e-5, "rope_dimension_count": 4, "parallel_residual": False})
    llama_blocks(f, 2, 2, bias=True, norm=lambda f, theirs, ours: f.both(theirs, ours, D))
    f.close()


def gpt2(folder):
    f = File(folder, "gpt2", "gpt2", dict(GPT, model_type="gpt2", n_head=2, layer_norm_epsilon=1e-5), {"head_count": 2, "layer_norm_eps": 1e-5})

    def turned(theirs, ours, n_in, n_out):
        f.put(ours + ".weight", f.t(theirs + ".weight", n_in, n_out).T)
        f.copy(theirs + ".bias", ours + ".bias", n_out)
    f.copy("wte.weight", "token_embd.weight", N_VOCAB, D)
    f.put("position_embd.weight", f.t("wpe.weight", N_CTX, D).astype(np.float32))
    for i in range(LAYERS):
        theirs, ours = f"h.{i}.", f"blk.{i}."
        f.both(theirs + "ln_1", ours + "attn_norm", D)
        turned(theirs + "attn.c_attn", ours + "attn_qkv", D, 3 * D)
        turned(theirs + "attn.c_proj", ours + "attn_output", D, D)
        f.both(theirs + "ln_2", ours + "ffn_norm", D)
        turned(theirs + "mlp.c_fc", ours + "ffn_up", D, INNER)
        turned(theirs + "mlp.c_proj", ours + "ffn_down", INNER, D)
    f.both("ln_f", "output_norm", D)
    f.put("output.weight", tensor("wte.weight", N_VOCAB, D).astype(np.float16))  # as converters of 2025 doubled it
    f.close()


def starcoder(folder):
    c = dict(GPT, model_type="gpt_bigcode", n_head=2, layer_norm_epsilon=1e-5, multi_query=True, activation_function="gelu_pytorch_tanh")
    f = File(folder, "starcoder", "starcoder", c, {"head_count": 2, "head_count_kv": 1, "layer_norm_eps": 1e-5})
    f.copy("transformer.wte.weight", "token_embd.weight", N_VOCAB, D)
    f.copy("transformer.wpe.weight", "position_embd.weight", N_CTX, D)
    for i in range(LAYERS):
        theirs, ours = f"transformer.h.{i}.", f"blk.{i}."
        f.both(theirs + "ln_1", ours + "attn_norm", D)
        f.both(theirs + "attn.c_attn", ours + "attn_qkv", D + 2 * f.d, D)
        f.both(theirs + "attn.c_proj", ours + "attn_output", D, D)
        f.both(theirs + "ln_2", ours + "ffn_norm", D)
        f.both(theirs + "mlp.c_fc", ours + "ffn_up", INNER, D)
        f.both(theirs + "mlp.c_proj", ours + "ffn_down", D, INNER)
    f.both("transformer.ln_f", "output_norm", D)
    f.close()


def gptneox(folder):
    c = dict(LLAMA, model_type="gpt_neox", num_attention_heads=2, rotary_pct=0.25, rotary_emb_base=3000, hidden_act="gelu", layer_norm_eps=1e-5,
             use_parallel_residual=True, tie_word_embeddings=False)
    f = File(folder, "gptneox", "gptneox", c, {"head_count": 2, "layer_norm_eps": 1e-5, "rope_dimension_count": 4, "rope_freq_base": 3000.0, "parallel_residual": True})
    f.copy("gpt_neox.embed_in.weight", "token_embd.weight", N_VOCAB, D)

    def apart(rows):
        return np.concatenate([rows.reshape(2, 3, f.d, *rows.shape[1:])[:, part].reshape(2 * f.d, *rows.shape[1:]) for part in range(3)])
    for i in range(LAYERS):
        theirs, ours = f"gpt_neox.layers.{i}.", f"blk.{i}."
        f.both(theirs + "input_layernorm", ours + "attn_norm", D)
        f.put(ours + "attn_qkv.weight", apart(f.t(theirs + "attention.query_key_value.weight", 3 * D, D)))
        f.put(ours + "attn_qkv.bias", apart(f.t(theirs + "attention.query_key_value.bias", 3 * D)))
        f.both(theirs + "attention.dense", ours + "attn_output", D, D)
        f.both(theirs + "post_attention_layernorm", ours + "ffn_norm", D)
        f.both(theirs + "mlp.dense_h_to_4h", ours + "ffn_up", INNER, D)
        f.both(theirs + "mlp.dense_4h_to_h", ours + "ffn_down", D, INNER)
    f.both("gpt_neox.final_layer_norm", "output_norm", D)
    f.copy("embed_out.weight", "output.weight", N_VOCAB, D)
    f.close()


def phi2(folder):
    c = dict(LLAMA, model_type="phi", num_attention_heads=2, hidden_act="gelu_new", partial_rotary_factor=0.5, layer_norm_eps=1e-5, tie_word_embeddings=False)
    f = File(folder, "phi2", "phi2", c, {"head_count": 2, "head_count_kv": 2, "layer_norm_eps": 1e-5, "rope_dimension_count": 8})
    f.copy("model.embed_tokens.weight", "token_embd.weight", N_VOCAB, D)
    for i in range(LAYERS):
        theirs, ours = f"model.layers.{i}.", f"blk.{i}."
        f.both(theirs + "input_layernorm", ours + "attn_norm", D)
        for end, shape in ((".weight", (D, D)), (".bias", (D,))):
            f.put(ours + "attn_qkv" + end, np.concatenate([f.t(theirs + f"self_attn.{n}_proj" + end, *shape) for n in "qkv"]))
        f.both(theirs + "self_attn.dense", ours + "attn_output", D, D)
        f.both(theirs + "mlp.fc1", ours + "ffn_up", INNER, D)
        f.both(theirs + "mlp.fc2", ours + "ffn_down", D, INNER)
    f.both("model.final_layernorm", "output_norm", D)
    f.both("lm_head", "output", N_VOCAB, D)
    f.close()


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for make in (gpt2, starcoder, llama, llama3, qwen2, gptneox, phi2, stablelm, gemma):
        make(folder)


if __name__ == "__main__":
    main()
