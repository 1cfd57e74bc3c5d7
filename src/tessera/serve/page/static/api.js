// The server's endpoints, as this page needs them: one function each, and answers as they come.

/** What the server refused, in its own words. `status` 0: it could not be reached. */
export class Refused extends Error {
  constructor(message, status, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function ask(path, key, body, signal) {
  const headers = { "content-type": "application/json" };
  if (key) headers.authorization = `Bearer ${key}`;
  const given = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  let reply;
  try {
    reply = await fetch(path, { headers, signal, ...given });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server can't be reached. Is it still running?", 0);
  }
  if (reply.ok) return reply;
  const told = (await reply.json().catch(() => ({}))).error;
  throw new Refused(told?.message ?? `The server answered ${reply.status}.`, reply.status, told?.code);
}

/** The model that is served: { id, max_model_len }. */
export async function servedModel(key) {
  return (await (await ask("v1/models", key)).json()).data[0];
}

/** What the model would see of a talk: { count, max_model_len, media: [{ tiles, tokens, grid }] }. */
export async function tokenize(key, body, signal) {
  return (await ask("tokenize", key, body, signal)).json();
}

/** Pieces of an answer: { text, thought, links, finish, usage }, each with what is new alone. */
export async function* stream(key, body, signal) {
  const given = { ...body, stream: true, stream_options: { include_usage: true } };
  const reply = await ask("v1/chat/completions", key, given, signal);
  for await (const event of events(reply.body)) {
    if (event.error) throw new Refused(event.error.message, 500, event.error.code);
    const choice = event.choices[0];
    yield {
      text: choice?.delta?.content ?? "",
      thought: choice?.delta?.reasoning_content ?? "",
      links: choice?.links ?? [],
      finish: choice?.finish_reason ?? null,
      usage: event.usage ?? null,
    };
  }
}

/** Values of a stream of server-sent events, up to `[DONE]`. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Refused("The connection broke before the answer was complete.", 0);
    const blocks = (held + value).split(/\r?\n\r?\n/);
    held = blocks.pop();
    for (const block of blocks) {
      const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
      const data = lines.map((line) => line.slice(5).trimStart()).join("\n");
      if (data === "[DONE]") return;
      if (data) yield JSON.parse(data);
    }
  }
}
