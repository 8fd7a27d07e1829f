"""A small hub for tests/cli/get.sh: serves DIRECTORY on a free port of 127.0.0.1, whose number goes to PORT_FILE.

The first part of a path chooses how: /good answers as the hub does (a redirection with the linked size and hash, ranges);
/cut closes the connection after a third of what is left, /norange ignores ranges and cuts the first answer, /wrong promises
another hash, /plain promises nothing but a length, /gone is 404. Usage: hub_server.py DIRECTORY PORT_FILE
"""
import hashlib, http.server, os, re, sys

directory, port_file = sys.argv[1:]
answers = {}


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        match = re.fullmatch(r"/(\w+)/[\w-]+/[\w-]+/(resolve/main|blob)/([\w.]+)", self.path)
        path = os.path.join(directory, match[3]) if match else ""
        if not match or match[1] == "gone" or not os.path.exists(path):
            return self.send_error(404)
        mode, name = match[1], match[3]
        data = open(path, "rb").read()
        large = name.endswith(".safetensors")
        digest = hashlib.sha256(data).hexdigest() if large else git_hash(data)
        if mode == "wrong" and large:
            digest = digest[:-1] + ("0" if digest[-1] != "0" else "1")
        if match[2] != "blob" and large and mode != "plain":
            self.send_response(302)
            self.send_header("Location", self.path.replace("resolve/main", "blob"))
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("X-Linked-ETag", f'"{digest}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.body(mode, name, data, None if large or mode == "plain" else digest, with_body)

    def body(self, mode, name, data, digest, with_body):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(asked[1]) if asked and mode != "norange" else 0
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        if mode != "norange":
            self.send_header("Accept-Ranges", "bytes")
        if digest:
            self.send_header("ETag", f'"{digest}"')
            self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        if not with_body:
            return
        count = answers[(mode, name)] = answers.get((mode, name), 0) + 1
        rest = data[begin:]
        cut = name.endswith(".safetensors") and (mode == "cut" and count <= 2 or mode == "norange" and count == 1)
        print(mode, name, begin, flush=True)
        self.wfile.write(rest[: len(rest) // 3] if cut else rest)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
with open(port_file + ".new", "w") as out:
    out.write(str(server.server_address[1]))
os.rename(port_file + ".new", port_file)
server.serve_forever()
