// The page's state and what its buttons do. Read `talk.js` first (what a conversation is), then this.

import { Refused, servedModel, stream } from "./api.js";
import { make } from "./dom.js";
import { article, talkList } from "./log.js";
import { allTalks, deleteTalk, loadKey, loadSettings, packed, PLAIN, saveKey, saveSettings, saveTalk, unpacked } from "./store.js";
import { asCurl, asPython, assistantTurn, newTalk, requestOf, titleOf } from "./talk.js";
import { Writing } from "./writing.js";

const find = (selector) => document.querySelector(selector);
const state = { talk: newTalk(), talks: [], settings: loadSettings(), key: loadKey(), model: { id: "" }, busy: null };
const log = find("#log"), settings = find("#settings"), side = find("#side");
const writing = new Writing(state, trouble);

function trouble(text) {
  find("#trouble").textContent = text;
  find("#trouble").hidden = !text;
}

// Drawing

function draw() {
  const { turns } = state.talk;
  const low = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  const drawn = turns.map((_, at) => article(state.talk, at, at === turns.length - 1, state.busy, acts));
  if (!drawn.length) drawn.push(make("p", { className: "welcome", textContent: "Ask about pictures and clips: drop them here, paste them, or add them below." }));
  log.replaceChildren(...drawn);
  if (low) log.scrollTop = log.scrollHeight;
  find("#send").hidden = !!state.busy;
  find("#stop").hidden = !state.busy;
  for (const name of ["#copy-curl", "#copy-python"]) find(name).disabled = !turns.length;
}

/** While an answer comes only it is drawn, once a frame. */
function drawLast() {
  state.due ??= requestAnimationFrame(() => {
    state.due = null;
    const low = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    log.lastElementChild.replaceWith(article(state.talk, state.talk.turns.length - 1, true, state.busy, acts));
    if (low) log.scrollTop = log.scrollHeight;
  });
}

async function drawTalks() {
  state.talks = await allTalks();
  find("#talks").replaceChildren(...talkList(state.talks, state.talk.id, titleOf, talkActs));
}

async function keep() {
  state.talk.updated = Date.now();
  try {
    await saveTalk(state.talk);
    await drawTalks();
  } catch (error) {
    trouble(`This browser did not keep the conversation: ${error.message}`);
  }
}

// Asking

async function answer(turn, goesOn = false) {
  const { talk } = state;
  const asked = goesOn ? talk.turns : talk.turns.slice(0, -1);
  const body = requestOf(state.model.id, asked, state.settings, goesOn);
  state.busy = new AbortController();
  Object.assign(turn, { finish: null, fault: "" });
  draw();
  try {
    for await (const { text, thought, links, finish, usage } of stream(state.key, body, state.busy.signal)) {
      turn.text += text;
      turn.thought = (turn.thought ?? "") + thought;
      if (links.length) turn.links = [...(turn.links ?? []), ...links];
      turn.finish = finish ?? turn.finish;
      turn.usage = usage ?? turn.usage;
      if (state.talk === talk) drawLast();
    }
    find("#said").textContent = turn.text;
  } catch (error) {
    if (error.name === "AbortError") turn.finish = "stopped";
    else if (error instanceof Refused) refused(turn, error);
    else throw error;
  } finally {
    state.busy = null;
    draw();
    await saveTalk(talk);
    await drawTalks();
  }
}

function refused(turn, error) {
  turn.fault = error.message;
  if (error.status === 401) openSettings("key");
}

async function send() {
  if (state.busy) return;
  const turn = writing.taken();
  if (!turn) return;
  trouble("");
  await ask(turn);
}

async function ask(turn) {
  const reply = assistantTurn();
  state.talk.turns.push(turn, reply);
  log.scrollTop = log.scrollHeight;
  await keep();
  await answer(reply);
}

