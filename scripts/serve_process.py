"""A `gpt2 serve` process for the scripts beside this one, and requests to it; the standard library only."""
import http.client
import json
import os
import re
import subprocess
import time


class Server:
    """Runs from the beginning of a with statement to its end, on a port of its own."""

    def __init__(self, gpt2, *options):
        self.command = [gpt2, "serve", "--port", "0", *options]

    def __enter__(self):
        start = time.monotonic()
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)
        self.port = None
        while self.port is None:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError("the server has ended")
            found = re.search(r"listening on http://.*:(\d+)$", line)
            self.port = int(found[1]) if found else None
        self.listening = time.monotonic() - start
        while self.ask("GET", "/health")[0] != 200:
            pass
        self.healthy = time.monotonic() - start
        return self

    def __exit__(self, *exception):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)

    def ask(self, method, path, body=None):
        """A request on a connection of its own: status and body."""
        connection = self.connect()
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    def metrics(self):
        """Names with their labels, and values."""
        lines = self.ask("GET", "/metrics")[1].decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}

    def resident(self):
        """Kilobytes of memory that the process holds."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
