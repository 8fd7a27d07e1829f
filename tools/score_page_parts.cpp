#include "tools/score_page_parts.h"

namespace gpt2 {

// h0..h7: levels of surprisal; r0..r3: bands of ranks. Every pair of colours can be read (contrast above 4.5).
const std::string_view kPageStyle = R"css(
:root {
  color-scheme: light dark;
  --ink: #1b1b1f; --paper: #fdfcf9; --faint: #63636b; --line: #d8d5cc; --bar: #c2571a; --strong: #fff;
  --h1: #fff6d6; --h2: #ffe9a8; --h3: #ffd27a; --h4: #ffb25c; --h5: #ff8f5a; --h6: #c62f3a; --h7: #7d1034;
  --r0: #d3efcf; --r1: #fbeaa0; --r2: #ffc2b3; --r3: #dcc7f5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e9e6df; --paper: #17171b; --faint: #a3a0a8; --line: #3a393f; --bar: #f0955a;
    --h1: #2c2a1c; --h2: #453c16; --h3: #60480f; --h4: #7a4a0e; --h5: #94400f; --h6: #b3263a; --h7: #c2187a;
    --r0: #1f4423; --r1: #504510; --r2: #6b2a20; --r3: #4a2f70;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 1rem clamp(.75rem, 3vw, 2.5rem) 13rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.3rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 1.5rem 0 .25rem; overflow-wrap: anywhere; }
p, .key { color: var(--faint); margin: .25rem 0; }
.key span { color: var(--ink); padding: 0 .35em; border-radius: .2em; white-space: nowrap; }
.views { margin: .75rem 0; }
.views label { margin-right: 1rem; }
.text {
  white-space: pre-wrap; overflow-wrap: anywhere; max-width: 46rem; margin: .25rem 0; color: var(--ink);
  font: 1.05rem/1.9 ui-serif, Georgia, serif;
}
.text span { border-radius: .2em; padding: .15em 0; cursor: default; }
.text span:focus, .text .at { outline: 2px solid var(--bar); }
.nl::before { content: "\21B5"; color: var(--faint); }
.part::before { content: "\B7"; color: var(--faint); }
.heat .h1 { background: var(--h1); }
.heat .h2 { background: var(--h2); }
.heat .h3 { background: var(--h3); }
.heat .h4 { background: var(--h4); }
.heat .h5 { background: var(--h5); }
.heat .h6 { background: var(--h6); color: var(--strong); }
.heat .h7 { background: var(--h7); color: var(--strong); }
.ranks .r0 { background: var(--r0); }
.ranks .r1 { background: var(--r1); }
.ranks .r2 { background: var(--r2); }
.ranks .r3 { background: var(--r3); }
body.heat .key.ranks, body.ranks .key.heat { display: none; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1rem 0; }
figure { margin: 0; }
figcaption { color: var(--faint); }
svg { display: block; max-width: 100%; height: auto; }
svg rect { fill: var(--bar); }
svg text { fill: var(--faint); font: 10px system-ui, sans-serif; }
svg line { stroke: var(--line); }
table { border-collapse: collapse; }
td, th { padding: .1rem .8rem .1rem 0; text-align: right; font-weight: normal; white-space: nowrap; }
td:first-child, th:first-child { text-align: left; white-space: normal; }
#look {
  position: fixed; inset: auto 0 0 0; max-height: 12rem; overflow: auto; padding: .5rem clamp(.75rem, 3vw, 2.5rem);
  background: var(--paper); border-top: 1px solid var(--line); font-size: .9rem;
}
#look ol { margin: .25rem 0 0; padding: 0; list-style: none; columns: 2; column-gap: 2rem; max-width: 46rem; }
#look li { display: flex; gap: .5rem; break-inside: avoid; }
#look b { font-weight: 600; white-space: pre; }
#look li b { flex: 0 0 7em; overflow: hidden; text-overflow: ellipsis; }
#look i { flex: 1; align-self: center; height: .5rem; }
#look u { display: block; height: 100%; background: var(--bar); }
@media (min-width: 75rem) {
  body { padding-right: 24rem; padding-bottom: 2rem; }
  #look {
    inset: 0 0 0 auto; width: 22rem; max-height: none; border-top: 0; border-left: 1px solid var(--line); padding: 1rem;
  }
  #look ol { columns: 1; }
}
@media (max-width: 36rem) { #look ol { columns: 1; } }
)css";

const std::string_view kPageScript = R"js(
'use strict';
const look = document.getElementById('look');
function make(name, text) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  return element;
}
const seen = text => text.replace(/\n/g, '\u21B5').replace(/\t/g, '\u21E5') || '\u00B7';
let at = null;
const data = token => JSON.parse(token.closest('section').querySelector('script').textContent);
const cache = new Map();
function rows(token) {
  const section = token.closest('section');
  if (!cache.has(section)) cache.set(section, data(token));
  return cache.get(section);
}
function show(token) {
  const row = rows(token)[Number(token.dataset.i)];
  if (at) at.classList.remove('at');
  (at = token).classList.add('at');
  look.replaceChildren();
  const head = make('div');
  head.append(make('b', seen(token.textContent)));
  head.append(row ? ': ' + row[0].toFixed(2) + ' bits, rank ' + row[1] + ', entropy ' + row[2].toFixed(2) + ' bits'
                  : ': not scored, nothing stands before it');
  look.append(head);
  if (!row) return;
  const list = make('ol');
  for (const [text, p] of row[3]) {
    const item = make('li'), bar = make('i'), fill = make('u');
    fill.style.width = Math.max(1, 100 * p) + '%';
    bar.append(fill);
    item.append(make('b', seen(text)), bar, make('span', (100 * p).toFixed(1) + ' %'));
    list.append(item);
  }
  look.append(list);
}
const tokenOf = event => event.target instanceof Element ? event.target.closest('.text span') : null;
for (const type of ['pointerover', 'focusin', 'click']) {
  document.addEventListener(type, event => { const token = tokenOf(event); if (token) show(token); });
}
document.addEventListener('keydown', event => {
  const token = tokenOf(event);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!token || !step) return;
  const all = token.parentElement.children;
  const next = all[Array.prototype.indexOf.call(all, token) + step];
  if (!next) return;
  token.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
  event.preventDefault();
});
for (const view of document.querySelectorAll('input[name=view]')) {
  view.addEventListener('change', () => { document.body.className = view.value; });
}
)js";

}  // namespace gpt2
