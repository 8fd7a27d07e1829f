// The playground's only program: it sends the form to /v1/completions and shows the stream. Text from the server
// becomes text nodes, never markup.
"use strict";

const $ = (id) => document.getElementById(id);
const kEdges = [1, 2, 4, 6, 9, 12];  // bits at which the heat changes
const kAlternatives = 5;

let running = null;  // the AbortController of the answer that is on its way
let pieces = [];     // of the answer: {span, tokens: [{text, logprob, top}]}
let chosen = -1;     // the piece whose alternatives are shown

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function headers() {
  const all = {"Content-Type": "application/json"};
  if ($("key").value) all.Authorization = "Bearer " + $("key").value;
  return all;
}

// Returns what the form asks for.
function request() {
  const body = {
    prompt: $("prompt").value, max_tokens: Number($("max_tokens").value), temperature: Number($("temperature").value),
    top_p: Number($("top_p").value), logprobs: kAlternatives, echo: $("echo").checked, stream: true,
    stream_options: {include_usage: true},
  };
  if ($("seed").value !== "") body.seed = Number($("seed").value);
  const stops = $("stop").value.split("\n").filter((line) => line !== "");
  if (stops.length > 0) body.stop = stops;
  return body;
}

// Yields the objects of a stream of server-sent events, until [DONE].
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    buffer += value;
    for (let end; (end = buffer.indexOf("\n\n")) >= 0; buffer = buffer.slice(end + 2)) {
      const data = buffer.slice(0, end).replace(/^data: ?/, "");
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

async function failure(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

const bits = (logprob) => Math.max(0, -logprob / Math.LN2);
const percent = (logprob) => {
  const p = 100 * Math.exp(logprob);
  return (p >= 0.01 ? p.toPrecision(3) : p.toExponential(1)) + " %";
};

function tokensOf(logprobs) {
  if (!logprobs) return [];
  return logprobs.tokens.map((text, i) => ({
    text, logprob: logprobs.token_logprobs[i], top: Object.entries((logprobs.top_logprobs || [])[i] || {}),
  }));
}

function append(text, tokens) {
  const span = document.createElement("span");
  span.textContent = text;
  const known = tokens.filter((token) => token.logprob !== null);
  if (known.length > 0) {
    const surprisal = known.reduce((sum, token) => sum + bits(token.logprob), 0);
    span.className = "heat" + kEdges.filter((edge) => surprisal >= edge).length;
  }
  const at = pieces.push({span, tokens}) - 1;
  span.addEventListener("pointerenter", () => choose(at));
  $("answer").append(span);
}

// Shows a chunk's text: token by token where the tokens make it up, else as one piece.
function show(text, tokens) {
  if (tokens.length > 1 && tokens.map((token) => token.text).join("") === text) {
    for (const token of tokens) append(token.text, [token]);
  } else {
    append(text, tokens);
  }
}

function row(cells, kind) {
  const tr = document.createElement("tr");
  for (const cell of cells) {
    const td = document.createElement(kind);
    if (kind === "td" && tr.childElementCount === 0) {
      const code = document.createElement("code");
      code.textContent = JSON.stringify(cell);
      td.append(code);
    } else {
      td.textContent = cell;
    }
    tr.append(td);
  }
  return tr;
}

// Shows what a piece's tokens were, and what was likelier.
function choose(at) {
  if (at < 0 || at >= pieces.length) return;
  if (chosen >= 0) pieces[chosen].span.classList.remove("chosen");
  chosen = at;
  pieces[at].span.classList.add("chosen");
  const tables = pieces[at].tokens.map((token) => {
    const table = document.createElement("table");
    table.append(row(["Token", "Probability", "Bits"], "th"));
    if (token.logprob === null) {
      table.append(row([token.text, "the first token has none", ""], "td"));
      return table;
    }
    const others = token.top.filter(([text]) => text !== token.text).sort((a, b) => b[1] - a[1]);
    for (const [text, logprob] of [[token.text, token.logprob], ...others]) {
      table.append(row([text, percent(logprob), bits(logprob).toFixed(2)], "td"));
    }
    return table;
  });
  $("token").replaceChildren(...tables);
}

function clear() {
  pieces = [];
  chosen = -1;
  $("answer").replaceChildren();
  $("token").replaceChildren();
}

// Shows the stream as it comes; returns how it ended. Tokens whose bytes are no whole characters yet wait for the rest.
async function follow(response, progress) {
  let waiting = [];
  for await (const event of events(response)) {
    if (event.error) throw new Error(event.error.message || event.error);
    if (event.usage) progress.usage = event.usage;
    const choice = event.choices && event.choices[0];
    if (!choice) continue;
    const tokens = tokensOf(choice.logprobs);
    waiting = waiting.concat(tokens);
    if (choice.text) {
      show(choice.text, waiting);
      waiting = [];
    }
    progress.n += tokens.length;
    if (choice.finish_reason) progress.end = choice.finish_reason;
    say(`${progress.n} tokens`);
  }
}

function summary(progress, seconds) {
  const n = progress.usage ? progress.usage.completion_tokens : progress.n;
  const ends = {stop: "the text came to its end", length: "as long as it may be"};
  const rate = n > 0 && seconds > 0 ? `, ${(n / seconds).toFixed(1)} a second` : "";
  return `${n} tokens${rate}: ${ends[progress.end] || progress.end || "the server ended it"}`;
}

async function generate() {
  if (running) running.abort();
  const own = running = new AbortController();
  const progress = {n: 0, end: "", usage: null};
  clear();
  $("stop_button").disabled = false;
  $("answer").setAttribute("aria-busy", "true");
  say("waiting");
  const start = performance.now();
  let message = "", bad = false;
  try {
    const response = await fetch("v1/completions", {
      method: "POST", headers: headers(), body: JSON.stringify(request()), signal: own.signal,
    });
    if (!response.ok) throw new Error(await failure(response));
    await follow(response, progress);
    message = summary(progress, (performance.now() - start) / 1000);
  } catch (error) {
    bad = error.name !== "AbortError";
    message = bad ? error.message : `stopped after ${progress.n} tokens`;
  }
  if (running !== own) return;  // another answer has begun
  running = null;
  say(message, bad);
  $("answer").removeAttribute("aria-busy");
  if (document.activeElement === $("stop_button")) $("generate").focus();
  $("stop_button").disabled = true;
}

function stop() {
  if (running) running.abort();
}

async function nameModel() {
  try {
    const response = await fetch("v1/models", {headers: headers()});
    if (response.ok) $("model").textContent = (await response.json()).data.map((model) => model.id).join(", ");
  } catch {
    $("model").textContent = "";
  }
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  generate();
});
$("stop_button").addEventListener("click", stop);
$("key").addEventListener("change", nameModel);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("answer").addEventListener("keydown", (event) => {
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (!step || pieces.length === 0) return;
  event.preventDefault();
  choose(Math.min(Math.max(chosen + step, 0), pieces.length - 1));
});
nameModel();
