// Conversations and settings in this browser: talks in IndexedDB (pictures are large), settings beside them.

const NAME = "tessera";

function opened() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("talks", { keyPath: "id" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

async function within(mode, act) {
  const base = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const work = base.transaction("talks", mode);
      const asked = act(work.objectStore("talks"));
      work.oncomplete = () => resolve(asked.result);
      work.onerror = work.onabort = () => reject(work.error);
    });
  } finally {
    base.close();
  }
}

/** All talks, the newest first. */
export async function allTalks() {
  const talks = await within("readonly", (store) => store.getAll());
  return talks.sort((a, b) => b.updated - a.updated);
}

export const saveTalk = (talk) => within("readwrite", (store) => store.put(structuredClone(talk)));
export const deleteTalk = (id) => within("readwrite", (store) => store.delete(id));

/** Talks as a file's text. */
export function packed(talks) {
  return JSON.stringify({ tessera_talks: 1, talks }, null, 1);
}

/** Talks from such a text; an error that says what is wrong. */
export function unpacked(text) {
  let given;
  try {
    given = JSON.parse(text);
  } catch {
    throw new Error("This file is no JSON; choose one that Export wrote.");
  }
  if (given?.tessera_talks !== 1 || !Array.isArray(given.talks)) {
    throw new Error("This file holds no conversations; choose one that Export wrote.");
  }
  const sound = given.talks.filter(isTalk);
  if (sound.length !== given.talks.length) {
    throw new Error(`${given.talks.length - sound.length} of ${given.talks.length} conversations are damaged; nothing was added.`);
  }
  return sound;
}

const isText = (value) => typeof value === "string";

function isTalk(talk) {
  return isText(talk?.id) && isText(talk.title) && Number.isFinite(talk.updated) && Array.isArray(talk.turns) &&
    talk.turns.every((turn) => ["user", "assistant"].includes(turn?.role) && isText(turn.text) &&
      Array.isArray(turn.media) && turn.media.every(isMedium));
}

function isMedium(medium) {
  return ["image", "video"].includes(medium?.kind) && isText(medium.name) && isText(medium.url) &&
    medium.url.startsWith("data:");
}

export const PLAIN = {
  system: "", temperature: "", top_p: "", top_k: "", repetition_penalty: "", max_tokens: "", seed: "",
  detail: "auto", max_tiles: "",
};

export function loadSettings() {
  try {
    return { ...PLAIN, ...JSON.parse(localStorage.getItem("settings") ?? "{}") };
  } catch {
    return { ...PLAIN };
  }
}

export const saveSettings = (settings) => localStorage.setItem("settings", JSON.stringify(settings));

// A key lives as long as the tab.
export const loadKey = () => sessionStorage.getItem("key") ?? "";
export const saveKey = (key) => sessionStorage.setItem("key", key);