const acts = {
  draw,
  async edit(at, text) {
    if (state.busy) return;
    const turn = { ...state.talk.turns[at], text: text.trim() };
    state.talk.turns.length = at;
    await ask(turn);
  },
  async regenerate() {
    const reply = assistantTurn();
    state.talk.turns.splice(-1, 1, reply);
    await answer(reply);
  },
  proceed: () => answer(state.talk.turns.at(-1), true),
  copy,
};

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    find("#said").textContent = "Copied";
  } catch {
    const shown = make("textarea", { value: text, rows: 12, readOnly: true }); // pages over plain http may not copy
    const box = make("dialog", {}, shown, make("form", { method: "dialog" }, make("button", { textContent: "Done" })));
    shown.style.width = "100%";
    box.onclose = () => box.remove();
    document.body.append(box);
    box.showModal();
    shown.select();
  }
}

function copyAs(form) {
  const { turns } = state.talk;
  const asked = turns.at(-1)?.role === "assistant" ? turns.slice(0, -1) : turns;
  copy(form(new URL("v1", location.href).href, requestOf(state.model.id, asked, state.settings), !!state.key));
}

// Conversations

function show(talk) {
  state.busy?.abort();
  state.talk = talk;
  trouble("");
  draw();
  log.scrollTop = log.scrollHeight;
  drawTalks();
  openSide(false);
  writing.put("", []);
  writing.text.focus();
}

const talkActs = {
  choose: (id) => show(state.talks.find((talk) => talk.id === id)),
  async rename(id, title) {
    const talk = id === state.talk.id ? state.talk : state.talks.find((one) => one.id === id);
    if (title) await saveTalk(Object.assign(talk, { title }));
    await drawTalks();
  },
  async remove(id) {
    if (!confirm("Delete this conversation?")) return;
    await deleteTalk(id);
    if (id === state.talk.id) show(newTalk());
    else await drawTalks();
  },
};

function exportTalks() {
  const url = URL.createObjectURL(new Blob([packed(state.talks)], { type: "application/json" }));
  make("a", { href: url, download: "tessera_conversations.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function importTalks(file) {
  try {
    for (const talk of unpacked(await file.text())) await saveTalk(talk);
    trouble("");
  } catch (error) {
    trouble(error.message);
  }
  await drawTalks();
}

function openSide(open) {
  side.classList.toggle("open", open);
  find("#veil").hidden = !open;
  find("#menu").setAttribute("aria-expanded", open);
}

// Settings

function openSettings(field) {
  const { elements } = settings.querySelector("form");
  for (const name of Object.keys(PLAIN)) elements[name].value = state.settings[name];
  elements.key.value = state.key;
  settings.showModal();
  if (field) elements[field].focus();
}

function takeSettings() {
  const { elements } = settings.querySelector("form");
  state.settings = Object.fromEntries(Object.keys(PLAIN).map((name) => [name, elements[name].value.trim()]));
  saveSettings(state.settings);
  if (elements.key.value !== state.key) {
    saveKey(state.key = elements.key.value);
    meet();
  }
  writing.changed();
}

async function meet() {
  try {
    state.model = await servedModel(state.key);
    find("#model").textContent = document.title = state.model.id;
    trouble("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    trouble(error.message);
    if (error.status === 401) openSettings("key");
  }
}

// Buttons and keys

find("#ask").onsubmit = (event) => { event.preventDefault(); send(); };
writing.text.onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
};
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && side.classList.contains("open")) openSide(false);
  else if (event.key === "Escape") state.busy?.abort();
  if (event.altKey && event.code === "KeyN") { event.preventDefault(); show(newTalk()); }
});
find("#stop").onclick = () => state.busy?.abort();
find("#new").onclick = () => show(newTalk());
find("#menu").onclick = () => openSide(!side.classList.contains("open"));
find("#veil").onclick = () => openSide(false);
find("#copy-curl").onclick = () => copyAs(asCurl);
find("#copy-python").onclick = () => copyAs(asPython);
find("#open-settings").onclick = () => openSettings();
settings.onclose = takeSettings;
find("#reset").onclick = () => {
  for (const [name, value] of Object.entries(PLAIN)) settings.querySelector("form").elements[name].value = value;
};
find("#export").onclick = exportTalks;
find("#import").onclick = () => find("#import-file").click();
find("#import-file").onchange = ({ target }) => { if (target.files.length) importTalks(target.files[0]); target.value = ""; };

draw();
drawTalks();
meet();
writing.text.focus();
