"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const PAGE = 50, store = "tessera-review";
const nameOf = s => s.source + "\u0000" + s.record + "\u0000" + s.digest;
let choices = {};
try { choices = JSON.parse(localStorage.getItem(store) || "{}"); } catch { choices = {}; }
const at = id => document.getElementById(id);
const make = (tag, text, cls) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (cls) e.className = cls; return e; };
let shown = PAGE, current = 0;

for (const [id, values] of [["rule", data.samples.flatMap(s => s.rows.map(r => r.rule))], ["source", data.samples.map(s => s.source)]])
  for (const value of [...new Set(values)].sort()) at(id).append(make("option", value));

function keepChoices() { try { localStorage.setItem(store, JSON.stringify(choices)); } catch { /* private window: the download still works */ } tell(); }
function fits(s) {
  return (!at("verdict").value || s.verdict === at("verdict").value) && (!at("source").value || s.source === at("source").value)
    && (!at("rule").value || s.rows.some(r => r.rule === at("rule").value)) && (!at("open").checked || !choices[nameOf(s)]);
}
function tell() {
  const done = data.samples.filter(s => choices[nameOf(s)]?.verdict).length, c = data.counts;
  at("told").textContent = `${done} of ${data.samples.length} decided; the run has ${c.borderline || 0} borderline, ${c.drop || 0} dropped, `
    + `${c.unreadable || 0} unreadable. Undecided borderline: ${data.borderline}.`;
}
function marked(text, spans) {
  const box = document.createDocumentFragment();
  // Positions count characters (code points), as Python does.
  const points = [...text]; let last = 0;
  for (const [start, end] of spans.sort((a, b) => a[0] - b[0])) {
    if (start < last || start >= points.length) continue;
    box.append(points.slice(last, start).join(""), make("mark", points.slice(start, Math.max(end, start + 1)).join("")));
    last = Math.max(end, start + 1);
  }
  box.append(points.slice(last).join(""));
  return box;
}
function choose(s, verdict, card) {
  const name = nameOf(s);
  if (verdict) choices[name] = { ...choices[name], verdict }; else delete choices[name];
  keepChoices(); paint(s, card);
}
function paint(s, card) {
  const chosen = choices[nameOf(s)]?.verdict || "";
  card.classList.toggle("keep", chosen === "keep"); card.classList.toggle("drop", chosen === "drop");
  for (const button of card.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.verdict === chosen));
}
function card(s) {
  const box = make("article"), top = make("div", undefined, "top");
  top.append(make("strong", s.verdict), make("code", `${s.source} ${s.record}  ${s.place}`));
  for (const [verdict, word] of [["keep", "keep"], ["drop", "drop"], ["", "undecided"]]) {
    const button = make("button", word); button.dataset.verdict = verdict; button.onclick = () => choose(s, verdict, box); top.append(button);
  }
  const note = make("input", undefined, "note"); note.placeholder = "note"; note.value = choices[nameOf(s)]?.note || "";
  note.onchange = () => { if (choices[nameOf(s)]) { choices[nameOf(s)].note = note.value; keepChoices(); } };
  top.append(note); box.append(top);
  const rows = make("ul", undefined, "rows");
  for (const r of s.rows) {
    const item = make("li", `${r.rule}: ${r.score ?? "no readable score"} (level ${r.threshold ?? "-"}, ${r.verdict}${r.domain ? ", " + r.domain : ""}) `);
    if (r.turn === null && r.excerpt) item.append(make("em", r.excerpt));
    rows.append(item);
  }
  box.append(rows);
  for (const p of s.pictures) { if (p.startsWith("data:")) { const img = make("img"); img.src = p; box.append(img); } else box.append(make("span", p)); }
  s.turns.forEach((t, n) => {
    const turn = make("div", undefined, "turn"); turn.dataset.role = t.role;
    turn.append(marked(t.text, s.rows.filter(r => r.turn === n && r.end > r.start && r.end - r.start < t.text.length).map(r => [r.start, r.end])));
    if (t.left_out) turn.append(make("em", ` … ${t.left_out} characters left out`));
    box.append(turn);
  });
  paint(s, box);
  return box;
}
function list() {
  at("list").replaceChildren(); current = 0;
  const found = data.samples.filter(fits);
  for (const s of found.slice(0, shown)) { const c = card(s); c.sample = s; at("list").append(c); }
  if (found.length > shown) { const more = make("button", `show ${Math.min(PAGE, found.length - shown)} more of ${found.length}`); more.onclick = () => { shown += PAGE; list(); }; at("list").append(more); }
  if (!found.length) at("list").append(make("p", "nothing to show"));
  tell();
}
for (const id of ["verdict", "rule", "source", "open"]) at(id).onchange = () => { shown = PAGE; list(); };
document.addEventListener("keydown", event => {
  if (/^(INPUT|SELECT)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey) return;
  const cards = [...document.querySelectorAll("article")]; if (!cards.length) return;
  const step = { j: 1, n: 1, k: -1 }[event.key], verdict = { "+": "keep", y: "keep", "-": "drop", x: "drop", "0": "" }[event.key];
  if (step === undefined && verdict === undefined) return;
  if (verdict !== undefined) choose(cards[current].sample, verdict, cards[current]);
  if (step !== undefined || verdict) current = Math.min(cards.length - 1, Math.max(0, current + (step ?? 1)));
  cards.forEach((c, n) => c.classList.toggle("current", n === current));
  cards[current].scrollIntoView({ block: "nearest" }); event.preventDefault();
});
at("save").onclick = () => {
  const decisions = data.samples.filter(s => choices[nameOf(s)]?.verdict)
    .map(s => ({ source: s.source, record: s.record, verdict: choices[nameOf(s)].verdict, note: choices[nameOf(s)].note || "" }));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify({ run: data.run, decisions }, null, 1) + "\n"], { type: "application/json" }));
  link.download = "decisions.json"; link.click(); URL.revokeObjectURL(link.href);
};
list();
