#!/usr/bin/env bash
# gpt2 serve as a process: where it says it listens, the texts of generate, its log, its end; and the systemd unit.
. "$(dirname "$0")/lib.bash"

# start ARGUMENT...: a server on a port of its own in $server and $port.
start() {
  rm -f "$T/serve.err"
  "$GPT2" serve --port 0 "$@" >"$T/serve.out" 2>"$T/serve.err" &
  server=$!
  await_port
}
await_port() {
  for ((i = 0; i < 1200; ++i)); do
    port=$(sed -n 's/.*listening on http:.*:\([0-9]*\)$/\1/p' "$T/serve.err" 2>/dev/null)
    [ -n "$port" ] && return
    kill -0 $server 2>/dev/null || return
    sleep 0.05
  done
}
stop() {
  kill $server
  wait $server
  status=$?
}
# ask METHOD PATH [BODY]: the answer's body in $T/out, its head in $T/head.
ask() {
  : >"$T/out"
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  printf '%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "$1" "$2" "${#3}" "$3" >&3
  cat <&3 >"$T/answer"
  exec 3>&-
  sed '/^\r$/q' "$T/answer" >"$T/head"
  sed '1,/^\r$/d' "$T/answer" >"$T/out"
}

start --alias books --access-log "$T/log"
check "says where it listens" grep -qE "^gpt2: books listening on http://127.0.0.1:[0-9]+$" "$T/serve.err"
ask GET /health ""
check "/health" out_is '{"status":"ok"}'
ask POST /v1/completions '{"prompt":"The old captain","seed":7,"max_tokens":24}'
answer=$(grep -oE '"text":"[^"]*' "$T/out")
run "$GPT2" generate --json -s 7 -T 1 --top-k 0 -n 24 "The old captain"
check "the text of generate with the same seed" [ "$answer" = "$(grep -oE '"text":"[^"]*' "$T/out")" ]
ask POST /v1/completions '{"prompt":"The old captain","seed":7,"max_tokens":24,"temperature":0.8,"top_p":0.9,"top_k":40,"repetition_penalty":1.3,"frequency_penalty":0.5,"presence_penalty":-0.25}'
answer=$(grep -oE '"text":"[^"]*' "$T/out")
run "$GPT2" generate --json -s 7 -T 0.8 --top-p 0.9 --top-k 40 --repetition-penalty 1.3 --frequency-penalty 0.5 --presence-penalty -0.25 -n 24 "The old captain"
check "the same with options" [ "$answer" = "$(grep -oE '"text":"[^"]*' "$T/out")" ]
ask GET $'/\e[31m"x' ""
check "an answer for what is not there" grep -q "HTTP/1.1 40[04]" "$T/head"
run "$GPT2" serve --port "$port"
error "a port that is taken" 1 "cannot listen on 127.0.0.1 port $port"
stop
check "SIGTERM is a good end" status_is 0
check "nothing on stdout" [ ! -s "$T/serve.out" ]
check "the log has a line for each request" grep -qE '^127\.0\.0\.1 - - \[[^]]+\] "POST /v1/completions" 200 [0-9]+ [0-9.]+$' "$T/log"
check "the log has no control characters" eval '! grep -q $'"'\\e'"' $T/log'

printf '# keys\nopen sesame\n' >"$T/keys"
start --api-key-file "$T/keys"
ask GET /v1/models ""
check "a key is asked for" grep -q "HTTP/1.1 401" "$T/head"
stop
: >"$T/keys"
run "$GPT2" serve --port 0 --api-key-file "$T/keys"; error "a file without keys" 4 "$T/keys" "expected a key a line"
run "$GPT2" serve --port 70000; error "no such port" 2 --port 65535
run "$GPT2" serve --host no.such.host.invalid --port 0; error "no such host" 1 "cannot listen on no.such.host.invalid"
run "$GPT2" serve --port 0 --cors $'a\r\nX: y'; error "an origin that is none" 2 "expected an origin"
run "$GPT2" serve text; error "an operand" 2 "expected no text"

# With few descriptors there are few connections, and each of them can have an answer.
printf '#!/bin/sh\nulimit -n 24\nexec "%s" "$@"\n' "$GPT2" >"$T/few"
chmod +x "$T/few"
GPT2=$T/few start --host '[127.0.0.1]'
for n in 1 2 3 4 5 6 7 8; do
  exec {fd}<>"/dev/tcp/127.0.0.1/$port"
  held+=("$fd")
done
ask POST /v1/completions '{"prompt":"A","max_tokens":1}'
check "an answer beside more connections than descriptors" grep -q "HTTP/1.1 200" "$T/head"
for fd in "${held[@]}"; do exec {fd}>&-; done
stop

# The unit's command line is understood, and the hardening that it asks for is no riddle to systemd where that is there.
line=$(sed -n 's/^ExecStart=[^ ]*gpt2 serve //p' scripts/gpt2.service)
start ${line/--port 8080/}
ask GET /health ""
check "the unit's command line" out_is '{"status":"ok"}'
stop
check "its log is stdout" grep -q '"GET /health" 200' "$T/serve.out"
if command -v systemd-analyze >/dev/null; then
  sed "s|/usr/local/bin/gpt2|$GPT2|" scripts/gpt2.service >"$T/gpt2.service"
  run systemd-analyze verify "$T/gpt2.service"
  check "systemd-analyze verify" status_is 0
else
  skip "systemd-analyze verify" "systemd is not installed"
fi
LISTEN_PID=1 LISTEN_FDS=1 run "$GPT2" serve --port 70000; error "another program's socket is none of ours" 2 --port
# A socket that somebody else listens on: LISTEN_PID is the program's, which exec keeps.
if command -v python3 >/dev/null; then
  rm -f "$T/serve.err"
  python3 - "$GPT2" 2>"$T/serve.err" <<'P' &
import os, socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
if s.fileno() != 3: os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[1], ["gpt2", "serve", "--port", "1"])
P
  server=$!
  await_port
  ask GET /health ""
  check "a socket that was handed over" out_is '{"status":"ok"}'
  stop
fi
finish
