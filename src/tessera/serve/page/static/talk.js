// A conversation as a value, and as the server takes it. Nothing here touches the page.
//
// A talk is { id, title, updated, turns }; a turn { role, text, media, thought, finish, fault, usage };
// a medium { kind: "image" | "video" | "audio", name, url }, where url is a data: address with the file as it was.

import { soundPart } from "./sounds.js";

export function newTalk() {
  return { id: crypto.randomUUID?.() ?? String(Math.random()).slice(2), title: "", updated: Date.now(), turns: [] };
}

export function userTurn(text, media) {
  return { role: "user", text, media };
}

export function assistantTurn() {
  return { role: "assistant", text: "", media: [], thought: "", finish: null, fault: "" };
}

/** A few words by which a talk is found again. */
export function titleOf(talk) {
  const first = talk.turns.find((turn) => turn.role === "user");
  const words = first?.text.trim() || (first?.media.length ? first.media[0].name : "");
  return talk.title || words.slice(0, 60) || "New conversation";
}

function parts(turn, detail) {
  if (!turn.media.length) return turn.text;
  const media = turn.media.map(({ kind, url }) =>
    kind === "audio" ? soundPart(url) : kind === "video"
      ? { type: "video_url", video_url: { url } }
      : { type: "image_url", image_url: detail === "auto" ? { url } : { url, detail } });
  return turn.text ? [...media, { type: "text", text: turn.text }] : media;
}

/** OpenAI's messages. An answer that says nothing (it failed, or was stopped at once) is left out. */
export function messagesOf(turns, settings) {
  const system = settings.system ? [{ role: "system", content: settings.system }] : [];
  const said = turns.filter((turn) => turn.role === "user" || turn.text);
  return [...system, ...said.map((turn) => ({ role: turn.role, content: parts(turn, settings.detail) }))];
}

const SAMPLING = ["temperature", "top_p", "top_k", "repetition_penalty", "max_tokens", "seed", "max_tiles"];

/** The body of a request; `goesOn` when the last answer is to be continued. */
export function requestOf(model, turns, settings, goesOn = false) {
  const body = { model, messages: messagesOf(turns, settings) };
  for (const name of SAMPLING) if (settings[name] !== "") body[name] = Number(settings[name]);
  if (goesOn) body.continue_final_message = true;
  return body;
}

/** The part of a request that changes what the model sees. */
export function promptOf(body) {
  const { model, messages, max_tiles } = body;
  return max_tiles === undefined ? { model, messages } : { model, messages, max_tiles };
}

/** A shell command that asks the same; the key is left to the environment. */
export function asCurl(address, body, keyed) {
  const key = keyed ? ` -H "Authorization: Bearer $API_KEY"` : "";
  const given = JSON.stringify(body, null, 1); // no line of it is END alone
  return `curl ${address}/chat/completions -H 'Content-Type: application/json'${key} -d @- <<'END'\n${given}\nEND\n`;
}

/** Python that asks the same with OpenAI's client. */
export function asPython(address, body, keyed) {
  const { model, messages, ...rest } = body;
  const own = ["top_k", "repetition_penalty", "max_tiles", "continue_final_message"];
  const known = Object.entries(rest).filter(([name]) => !own.includes(name));
  const extra = Object.fromEntries(Object.entries(rest).filter(([name]) => own.includes(name)));
  const options = known.map(([name, value]) => `    ${name}=${value},\n`).join("");
  const more = Object.keys(extra).length ? `    extra_body=json.loads(${quoted(JSON.stringify(extra))}),\n` : "";
  return `import json${keyed ? "\nimport os" : ""}

from openai import OpenAI

client = OpenAI(base_url=${quoted(address)}, api_key=${keyed ? 'os.environ["API_KEY"]' : '"none"'})
messages = json.loads(${quoted(JSON.stringify(messages))})
answer = client.chat.completions.create(
    model=${quoted(model)},
    messages=messages,
${options}${more})
print(answer.choices[0].message.content)
`;
}

/** A string of JSON is one of Python's, too. */
function quoted(text) {
  return JSON.stringify(text);
}
