// A page without a browser: enough of a document to run the review page's script, press its buttons and keep what
// it would download. Called with the page, a list of [card number, "keep" | "drop" | ""] and the file to write.
"use strict";
const fs = require("fs");
const [page, presses, target] = [process.argv[2], JSON.parse(process.argv[3]), process.argv[4]];
const html = fs.readFileSync(page, "utf8");
const data = /<script id="data" type="application\/json">([\s\S]*?)<\/script>/.exec(html)[1];
const script = /<script>\s*"use strict";([\s\S]*?)<\/script>/.exec(html)[1];

class Node {
  constructor(tag) { Object.assign(this, { tagName: tag.toUpperCase(), children: [], dataset: {}, attributes: {}, value: "", checked: false, _text: "" }); this.classes = new Set(); }
  get classList() { return { toggle: (name, on) => (on ? this.classes.add(name) : this.classes.delete(name)) }; }
  set className(names) { this.classes = new Set(names.split(" ")); }
  get textContent() { return this._text + this.children.map(c => (typeof c === "string" ? c : c.textContent)).join(""); }
  set textContent(text) { this._text = text; this.children = []; }
  append(...nodes) { for (const n of nodes) this.children.push(...(n.fragment ? n.children : [n])); }
  replaceChildren(...nodes) { this._text = ""; this.children = nodes; }
  setAttribute(name, value) { this.attributes[name] = value; }
  find(tag) { return this.children.filter(c => c instanceof Node).flatMap(c => [...(c.tagName === tag ? [c] : []), ...c.find(tag)]); }
  querySelectorAll(tag) { return this.find(tag.toUpperCase()); }
  scrollIntoView() {}
  click() { fs.writeFileSync(target, this.href.text); }
}
const byId = {};
const document = {
  getElementById: id => (byId[id] ??= new Node("div")),
  createElement: tag => new Node(tag),
  createDocumentFragment: () => Object.assign(new Node("x"), { fragment: true }),
  querySelectorAll: tag => byId.list.querySelectorAll(tag),
  addEventListener() {},
};
document.getElementById("data").textContent = data;
class Blob { constructor(parts) { this.text = parts.join(""); } }
const URL = { createObjectURL: blob => blob, revokeObjectURL() {} };
const localStorage = { getItem: () => null, setItem() {} };
new Function("document", "Blob", "URL", "localStorage", script)(document, Blob, URL, localStorage);

const cards = byId.list.querySelectorAll("article");
for (const [number, verdict] of presses) cards[number].querySelectorAll("button").find(b => b.dataset.verdict === verdict).onclick();
byId.save.onclick();
console.log(JSON.stringify({ cards: cards.length, told: byId.told.textContent, marks: cards.flatMap(c => c.querySelectorAll("mark").map(m => m.textContent)) }));
