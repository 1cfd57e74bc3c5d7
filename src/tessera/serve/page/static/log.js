// The conversation as it stands on the page: a turn is an article with its tools. It draws; it decides nothing.

import { make } from "./dom.js";
import { boxesIn, elements } from "./markdown.js";
import { boxed, figure, masked } from "./pictures.js";

const ENDS = {
  length: "cut off at the longest answer",
  repetition: "stopped: it went in circles",
  cancelled: "stopped",
  stopped: "stopped",
};

function tool(text, title, act) {
  const button = make("button", { type: "button", textContent: text, title });
  button.onclick = act;
  return button;
}

/** One turn; `acts` are what its tools do, `last` where it is the newest. */
export function article(talk, at, last, busy, acts) {
  const turn = talk.turns[at];
  return turn.role === "user" ? question(turn, at, acts) : answer(talk, at, last, busy, acts);
}

function question(turn, at, acts) {
  const all = make("article", { className: "user" });
  all.setAttribute("aria-label", "You");
  if (turn.media.length) {
    all.append(make("div", { className: "pictures" }, ...turn.media.map((medium) => figure(medium))));
  }
  if (turn.text) all.append(make("div", { className: "body", textContent: turn.text }));
  const edit = () => all.replaceChildren(...editor(turn, (text) => acts.edit(at, text), () => acts.draw()));
  all.append(make("div", { className: "tools" }, tool("Edit", "Ask this differently; what follows goes", edit)));
  return all;
}

function editor(turn, done, cancel) {
  const text = make("textarea", { value: turn.text, rows: 3 });
  text.setAttribute("aria-label", "Question");
  text.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); done(text.value); }
    if (event.key === "Escape") { event.stopPropagation(); cancel(); }
  };
  setTimeout(() => text.focus());
  const pictures = make("div", { className: "pictures" }, ...turn.media.map((medium) => figure(medium)));
  return [pictures, text, make("div", { className: "tools" },
    tool("Send", "Ask again (Enter)", () => done(text.value)), tool("Cancel", "Leave it as it was (Esc)", cancel))];
}

function answer(talk, at, last, busy, acts) {
  const turn = talk.turns[at];
  const all = make("article", { className: "assistant" });
  all.setAttribute("aria-label", "Answer");
  const writing = last && busy;
  if (turn.thought) {
    const thought = make("details", { className: "thought", open: writing && !turn.text },
      make("summary", { textContent: "Thought" }), turn.thought);
    all.append(thought);
  }
  const said = make("div", { className: writing ? "said waiting" : "said" }, ...elements(turn.text));
  all.append(said);
  all.append(...linked(turn.links ?? [], picturesBefore(talk.turns, at)));
  const boxes = boxesIn(turn.text), picture = picturesBefore(talk.turns, at).at(-1);
  if (boxes.length && picture) all.append(boxed(picture, boxes));
  if (turn.fault) all.append(make("div", { className: "fault", textContent: turn.fault }));
  if (!writing) all.append(tools(turn, last, acts));
  return all;
}

function tools(turn, last, acts) {
  const all = make("div", { className: "tools" });
  if (turn.text) all.append(tool("Copy", "Copy the answer", () => acts.copy(turn.text)));
  if (last) all.append(tool("Regenerate", "Answer again", acts.regenerate));
  if (last && turn.text && turn.finish !== "stop") all.append(tool("Continue", "Go on from here", acts.proceed));
  const usage = turn.usage ? `${turn.usage.prompt_tokens.toLocaleString("en")} + ${turn.usage.completion_tokens.toLocaleString("en")} tokens` : "";
  const notes = [ENDS[turn.finish], usage].filter(Boolean).join(" · ");
  if (notes) all.append(make("span", { textContent: notes, title: "tokens of the prompt + of the answer" }));
  return all;
}

/** The pictures that an answer may speak of: of boxes the last one is meant, masks tell which. */
function picturesBefore(turns, at) {
  return turns.slice(0, at).flatMap((turn) => turn.media).filter((medium) => medium.kind === "image");
}

/** What link tokens became: every picture with its masks, drawn pictures, and what could not be made. */
function linked(links, pictures) {
  const masks = links.flatMap((link) => link.masks ?? []);
  const shown = pictures.map((picture, number) => [picture, masks.filter((mask) => mask.picture === number)]);
  return [
    ...shown.filter(([, own]) => own.length).map(([picture, own]) => masked(picture, own)),
    ...links.flatMap((link) => link.pictures ?? []).map((url) => figure({ kind: "image", name: "drawn picture", url })),
    ...links.filter((link) => link.fault).map((link) => make("div", { className: "fault", textContent: link.fault })),
  ];
}

/** The names of all conversations. */
export function talkList(talks, current, titleOf, acts) {
  return talks.map((talk) => {
    const row = make("li", { className: talk.id === current ? "current" : "" });
    const name = make("button", { className: "name", type: "button", textContent: titleOf(talk) });
    name.onclick = () => acts.choose(talk.id);
    if (talk.id === current) name.setAttribute("aria-current", "true");
    const rename = tool("✎", "Rename", () => row.replaceChildren(nameField(titleOf(talk), (text) => acts.rename(talk.id, text))));
    const remove = tool("✕", "Delete", () => acts.remove(talk.id));
    rename.className = remove.className = "tool";
    rename.setAttribute("aria-label", `Rename ${titleOf(talk)}`);
    remove.setAttribute("aria-label", `Delete ${titleOf(talk)}`);
    row.append(name, rename, remove);
    return row;
  });
}

function nameField(name, done) {
  const field = make("input", { value: name });
  field.setAttribute("aria-label", "Name of the conversation");
  let over = false;
  const finish = (text) => { if (!over) { over = true; done(text); } };
  field.onkeydown = (event) => {
    if (event.key === "Enter") finish(field.value.trim());
    if (event.key === "Escape") { event.stopPropagation(); finish(null); }
  };
  field.onblur = () => finish(field.value.trim());
  setTimeout(() => field.select());
  return field;
}
