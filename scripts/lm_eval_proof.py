#!/usr/bin/env python3
"""Compares `gpt2 eval TASK` with lm-evaluation-harness 0.4.13, example by example: texts, log-probabilities, right or
wrong, figures and standard errors. The harness drives a slow model class over the logits that `gpt2 eval golden --write`
gives one text after the other, softmax in float64, with its own task definitions over local files. No network.

  pip install lm-eval==0.4.13
  scripts/lm_eval_proof.py [-m MODEL] [-n EXAMPLES] [build/gpt2]     exit 1 if anything differs
"""
import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile

import numpy as np

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

WORDS = """the of and a to in he was that it his her with as had for she at not him on by captain sea old ship said one
very little house door night morning "Yes," "No!" Mr. Holmes don't it's 1842 3.14 naïve Ärger résumé Ελλάς Москва —
went looked through under before never again upon while great small hand eyes""".split()
TOLERANCE = 1e-9  # nats, for each token


def sentence(rng, low, high, end="."):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high))) + end


def lambada(rng):
    odd = rng.random()
    if odd < 0.05:
        return {"text": rng.choice(WORDS)}
    text = sentence(rng, 4, 400 if odd > 0.95 else 40, "")
    return {"text": text + rng.choice([" sea", " the", "  door", " hand.", "\n night", " was "])}


def hellaswag(rng):
    marks = ["", "", "", " [title] ", "[header] ", " [step] ", "  "]
    endings = [rng.choice(marks) + sentence(rng, 2, 14) + rng.choice(marks) for _ in range(4)]
    return {"activity_label": sentence(rng, 1, 3, ""), "ctx_a": sentence(rng, 3, 12) + rng.choice(marks),
            "ctx_b": sentence(rng, 0, 8, rng.choice(["", ".", " A NEW\tWay"])), "endings": endings,
            "label": str(rng.randrange(4))}


def piqa(rng):
    same = sentence(rng, 1, 8)
    return {"goal": sentence(rng, 2, 12, ""), "sol1": same, "sol2": same[:-1] + " " + sentence(rng, 1, 4),
            "label": rng.randrange(2)}


def winogrande(rng):
    return {"sentence": sentence(rng, 2, 9, " _ ") + sentence(rng, 2, 9), "option1": rng.choice(WORDS),
            "option2": rng.choice(WORDS), "answer": rng.choice("12")}


def arc(rng):
    n = rng.choice([3, 4, 4, 4, 5])
    labels = list("ABCDE" if rng.random() < 0.8 else "12345")[:n]
    return {"question": sentence(rng, 4, 20, "?") + rng.choice(["", "", " ", "\n"]),
            "choices": {"text": [sentence(rng, 1, 5, "") for _ in range(n)], "label": labels},
            "answerKey": rng.choice(labels)}


def choices(rng):
    options = [sentence(rng, 1, 4, "") for _ in range(rng.choice([2, 3]))]
    context = sentence(rng, 4, 330 if rng.random() < 0.05 else 10, rng.choice(["", " ", ":", "\u2003\n"]))
    return {"context": context, "choices": options, "label": rng.randrange(len(options))}


