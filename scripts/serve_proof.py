#!/usr/bin/env python3
"""Many clients at once, who ask for streams, echoes, several texts, texts with stop strings, and leave in between: every
answer has the bytes that the same request gets alone, from a server that computes one text after the other without a
prefix cache and drafts, and the tokens and log-probabilities of the command line. With SECONDS: clients come and go for
so long, and memory and descriptors are written down every minute. The standard library only.

serve_proof.py GPT2 [CLIENTS [REQUESTS [SECONDS]]]
"""
import json
import pathlib
import random
import subprocess
import sys
import threading
import time

from serve_process import Server

GPT2 = sys.argv[1]
CLIENTS, REQUESTS, SECONDS = (int(value) for value in (sys.argv[2:] + ["64", "200", "0"][len(sys.argv) - 2:]))
DISTINCT = 400
# A machine that does other things for a while is no slow client.
PATIENT = [part for name in ("header", "body", "idle", "write") for part in (f"--{name}-deadline", "3600")]
WORDS = (pathlib.Path(__file__).parent.parent / "README.md").read_text().split()
failures = 0


def check(name, condition, detail=""):
    global failures
    print(("ok " if condition else "not ok ") + name + (f": {detail}" if detail else ""), flush=True)
    failures += not condition


def draw_request(numbers):
    """Some begin alike, so that blocks are shared; some end early, some are long."""
    first = numbers.choice([0, 0, 100, numbers.randrange(len(WORDS) - 100)])
    prompt = " ".join(WORDS[first : first + numbers.choice([1, 2, 5, 20, 60])])
    request = {"prompt": prompt, "seed": numbers.randrange(2**53), "max_tokens": numbers.choice([1, 4, 12, 24, 48])}
    request["temperature"] = numbers.choice([0, 0.7, 1, 1.3])
    if numbers.random() < 0.3:
        request["top_p"] = 0.9
    if numbers.random() < 0.2:
        request |= {"repetition_penalty": 1.3, "frequency_penalty": 0.5, "presence_penalty": -0.25}
    if numbers.random() < 0.2:
        request["stop"] = numbers.choice([".", ["e ", "\n"], "the"])
    if numbers.random() < 0.2:
        request["n"] = numbers.choice([2, 3, 5])
    if numbers.random() < 0.4:
        request["logprobs"] = numbers.choice([1, 5])
    if numbers.random() < 0.2:
        request |= {"echo": True, "logprobs": numbers.choice([1, 5]), "max_tokens": numbers.choice([0, 1, 8])}
    if numbers.random() < 0.2:
        request["ignore_eos"] = True
    request["stream"] = numbers.random() < 0.5
    return request


def choices_of(response, stop_after=None):
    """The bytes of an answer that are its own, of a stream by choice; None where the client leaves after so many events."""
    if response.getheader("Content-Type").startswith("application/json"):
        body = response.read()
        return body[body.index(b'"choices":') : body.index(b',"usage":{')]
    chunks = {}
    for n_events in range(1 << 30):
        line = response.readline()
        if line == b"data: [DONE]\n":
            return None if response.read() != b"\n" else chunks
        if not line.startswith(b"data: ") or response.readline() != b"\n":
            raise RuntimeError(f"a broken stream: {line!r}")
        index = json.loads(line[6:])["choices"][0]["index"]
        chunks.setdefault(index, []).append(line[line.index(b'"choices":') :])
        if n_events == stop_after:
            return None


