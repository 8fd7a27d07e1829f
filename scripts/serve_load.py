#!/usr/bin/env python3
"""How fast `gpt2 serve` is beside the engine alone: tokens a second of 1, 8 and 32 streams and of `generate --jsonl` and
`bench --rows` with as many, in turns; the CPU time of the connections for a token; the time to the first token beside
15 running streams; and the time from its start to its first answer. With SERVER, a URL of another server of the same
API, its streams, too. The standard library only; the client is one thread that looks at nothing but the number of
events.

serve_load.py GPT2 MODEL [SERVER]
"""
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse

from serve_process import Server

GPT2, MODEL = sys.argv[1:3]
OTHER = urllib.parse.urlparse(sys.argv[3]) if len(sys.argv) > 3 else None
TURNS, N_TOKENS, FIRST_TOKENS, STARTS = 3, 128, 60, 10
EVENT, END = b"data: {", b"data: [DONE]"
PROMPT = "The old captain said that the sea had been calm for a week, and that nobody on board had "


def request_of(n_tokens, seed, stream=True):
    return {"prompt": PROMPT + f"{seed} ", "max_tokens": n_tokens, "temperature": 1, "seed": seed, "ignore_eos": True,
            "stream": stream}


class Stream:
    def __init__(self, address, request):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.begin(request)

    def begin(self, request):
        body = json.dumps(request).encode()
        self.n_events, self.tail, self.is_done = 0, b"", False
        self.start = time.monotonic()
        self.socket.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def take(self):
        """Takes what has come. An event's bytes may come in pieces."""
        new = self.socket.recv(1 << 20)
        if not new:
            raise RuntimeError(f"the connection has ended after {self.n_events} events: {self.tail!r}")
        data = self.tail + new
        if self.n_events == 0 and EVENT in data:
            self.first = time.monotonic() - self.start
        self.n_events += data.count(EVENT) - self.tail.count(EVENT)
        self.is_done = END in data
        self.tail = data[1 - len(END) :]

    def close(self):
        self.socket.close()


def run_streams(address, n_streams, n_tokens):
    """Returns the streams at their ends, and tokens a second from the last stream's first token to the first one's end."""
    streams = [Stream(address, request_of(n_tokens, seed)) for seed in range(n_streams)]
    poll, begun, ended = select.poll(), None, None
    by_descriptor = {stream.socket.fileno(): stream for stream in streams}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    while by_descriptor:
        for descriptor, _ in poll.poll():
            stream = by_descriptor[descriptor]
            stream.take()
            if stream.is_done:
                poll.unregister(descriptor)
                del by_descriptor[descriptor]
        now = time.monotonic(), sum(stream.n_events for stream in streams)
        if begun is None and all(stream.n_events > 0 for stream in streams):
            begun = now
        if ended is None and len(by_descriptor) < n_streams:
            ended = now
    return streams, (ended[1] - begun[1]) / (ended[0] - begun[0])


def cpu_of_threads(pid):
    """Seconds on a CPU by thread."""
    times = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                times[thread] = int(file.read().split()[0]) / 1e9
        except FileNotFoundError:  # it has ended
            pass
    return times


def generate(n_streams):
    """The same requests through `generate --jsonl`, which has the engine's batch and no sockets."""
    records = "".join(json.dumps({key: value for key, value in request_of(N_TOKENS, seed).items() if key != "stream"}
                                 | {"top_k": 0}) + "\n" for seed in range(n_streams))
    start = time.monotonic()
    subprocess.run([GPT2, "generate", "-m", MODEL, "--jsonl", "--batch", str(max(n_streams, 2))], input=records,
                   check=True, capture_output=True, text=True)
    return n_streams * N_TOKENS / (time.monotonic() - start)


def bench(n_streams):
    command = [GPT2, "bench", "-m", MODEL, "--prefill", "0", "--decode", "0", "--rows", str(n_streams), "--depth", "96",
               "-r", "5", "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[0]["tokens_per_s"]


def measure_streams(server):
    for n_streams in (1, 8, 32):
        served, alone, rows, micros, others = [], [], [], [], []
        for _ in range(TURNS):
            rows.append(bench(n_streams))
            alone.append(generate(n_streams))
            before = cpu_of_threads(server.process.pid)
            streams, rate = run_streams(("127.0.0.1", server.port), n_streams, N_TOKENS)
            after = cpu_of_threads(server.process.pid)
            connections = sum(seconds for thread, seconds in after.items() if thread not in before)
            served.append(rate)
            micros.append(1e6 * connections / (n_streams * N_TOKENS))
            if OTHER:
                others.append(run_streams((OTHER.hostname, OTHER.port), n_streams, N_TOKENS))
            for stream in streams:
                stream.close()
        medians = [statistics.median(values) for values in (served, alone, rows, micros)]
        print(f"{n_streams} streams: {medians[0]:.1f} tokens/s; bench --rows {medians[2]:.1f}; generate --jsonl {medians[1]:.1f} with "
              f"prompts and start; the connections take {medians[3]:.1f} us of CPU for a token",
              flush=True)
        if OTHER:
            print(f"{n_streams} streams of {OTHER.netloc}: {statistics.median(rate for _, rate in others):.1f} tokens/s",
                  flush=True)


def measure_first_tokens(server):
    address = ("127.0.0.1", server.port)
    running = [Stream(address, request_of(900, seed)) for seed in range(15)]
    poll, by_descriptor = select.poll(), {stream.socket.fileno(): stream for stream in running}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    seconds = []
    next_start, asked, seed = time.monotonic() + 1, None, 1000
    while len(seconds) < FIRST_TOKENS:
        for descriptor, _ in poll.poll(10):
            stream = by_descriptor[descriptor]
            stream.take()
            if not stream.is_done:
                continue
            if stream is asked:
                seconds.append(stream.first)
                poll.unregister(descriptor)
                del by_descriptor[descriptor]
                stream.close()
                asked, next_start = None, time.monotonic() + 0.05
            else:
                stream.begin(request_of(900, seed))
                seed += 1
        if asked is None and time.monotonic() >= next_start:
            asked = Stream(address, request_of(2, seed))
            seed += 1
            by_descriptor[asked.socket.fileno()] = asked
            poll.register(asked.socket, select.POLLIN)
    for stream in running:
        stream.close()
    seconds.sort()
    print(f"time to first token beside 15 streams, {FIRST_TOKENS} prompts of about 25 tokens: p50 {1e3 * seconds[len(seconds) // 2]:.1f} "
          f"ms, p99 {1e3 * seconds[len(seconds) * 99 // 100]:.1f} ms", flush=True)


def main():
    listening, healthy = [], []
    for _ in range(STARTS):
        with Server(GPT2, "-m", MODEL) as server:
            listening.append(server.listening)
            healthy.append(server.healthy)
    print(f"start: {1e3 * statistics.median(listening):.1f} ms to \"listening\", {1e3 * statistics.median(healthy):.1f} ms to "
          "the first answer of /health", flush=True)
    with Server(GPT2, "-m", MODEL, "--batch", "32") as server:
        run_streams(("127.0.0.1", server.port), 8, 32)
        measure_streams(server)
        measure_first_tokens(server)


main()
