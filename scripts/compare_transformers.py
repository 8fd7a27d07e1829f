#!/usr/bin/env python3
"""Compares log-probabilities of every architecture with Hugging Face transformers, on checkpoints that its own classes make.

    python3 scripts/compare_transformers.py build/gpt2

Needs torch and transformers. Each checkpoint is small, random (seed 7) and in f32; its directory is what save_pretrained writes and a
tokenizer of 20 letters. A line for each: the largest difference of a log-probability over 70 positions and 20 tokens, beside the standard
deviation of transformers' logits. The status is 1 if any is above 2e-4 of it.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

N_VOCAB, N_TOKENS = 20, 70
LETTERS = "abcdefghijklmnopqrst"
COMMON = {"vocab_size": N_VOCAB, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
LLAMA = dict(hidden_size=96, num_hidden_layers=3, intermediate_size=112, max_position_embeddings=128)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
CASES = {
    "gpt2": ("gpt2", dict(n_embd=96, n_layer=3, n_head=4, n_positions=128)),
    "gpt_bigcode, one head of keys": ("gpt_bigcode", dict(n_embd=96, n_layer=3, n_head=4, n_positions=128, multi_query=True)),
    "gpt_bigcode, all heads": ("gpt_bigcode", dict(n_embd=96, n_layer=3, n_head=4, n_positions=128, multi_query=False)),
    "gptj": ("gptj", dict(n_embd=96, n_layer=3, n_head=4, n_positions=128, rotary_dim=8)),
    "gpt_neox": ("gpt_neox", dict(LLAMA, num_attention_heads=4)),
    "gpt_neox, serial": ("gpt_neox", dict(LLAMA, num_attention_heads=4, use_parallel_residual=False)),
    "gpt_neo": ("gpt_neo", dict(hidden_size=96, num_layers=4, num_heads=4, max_position_embeddings=128, window_size=20,
                                attention_types=[[["global", "local"], 2]])),
    "opt": ("opt", dict(hidden_size=96, num_hidden_layers=3, num_attention_heads=4, ffn_dim=112, max_position_embeddings=128,
                        word_embed_proj_dim=96)),
    "phi": ("phi", dict(LLAMA, num_attention_heads=3)),
    "stablelm": ("stablelm", dict(LLAMA, num_attention_heads=3, num_key_value_heads=3, use_qkv_bias=True)),
    "stablelm, parallel": ("stablelm", dict(LLAMA, num_attention_heads=3, num_key_value_heads=1, use_parallel_residual=True)),
    "llama": ("llama", dict(LLAMA, num_attention_heads=6, num_key_value_heads=2)),
    "llama, biases, wide heads": ("llama", dict(LLAMA, num_attention_heads=4, head_dim=40, attention_bias=True, mlp_bias=True)),
    "llama 3.1 scaling, tied": ("llama", dict(LLAMA, num_attention_heads=6, num_key_value_heads=3, rope_parameters=LLAMA3,
                                             tie_word_embeddings=True)),
    "llama, linear scaling": ("llama", dict(LLAMA, num_attention_heads=2, rope_parameters={"rope_type": "linear", "rope_theta": 1000.0,
                                                                                         "factor": 4.0})),
    "mistral, window": ("mistral", dict(LLAMA, num_attention_heads=4, num_key_value_heads=2, sliding_window=33)),
    "qwen2": ("qwen2", dict(LLAMA, num_attention_heads=6, num_key_value_heads=2)),
    "qwen2, window above": ("qwen2", dict(LLAMA, num_attention_heads=6, num_key_value_heads=2, use_sliding_window=True, sliding_window=33,
                                          max_window_layers=1)),
    "gemma": ("gemma", dict(LLAMA, num_attention_heads=2, num_key_value_heads=1, head_dim=80)),
}


def model_of(kind, keys):
    config = AutoConfig.for_model(kind, **COMMON, **keys)
    config._attn_implementation = "eager"
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():  # far from the small values that training starts with, biases and norms, too
        for name, p in model.named_parameters():
            centre = 1.0 if "norm" in name or "ln_" in name else 0.0
            if name.endswith("bias"):
                p.copy_(0.3 * torch.randn_like(p))
            elif p.dim() == 1:
                p.copy_((0 if kind == "gemma" else centre) + 0.1 * torch.randn_like(p))
            else:
                p.copy_((0.8 if "emb" in name or "wte" in name or "wpe" in name else 0.25) * torch.randn_like(p))
    return model


def ours(program, folder, ids):
    """Log-probabilities [positions - 1, tokens] of what comes next, by the program."""
    def run(*arguments):
        out = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
        if out.returncode != 0:
            raise RuntimeError(out.stderr.strip())
        return out.stdout
    run("convert", "-q", folder, folder / "m.gpt2")
    out = run("generate", "-m", folder / "m.gpt2", "--kv-dtype", "f32", "--json", "-n", 0, "--logprobs", N_VOCAB, "--tokens",
              ",".join(map(str, ids)))
    rows = json.loads(out)["logprobs"]["top"][1:]
    table = torch.full((len(rows), N_VOCAB), torch.nan, dtype=torch.float64)
    for row, top in zip(table, rows):
        for token in top:
            row[token["token"]] = token["logprob"]
    return table


def main():
    program = str(Path(sys.argv[1]).resolve())
    ids = torch.randint(0, N_VOCAB, (1, N_TOKENS), generator=torch.Generator().manual_seed(11))
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    print(f"{'':32} {'difference':>10} {'of spread':>10}")
    worst = 0.0
    for name, (kind, keys) in CASES.items():
        model = model_of(kind, keys)
        with torch.no_grad():
            logits = model(ids).logits[0, :-1].double()
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            model.save_pretrained(folder)
            (folder / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(LETTERS)}))
            (folder / "merges.txt").write_text("#version: 0.2\n")
            error = (ours(program, folder, ids[0].tolist()) - torch.log_softmax(logits, -1)).abs().max().item()
        spread = error / logits.std().item()
        worst = spread if not spread <= worst else worst  # NaN stays
        print(f"{name:32} {error:10.2e} {spread:10.2e}", flush=True)
    return 0 if worst <= 2e-4 else 1


if __name__ == "__main__":
    transformers.utils.logging.disable_progress_bar()
    sys.exit(main())
