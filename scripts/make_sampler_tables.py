#!/usr/bin/env python3
"""Writes tests/data/sampler_tables.json: what the LogitsProcessors of Hugging Face transformers make of logits.

python3 -m venv venv && venv/bin/pip install torch==2.2.2 transformers==4.46.3 'numpy<2'
venv/bin/python scripts/make_sampler_tables.py > tests/data/sampler_tables.json

Each case: options, the tokens so far, how many of them are the prompt, logits, and the scores after all processors (null: minus
infinity). The order is that of GenerationMixin._get_logits_processor in transformers 4.46.3.
"""
import json
import random

import torch
import transformers
from transformers import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

N_VOCAB = 40
EOS = [39, 38]


def processors(o, n_prompt):
    chain = LogitsProcessorList()
    if "logit_bias" in o:
        chain.append(SequenceBiasLogitsProcessor({(t,): b for t, b in o["logit_bias"]}))
    if "repetition_penalty" in o:
        chain.append(RepetitionPenaltyLogitsProcessor(o["repetition_penalty"]))
    if "no_repeat_ngram" in o:
        chain.append(NoRepeatNGramLogitsProcessor(o["no_repeat_ngram"]))
    if "min_new_tokens" in o:
        chain.append(MinNewTokensLengthLogitsProcessor(n_prompt, o["min_new_tokens"], EOS))
    if "forbidden" in o:
        chain.append(SuppressTokensLogitsProcessor(o["forbidden"]))
    if o.get("greedy"):
        return chain
    if "temperature" in o:
        chain.append(TemperatureLogitsWarper(o["temperature"]))
    if "top_k" in o:
        chain.append(TopKLogitsWarper(o["top_k"]))
    if "top_p" in o:
        chain.append(TopPLogitsWarper(o["top_p"]))
    if "min_p" in o:
        chain.append(MinPLogitsWarper(o["min_p"]))
    if "typical_p" in o:
        chain.append(TypicalLogitsWarper(o["typical_p"]))
    return chain


def draw_options(r, case):
    """Each option alone first, then random sets of them."""
    values = {
        "logit_bias": lambda: [[t, round(r.uniform(-8, 8), 2)] for t in r.sample(range(N_VOCAB), 4)],
        "repetition_penalty": lambda: r.choice([0.5, 1.1, 1.3, 2.0]),
        "no_repeat_ngram": lambda: r.choice([1, 2, 3, 4]),
        "min_new_tokens": lambda: r.choice([1, 5, 9]),
        "forbidden": lambda: sorted(r.sample(range(N_VOCAB), 5)),
        "temperature": lambda: r.choice([0.3, 0.7, 1.5, 4.0]),
        "top_k": lambda: r.choice([1, 3, 10, 100]),
        "top_p": lambda: r.choice([0.1, 0.5, 0.9, 0.99]),
        "min_p": lambda: r.choice([0.02, 0.1, 0.5]),
        "typical_p": lambda: r.choice([0.05, 0.2, 0.6, 0.95]),
    }
    names = list(values)
    if case < 4 * len(names):
        return {names[case % len(names)]: values[names[case % len(names)]]()}
    options = {name: make() for name, make in values.items() if r.random() < 0.5}
    if r.random() < 0.15:
        options["greedy"] = True
    return options


def main():
    r = random.Random(20240601)
    cases = []
    for case in range(140):
        options = draw_options(r, case)
        tokens = [r.randrange(8) for _ in range(r.randrange(1, 24))]  # few ids, so that n-grams repeat
        n_prompt = r.randrange(1, len(tokens) + 1)
        spread = r.choice([0.3, 2, 6])
        logits = [round(r.gauss(0, spread), 3) for _ in range(N_VOCAB)]
        if "top_p" in options:  # transformers sorts without a rule for ties
            while len(set(logits)) < N_VOCAB:
                logits = [round(r.gauss(0, spread), 4) for _ in range(N_VOCAB)]
        elif case % 3 == 0:  # ties
            logits = [round(x) for x in logits]
        scores = processors(options, n_prompt)(torch.tensor([tokens]), torch.tensor([logits], dtype=torch.float32))[0]
        out = [None if s == float("-inf") else s for s in scores.tolist()]
        if all(s is None for s in out):
            continue
        cases.append({"options": options, "tokens": tokens, "n_prompt": n_prompt, "logits": logits, "scores": out})
    print(json.dumps({"made_by": "scripts/make_sampler_tables.py", "torch": torch.__version__,
                      "transformers": transformers.__version__, "n_vocab": N_VOCAB, "eos": EOS}, separators=(",", ":"))[:-1]
          + ',"cases":[')
    print(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]}")


main()