# The harness's own definition of each task, or one that says what `choices` does.
TASKS = {"lambada": (lambada, "lambada/lambada_openai.yaml"), "hellaswag": (hellaswag, "hellaswag/hellaswag.yaml"),
         "piqa": (piqa, "piqa/piqa.yaml"), "winogrande": (winogrande, "winogrande/default.yaml"),
         "arc": (arc, "arc/arc_easy.yaml"),
         "choices": (choices, {"output_type": "multiple_choice", "validation_split": "validation",
                               "training_split": "train", "doc_to_text": "{{context}}", "doc_to_target": "label",
                               "doc_to_choice": "choices",
                               "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}]})}


def gpt2(program, *arguments, stdin=""):
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{program} {' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def model_class():
    from lm_eval.api.model import TemplateLM

    class Slow(TemplateLM):
        """One process for each text that becomes tokens."""
        backend = "causal"
        tokenizer = None

        def __init__(self, program, model, info):
            super().__init__()
            self.program, self.model, self.known = program, ["-m", model] if model else [], {}
            self.max_length, self.eot = info

        @property
        def eot_token_id(self):
            return self.eot

        @property
        def prefix_token_id(self):
            return self.eot

        def tok_encode(self, string, add_special_tokens=None, **kwargs):
            if string not in self.known:
                out = gpt2(self.program, "tokenize", *self.model, "--special", "--json", "-f", "-", stdin=string)
                self.known[string] = json.loads(out)["tokens"]
            return list(self.known[string])

        def _loglikelihood_tokens(self, requests, disable_tqdm=False, **kwargs):
            answers = []
            for begin in range(0, len(requests), 16):
                some = requests[begin:begin + 16]
                # As the harness's own class for causal models truncates.
                texts = [(context + continuation)[-(self.max_length + 1):] for _, context, continuation in some]
                for (_, _, own), text, rows in zip(some, texts, self.logits([t[:-1] for t in texts]), strict=True):
                    rows = rows[len(text) - 1 - len(own):].astype(np.float64)
                    largest = rows.max(axis=1, keepdims=True)
                    sums = largest[:, 0] + np.log(np.exp(rows - largest).sum(axis=1))
                    at = np.arange(len(own))
                    answers.append((float((rows[at, own] - sums).sum()), bool((rows.argmax(axis=1) == own).all())))
            return answers

        def logits(self, texts):
            """Returns an array [tokens, n_vocab] for each text."""
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/logits.safetensors"
                lines = "".join(json.dumps({"tokens": text}) + "\n" for text in texts)
                gpt2(self.program, "eval", "golden", *self.model, "--write", path, "-", stdin=lines)
                with open(path, "rb") as file:
                    data = file.read()
            n = int.from_bytes(data[:8], "little")
            header = json.loads(data[8:8 + n])
            for i in range(len(texts)):
                info = header[f"logits.{i}" if len(texts) > 1 else "logits"]
                yield np.frombuffer(data, np.float32, math.prod(info["shape"]), 8 + n + info["data_offsets"][0]) \
                    .reshape(info["shape"])

        def loglikelihood_rolling(self, requests, disable_tqdm=False):
            raise NotImplementedError

        def generate_until(self, requests, disable_tqdm=False):
            raise NotImplementedError

    return Slow


def harness(folder, name, lm, shots, n):
    """Returns the harness's samples and figures of a task over the folder's files."""
    from lm_eval import evaluator, tasks
    from lm_eval.tasks import TaskManager
    import yaml

    definition = TASKS[name][1]
    data = {split: f"{folder}/{name}.{split}.jsonl" for split in ("train", "test", "validation")}
    own = {"task": f"local_{name}", "dataset_path": "json", "dataset_name": None,
           "dataset_kwargs": {"data_files": data}, "fewshot_split": "train",
           "fewshot_config": {"sampler": "first_n", "split": "train"}}
    if isinstance(definition, dict):
        own.update(definition)
    else:
        own["include"] = os.path.join(os.path.dirname(tasks.__file__), definition)
    with open(f"{folder}/local_{name}.yaml", "w", encoding="utf-8") as file:
        yaml.safe_dump(own, file)
    result = evaluator.simple_evaluate(model=lm, tasks=[own["task"]], num_fewshot=shots, log_samples=True,
                                       task_manager=TaskManager(include_path=folder, include_defaults=False))
    samples = sorted(result["samples"][own["task"]], key=lambda sample: sample["doc_id"])
    assert len(samples) == n
    return samples, result["results"][own["task"]]


def compare(name, shots, samples, figures, details, report):
    """Prints each difference and returns their number."""
    differences, worst = 0, 0.0

    def check(what, ours, theirs):
        nonlocal differences
        if ours != theirs:
            differences += 1
            print(f"  {name}, {shots} shots, {what}: here {ours!r}, there {theirs!r}")

    for line, sample in zip(details, samples, strict=True):
        what = f"example {sample['doc_id']}"
        asked = [(a["arg_0"], a["arg_1"]) for _, a in sorted(sample["arguments"].items())] \
            if isinstance(sample["arguments"], dict) else [tuple(a) for a in sample["arguments"]]
        moved = []
        for context, continuation in asked:
            end = len(context.rstrip())
            moved.append((context[:end], context[end:] + continuation))
        check(f"{what}: texts", [(r["context"], r["continuation"]) for r in line["requests"]], moved)
        answers = sample["filtered_resps"]
        for request, answer in zip(line["requests"], answers, strict=True):
            off = abs(request["logprob"] - float(answer[0]))
            worst = max(worst, off)
            if not off <= TOLERANCE * request["continuation_tokens"]:
                check(f"{what}: log-probability", request["logprob"], answer[0])
            check(f"{what}: greedy", request["is_greedy"], str(answer[1]) == "True")
        for metric in ("acc", "acc_norm"):
            if metric in sample and metric in line:
                check(f"{what}: {metric}", line[metric], int(sample[metric]))
    for metric in ("acc", "acc_norm", "perplexity"):
        for key, harness_key in ((metric, f"{metric},none"), (f"{metric}_stderr", f"{metric}_stderr,none")):
            if harness_key not in figures:
                continue
            ours, theirs = report.get(key), figures[harness_key]
            if not abs(ours - theirs) <= 1e-9 * max(1, abs(theirs)):
                check(key, ours, theirs)
    print(f"{name}, {shots} shots: {len(samples)} examples, {sum(len(d['requests']) for d in details)} requests, "
          f"{differences} differences; largest distance of log-probabilities {worst:.1e}; "
          + ", ".join(f"{key[:-5]} {value:.6g}" for key, value in figures.items() if key.endswith(",none")))
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default="build/gpt2")
    parser.add_argument("-m", "--model", help="default: the built-in model")
    parser.add_argument("-n", type=int, default=60, help="examples of each task")
    parser.add_argument("--tasks", default=",".join(TASKS))
    arguments = parser.parse_args()
    model = ["-m", arguments.model] if arguments.model else []
    about = json.loads(gpt2(arguments.program, "inspect", *model, "--json"))
    config = about.get("config", about)
    lm = model_class()(arguments.program, arguments.model, (config["n_ctx"], config["bos_token_id"]))
    differences = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.tasks.split(","):
            rng = random.Random(name)
            for split, n in (("train", 5), ("test", arguments.n), ("validation", arguments.n)):
                with open(f"{folder}/{name}.{split}.jsonl", "w", encoding="utf-8") as file:
                    for _ in range(n):
                        file.write(json.dumps(TASKS[name][0](rng), ensure_ascii=rng.random() < 0.5) + "\n")
            split = "test" if name in ("lambada", "arc") else "validation"
            for shots in (0, 3):
                samples, figures = harness(folder, name, lm, shots, arguments.n)
                out = gpt2(arguments.program, "eval", name, *model, "--json", "--details", f"{folder}/details",
                           "--force", "--shots", str(shots),
                           *(["--shots-from", f"{folder}/{name}.train.jsonl"] if shots else []),
                           f"{folder}/{name}.{split}.jsonl")
                with open(f"{folder}/details", encoding="utf-8") as file:
                    details = [json.loads(line) for line in file]
                differences += compare(name, shots, samples, figures, details, json.loads(out))
    print(f"{differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