def ask(connection, request, stop_after=None):
    connection.request("POST", "/v1/completions", json.dumps(request), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{response.status} {response.read()!r}")
    return choices_of(response, stop_after)


def samples_of(answer):
    """Text, finish reason, log-probabilities, and what else is listed of each choice's tokens."""
    samples = []
    for chunks in answer.values() if isinstance(answer, dict) else [[answer]]:
        for chunk in chunks:
            chunk = b"{" + chunk.rstrip()
            for choice in json.loads(chunk if chunk.endswith(b"}") else chunk + b"}")["choices"]:
                while len(samples) <= choice["index"]:
                    samples.append(["", None, [], [], [], []])
                sample = samples[choice["index"]]
                sample[0] += choice["text"]
                sample[1] = choice["finish_reason"]
                lists = choice["logprobs"] or {}
                for i, name in enumerate(("token_logprobs", "tokens", "top_logprobs", "text_offset")):
                    sample[2 + i] += lists.get(name, [])
    return samples


def is_same(request, answer, expected):
    """Which tokens of a prompt are told in one event depends on the steps in which it is computed."""
    if request["stream"] and request.get("echo"):
        return samples_of(answer) == samples_of(expected)
    return answer == expected


def command_line_of(requests):
    """What `generate --jsonl` writes for the same records, one computed after the other."""
    records = []
    for request in requests:
        record = {key: value for key, value in request.items() if key not in ("stream", "echo", "n")}
        record |= {"samples": request.get("n", 1), "top_k": 0}
        records.append(json.dumps(record) + "\n")
    command = [GPT2, "generate", "--jsonl", "--batch", "1", "-t", "1"]
    lines = subprocess.run(command, input="".join(records), check=True, capture_output=True, text=True).stdout
    results = [[] for _ in requests]
    for line in lines.splitlines():
        results[json.loads(line)["index"]].append(json.loads(line))
    return results


def is_command_lines(request, answer, results):
    """An echoed prompt has scores of its own, which the command line has where it generates nothing."""
    samples = samples_of(answer)
    if len(samples) != len(results):
        return False
    for (text, finish, logprobs, *_), result in zip(samples, results):
        if text != (request["prompt"] if request.get("echo") else "") + result["text"]:
            return False
        if finish != ("length" if result["finish_reason"] in ("length", "context") else "stop"):
            return False
        expected = result["logprobs"]["token_logprobs"] if request.get("logprobs") else []
        if logprobs[len(logprobs) - len(expected) :] != expected:
            return False
    return True


class Counts:
    def __init__(self):
        self.lock = threading.Lock()
        self.equal = self.left = self.different = self.lost = 0
        self.first = ""

    def add(self, name, detail=""):
        with self.lock:
            setattr(self, name, getattr(self, name) + 1)
            self.first = self.first or detail


def run_client(server, seed, requests, answers, counts, end):
    """One in ten requests is left, before its answer or within its stream."""
    numbers = random.Random(seed)
    connection = server.connect()
    for n_asked in range(1 << 30):
        if n_asked >= REQUESTS if end is None else time.monotonic() >= end:
            break
        which = numbers.randrange(len(requests))
        try:
            if numbers.random() < 0.1:
                if requests[which]["stream"]:
                    ask(connection, requests[which], stop_after=numbers.randrange(4))
                else:
                    connection.request("POST", "/v1/completions", json.dumps(requests[which]))
                connection.close()
                counts.add("left")
                continue
            is_equal = is_same(requests[which], ask(connection, requests[which]), answers[which])
            counts.add("equal" if is_equal else "different", "" if is_equal else json.dumps(requests[which]))
            if numbers.random() < 0.05:
                connection.close()
        except Exception as error:
            counts.add("lost", repr(error))
            connection.close()
    connection.close()


def watch(server, threads):
    """Returns memory and descriptors a minute after the start and at the end, while the clients come and go."""
    first, start = None, time.monotonic()
    while any(thread.is_alive() for thread in threads):
        next_look = time.monotonic() + 60
        while time.monotonic() < next_look and any(thread.is_alive() for thread in threads):
            time.sleep(0.1)
        now = server.resident()
        first = first or now
        print(f"# {time.monotonic() - start:.0f} s: {now} kB, {server.descriptors()} descriptors", flush=True)
    return first, server.resident()


def main():
    numbers = random.Random(1)
    requests = [draw_request(numbers) for _ in range(DISTINCT)]
    with Server(GPT2, "--batch", "1", "--no-prefix-cache", "-t", "1", *PATIENT) as server:
        connection = server.connect()
        answers = [ask(connection, request) for request in requests]
    results = command_line_of(requests)
    wrong = [i for i in range(DISTINCT) if not is_command_lines(requests[i], answers[i], results[i])]
    check(f"{DISTINCT} answers are the command line's", not wrong, json.dumps(requests[wrong[0]]) if wrong else "")

    counts = Counts()
    with Server(GPT2, "--batch", "32", "--draft-lookup", *PATIENT) as server:
        idle = server.descriptors()
        print(f"# 0 s: {server.resident()} kB, {idle} descriptors", flush=True)
        start = time.monotonic()
        end = start + SECONDS if SECONDS > 0 else None
        threads = [threading.Thread(target=run_client, args=(server, 1000 + i, requests, answers, counts, end))
                   for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        early, late = watch(server, threads)
        took = time.monotonic() - start
        for _ in range(600):
            metrics = server.metrics()
            is_idle = metrics["gpt2_texts_running"] + metrics["gpt2_texts_waiting"] == 0
            if is_idle and server.descriptors() <= idle + 1:
                break
            time.sleep(0.1)
        asked = counts.equal + counts.left + counts.different + counts.lost
        print(f"# {CLIENTS} clients, {asked} requests in {took:.0f} s: {counts.equal} answers, {counts.left} left, "
              f"{metrics['gpt2_generated_tokens_total']:.0f} tokens, {metrics['gpt2_draft_tokens_accepted_total']:.0f} of "
              f"{metrics['gpt2_draft_tokens_total']:.0f} draft tokens accepted, "
              f"{metrics['gpt2_prefix_cache_tokens_total']:.0f} of {metrics['gpt2_prompt_tokens_total']:.0f} prompt tokens "
              f"found computed, {metrics['gpt2_preemptions_total']:.0f} preemptions")
        check("no answer is lost", counts.lost == 0, f"{counts.lost}; {counts.first}" if counts.lost else "")
        check("no answer differs", counts.different == 0, f"{counts.different}; {counts.first}" if counts.different else "")
        check("nothing runs or waits at the end", is_idle)
        check("the descriptors are those of the start", server.descriptors() <= idle + 1, str(server.descriptors()))
        if SECONDS > 0:
            check("memory is flat", late < 1.05 * early, f"{early} kB after a minute, {late} kB at the end")
    sys.exit(1 if failures else 0)


main()
