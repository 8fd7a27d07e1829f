#!/usr/bin/env python3
"""What scripts/clients.sh runs: each stock client once, its answers beside those of the command line.

clients.py URL GPT2 TASKS WORK
"""
import http.client
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse
from importlib.metadata import version

URL, GPT2, TASKS, WORK = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
HOST = urllib.parse.urlparse(URL).netloc
PROMPT = "The old captain said"
failures = 0


def check(name, condition, detail=""):
    global failures
    print(("ok " if condition else "not ok ") + name + (f": {detail}" if detail and not condition else ""), flush=True)
    failures += not condition


def generated(*options):
    """The command line's text for PROMPT."""
    command = [GPT2, "generate", "--no-newline", "--top-k", "0", *options, PROMPT]
    return subprocess.run(command, check=True, capture_output=True).stdout.decode()


def post(path, body, headers=None):
    connection = http.client.HTTPConnection(HOST)
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    connection.request("POST", path, data, headers or {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, response.read().decode(), response.headers


def run_openai():
    import openai

    print("# openai", version("openai"))
    client = openai.OpenAI(base_url=URL + "/v1", api_key="none")
    model = client.models.list().data[0].id
    greedy = generated("--greedy", "-n", "24")
    answer = client.completions.create(model=model, prompt=PROMPT, max_tokens=24, temperature=0)
    check("openai: completion", answer.choices[0].text == greedy, answer.choices[0].text)
    check("openai: usage", answer.usage.completion_tokens == 24)
    drawn = generated("-s", "7", "-T", "0.8", "--top-p", "0.9", "-n", "24")
    answer = client.completions.create(model=model, prompt=PROMPT, max_tokens=24, temperature=0.8, top_p=0.9, seed=7)
    check("openai: the seed's text is the command line's", answer.choices[0].text == drawn, answer.choices[0].text)
    penalised = generated("--greedy", "-n", "24", "--frequency-penalty", "0.7", "--presence-penalty", "0.4")
    answer = client.completions.create(model=model, prompt=PROMPT, max_tokens=24, temperature=0, frequency_penalty=0.7,
                                       presence_penalty=0.4)
    check("openai: penalties", answer.choices[0].text == penalised, answer.choices[0].text)
    answer = client.completions.create(model=model, prompt=[PROMPT, "It was"], max_tokens=4, n=2, seed=1)
    check("openai: two prompts, two choices each", [c.index for c in answer.choices] == [0, 1, 2, 3])
    answer = client.completions.create(model=model, prompt=PROMPT, max_tokens=0, echo=True, logprobs=2)
    logprobs = answer.choices[0].logprobs
    check("openai: echo with logprobs", answer.choices[0].text == PROMPT and logprobs.token_logprobs[0] is None
          and "".join(logprobs.tokens) == PROMPT and all(value < 0 for value in logprobs.token_logprobs[1:]))
    chunks = list(client.completions.create(model=model, prompt=PROMPT, max_tokens=24, temperature=0, stream=True,
                                            stream_options={"include_usage": True}))
    check("openai: stream", "".join(c.choices[0].text for c in chunks if c.choices) == greedy)
    check("openai: usage at the stream's end", chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 24)
    messages = [{"role": "user", "content": PROMPT}]
    try:
        chat = client.chat.completions.create(model=model, messages=messages, max_tokens=8, seed=1)
        check("openai: chat", chat.choices[0].message.role == "assistant" and chat.usage.completion_tokens <= 8)
        chunks = list(client.chat.completions.create(model=model, messages=messages, max_tokens=8, seed=1, stream=True))
        text = "".join(c.choices[0].delta.content or "" for c in chunks)
        check("openai: chat stream", text == chat.choices[0].message.content, text)
    except openai.BadRequestError as error:
        check("openai: chat of a model without a template is a 400", "template" in str(error), str(error))
    for name, arguments in {
        "a prompt that does not fit": {"prompt": "word " * 3000},
        "logprobs below 0": {"prompt": "x", "logprobs": -1},
        "temperature 3000": {"prompt": "x", "temperature": 3000},
    }.items():
        try:
            client.completions.create(model=model, **arguments)
            check("openai: " + name, False, "no error")
        except openai.BadRequestError as error:
            check("openai: " + name, bool(error.body["message"]))
    try:
        client.models.retrieve("no-such-model")
        check("openai: an unknown model", False)
    except openai.NotFoundError:
        check("openai: an unknown model", True)


def run_triton():
    import numpy
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

    print("# tritonclient", version("tritonclient"))
    client = triton.InferenceServerClient(HOST)
    model = client.get_model_repository_index()[0]["name"]
    check("triton: live, ready", client.is_server_live() and client.is_server_ready() and client.is_model_ready(model)
          and client.is_model_ready(model, "1") and not client.is_model_ready("none"))
    check("triton: metadata", "binary_tensor_data" in client.get_server_metadata()["extensions"]
          and client.get_model_metadata(model)["inputs"][0]["name"] == "text_input"
          and client.get_model_config(model)["output"][1]["name"] == "logits")
    check("triton: statistics", client.get_inference_statistics(model)["model_stats"][0]["name"] == model)
    greedy = generated("--greedy", "-n", "24")
    for binary_in in (False, True):
        for binary_out in (False, True):
            text = triton.InferInput("text_input", [2], "BYTES")
            text.set_data_from_numpy(numpy.array([PROMPT, "It was"], dtype=object), binary_data=binary_in)
            wanted = triton.InferRequestedOutput("text_output", binary_data=binary_out)
            result = client.infer(model, [text], outputs=[wanted], request_id="7",
                                  parameters={"max_tokens": 24, "temperature": 0})
            found = [item.decode() if isinstance(item, bytes) else item for item in result.as_numpy("text_output")]
            check(f"triton: text, binary in {binary_in}, out {binary_out}",
                  found[0] == greedy and result.get_response()["id"] == "7", repr(found))
    ids = [int(word) for word in tokens(PROMPT)]
    rows = {}
    for binary in (False, True):
        tensor = triton.InferInput("input_ids", [1, len(ids)], "INT32")
        tensor.set_data_from_numpy(numpy.array([ids], dtype=numpy.int32), binary_data=binary)
        wanted = triton.InferRequestedOutput("logits", binary_data=binary)
        rows[binary] = client.infer(model, [tensor], outputs=[wanted]).as_numpy("logits")
    check("triton: logits as bytes and as JSON are the same", numpy.array_equal(rows[True], rows[False]))
    best = subprocess.run([GPT2, "generate", "--json", "--greedy", "-n", "1", "--logprobs", "1", PROMPT], check=True,
                          capture_output=True).stdout
    best = json.loads(best)
    row = rows[True][0, -1].astype(numpy.float64)
    logprob = row.max() - (row.max() + math.log(numpy.exp(row - row.max()).sum()))
    check("triton: the last row's best token is the command line's", int(row.argmax()) == best["tokens"][0]
          and abs(logprob - best["logprobs"]["token_logprobs"][0]) < 1e-5)
    default = triton.InferInput("text_input", [1], "BYTES")
    default.set_data_from_numpy(numpy.array([PROMPT], dtype=object))
    result = client.infer(model, [default], parameters={"max_tokens": 24, "temperature": 0})
    check("triton: outputs that nobody asked for by name", result.as_numpy("text_output")[0].decode() == greedy)
    for name, inputs, arguments in (("an unknown model", [default], {"model_name": "none"}),
                                    ("an unknown parameter", [default], {"parameters": {"beams": 4}}),
                                    ("no input", [], {})):
        try:
            client.infer(**{"model_name": model, "inputs": inputs, **arguments})
            check("triton: " + name, False, "no error")
        except InferenceServerException as error:
            check("triton: " + name, bool(error.message()))
    path = "/v2/models/" + urllib.parse.quote(model)
    status, body, _ = post(path + "/generate", {"text_input": PROMPT, "max_tokens": 24, "temperature": 0})
    check("triton: generate", status == 200 and json.loads(body)["text_output"] == greedy, body)
    status, body, headers = post(path + "/generate_stream",
                                 {"text_input": PROMPT, "parameters": {"max_tokens": 24, "temperature": 0}})
    pieces = [json.loads(line[6:])["text_output"] for line in body.split("\n\n") if line]
    check("triton: generate_stream", "".join(pieces) == greedy and len(pieces) > 12
          and headers["Content-Type"].startswith("text/event-stream"))


def tokens(text, *options):
    return subprocess.run([GPT2, "tokenize", *options, text], check=True, capture_output=True).stdout.split()


def score(ids, n_context):
    """The command line's log-likelihood of the ids behind the first, and whether greedy choice takes them."""
    line = subprocess.run([GPT2, "generate", "--json", "-n", "0", "--logprobs", "1", "--tokens",
                           b" ".join(ids).decode()], check=True, capture_output=True).stdout
    logprobs = json.loads(line)["logprobs"]
    own = logprobs["token_logprobs"][n_context:]
    return sum(own), all(top[0]["logprob"] == value for top, value in zip(logprobs["top"][n_context:], own))


def run_easylm():
    """LMClient's requests: a JSON object posted, a JSON object read."""
    print("# EasyLM's LMClient, its requests replayed")
    connection = http.client.HTTPConnection(HOST)
    connection.request("GET", "/ready")
    check("easylm: ready", json.loads(connection.getresponse().read()) == "Ready!\n")
    texts = [" the ship was gone", " a"]
    status, body, _ = post("/loglikelihood", {"prefix_text": [PROMPT, "It was"], "text": texts})
    answer = json.loads(body)
    for i, prefix in enumerate([PROMPT, "It was"]):
        context = tokens("<|endoftext|>", "--special") + tokens(prefix)
        value, greedy = score(context + tokens(texts[i]), len(context))
        check(f"easylm: loglikelihood {i}", abs(answer["log_likelihood"][i] - value) < 1e-4
              and answer["is_greedy"][i] == greedy, body)
    status, body, _ = post("/loglikelihood-rolling", {"text": [PROMPT, " ".join(["word"] * 400)]})
    check("easylm: loglikelihood-rolling", status == 200 and len(json.loads(body)["log_likelihood"]) == 2, body)
    status, body, _ = post("/greedy-until", {"prefix_text": [PROMPT, "It was"], "until": [["."], ["\n"]]})
    check("easylm: greedy-until", status == 200 and "." not in json.loads(body)["output_text"][0], body)
    status, body, _ = post("/generate", {"prefix_text": [PROMPT], "temperature": 0.7})
    check("easylm: generate", status == 200 and len(json.loads(body)["output_text"]) == 1, body)
    status, body, _ = post("/chat", {"prompt": PROMPT, "context": "", "temperature": None})
    check("easylm: chat", status == 200 and set(json.loads(body)) == {"response", "context", "temperature"}, body)


def run_shapes():
    """Request shapes of clients that are not installed here."""
    print("# replayed: vllm bench serve, langchain-openai, llama-index-llms-openai, curl")
    base = {"model": "gpt2", "prompt": PROMPT, "max_tokens": 8}
    vllm = {**base, "repetition_penalty": 1.0, "logprobs": None, "stream": True, "temperature": 0,
            "stream_options": {"include_usage": True}, "ignore_eos": True}
    status, body, _ = post("/v1/completions", vllm)
    events = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
    usage = [json.loads(event) for event in events[:-1] if json.loads(event).get("usage")]
    check("vllm bench serve: completions", status == 200 and events[-1] == "[DONE]" and len(usage) == 1
          and usage[0]["choices"] == [] and usage[0]["usage"]["completion_tokens"] == 8, body)
    langchain = {**base, "prompt": [PROMPT, "It was"], "temperature": 0.7, "top_p": 1, "frequency_penalty": 0,
                 "presence_penalty": 0, "n": 1, "max_tokens": 16, "logit_bias": {}, "seed": None}
    status, body, _ = post("/v1/completions", langchain)
    check("langchain-openai: two prompts", status == 200 and len(json.loads(body)["choices"]) == 2
          and json.loads(body)["usage"]["total_tokens"] > 0, body)
    status, body, _ = post("/v1/completions", {**base, "temperature": 0.1, "stream": False, "logprobs": 0})
    check("llama-index: OpenAILike", status == 200 and "text" in json.loads(body)["choices"][0], body)
    curl = subprocess.run(["curl", "-sN", URL + "/v1/completions", "-H", "Content-Type: application/json", "-d",
                           json.dumps({**base, "stream": True, "temperature": 0})], capture_output=True, text=True)
    check("curl: SSE", curl.stdout.endswith("data: [DONE]\n\n") and curl.stdout.count("data: ") >= 9, curl.stdout)


def lm_eval(name, model, model_args, extra, tasks, folder):
    """Runs lm-eval; returns its samples by task."""
    out = WORK / name
    command = [os.path.join(os.path.dirname(sys.executable), "lm_eval"), "run", "--model", model, "--model_args",
               model_args, *extra, "--include_path", str(folder), "--tasks", *tasks, "--output_path", str(out),
               "--log_samples"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(WORK / "hf")}
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    check(f"lm-eval {name}: runs", run.returncode == 0, run.stderr[-600:])
    samples = {}
    for task in tasks:
        for file in out.rglob(f"samples_{task}_*.jsonl"):
            samples[task] = [json.loads(line) for line in file.read_text().splitlines()]
    return samples


def run_lm_eval():
    print("# lm-eval", version("lm_eval"))
    folder = WORK / "tasks"
    shutil.copytree(TASKS, folder)
    tasks = sorted(path.stem for path in folder.glob("*.yaml"))
    for file in folder.glob("*.yaml"):  # data beside the task files
        text = file.read_text()
        for data in folder.glob("*.jsonl"):
            text = text.replace(f": {data.name}\n", f": {data}\n")
        file.write_text(text)
    arguments = f"model=gpt2,base_url={URL}/v1/completions,max_length=256"
    batch = lm_eval("batch 4", "local-completions", arguments, ["--batch_size", "4"], tasks, folder)
    many = lm_eval("4 connections", "local-completions", arguments + ",num_concurrent=4", [], tasks, folder)
    scored = [task for task in tasks if "gen" not in task and "roll" not in task]
    gguf = lm_eval("gguf", "gguf", f"base_url={URL}", [], scored, folder)
    for task in tasks:
        check(f"lm-eval {task}: batches and connections give the same", [s["filtered_resps"] for s in batch[task]] ==
              [s["filtered_resps"] for s in many[task]])
    for task in scored:
        compare(task, batch[task], gguf[task], evaluated(task, folder))


def evaluated(task, folder):
    """What `gpt2 eval` says of a task's data, if the task is one of its own: (log-likelihood, is greedy) of each."""
    kind = task.split("_")[0]
    if kind not in ("piqa", "lambada", "hellaswag", "winogrande"):
        return None
    data = re.search(r"validation: (\S+)", (folder / f"{task}.yaml").read_text())[1]
    details = WORK / f"{task}.details"
    subprocess.run([GPT2, "eval", kind, "--force", "--details", details, data], check=True, capture_output=True)
    return [(r["logprob"], r["is_greedy"]) for line in details.read_text().splitlines()
            for r in json.loads(line)["requests"]]


def compare(task, batch, gguf, by_eval):
    """Compares each likelihood that lm-eval has with the command line's."""
    n = differ = differ_by_eval = 0
    for sample, other in zip(batch, gguf):
        pairs = sample["arguments"]
        for pair, answer, again in zip(pairs.values() if isinstance(pairs, dict) else pairs, sample["filtered_resps"],
                                       other["filtered_resps"]):
            context, text = (pair["arg_0"], pair["arg_1"]) if isinstance(pair, dict) else pair
            own = score(tokens(context + text), len(tokens(context)))
            for found in (answer, again):
                differ += abs(float(found[0]) - own[0]) >= 1e-4 or str(found[1]) != str(own[1])
            if by_eval:
                differ_by_eval += abs(float(answer[0]) - by_eval[n][0]) >= 1e-4 or str(answer[1]) != str(by_eval[n][1])
            n += 1
    check(f"lm-eval {task}: {n} likelihoods, by batch and gguf, are the command line's", n > 0 and differ == 0,
          f"{differ} differ")
    if by_eval:
        check(f"lm-eval {task}: {n} likelihoods are those of gpt2 eval", len(by_eval) == n and differ_by_eval == 0,
              f"{differ_by_eval} differ, of {len(by_eval)}")


for run in (run_openai, run_triton, run_easylm, run_shapes, run_lm_eval):
    try:
        run()
    except Exception as error:  # one client's failure leaves the others their turn
        check(run.__name__, False, repr(error))
sys.exit(failures > 0)
