// What is about to be asked: the field, the media beside it, and what the server says of their size.

import { Refused, tokenize } from "./api.js";
import { make } from "./dom.js";
import { dataUrl, figure, fromCamera, mediaOf } from "./pictures.js";
import { recording } from "./sounds.js";
import { promptOf, requestOf, userTurn } from "./talk.js";

const PAUSE = 300; // milliseconds without a key before the server is asked for sizes

export class Writing {
  /** `state` is the page's; `trouble(text)` shows what is wrong, and "" takes it away. */
  constructor(state, trouble) {
    Object.assign(this, { state, trouble, media: [], seen: [] });
    this.text = document.querySelector("#text");
    this.list = document.querySelector("#media");
    this.size = document.querySelector("#size");
    this.text.oninput = () => this.changed();
    this.#listen();
  }

  #listen() {
    const files = document.querySelector("#files");
    document.querySelector("#add").onclick = () => files.click();
    files.onchange = () => { this.take([...files.files]); files.value = ""; };
    const camera = document.querySelector("#camera");
    camera.hidden = !navigator.mediaDevices?.getUserMedia; // pages over plain http have none
    camera.onclick = () => this.#shoot();
    const microphone = document.querySelector("#microphone");
    microphone.hidden = camera.hidden || !window.MediaRecorder;
    microphone.onclick = () => this.#record(microphone);
    document.addEventListener("paste", (event) => {
      const pasted = [...event.clipboardData.files];
      if (pasted.length) { event.preventDefault(); this.take(pasted); }
    });
    document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      this.take([...event.dataTransfer.files]);
    });
  }

  async #shoot() {
    try {
      const medium = await fromCamera(document.querySelector("#shoot"));
      if (medium) this.add([medium]);
    } catch (error) {
      this.trouble(`The camera can't be used: ${error.message}`);
    }
  }

  /** The first press starts, the second ends it. */
  async #record(button) {
    if (this.recorded) return this.recorded.stop();
    try {
      this.recorded = await recording();
      button.textContent = "End";
      const blob = await this.recorded.done;
      this.add([{ kind: "audio", name: "recording", url: await dataUrl(blob) }]);
    } catch (error) {
      this.trouble(`The microphone can't be used: ${error.message}`);
    } finally {
      this.recorded = null;
      button.textContent = "Mic";
    }
  }

  /** Files from anywhere. */
  async take(files) {
    try {
      const [taken, refused] = await mediaOf(files);
      this.trouble(refused.join("; "));
      this.add(taken);
    } catch (error) {
      this.trouble(error.message);
    }
  }

  add(media) {
    this.media.push(...media);
    this.changed();
    this.text.focus();
  }

  /** What was written, as a turn, and the field empty again; null when there is nothing. */
  taken() {
    const text = this.text.value.trim();
    if (!text && !this.media.length) return null;
    const turn = userTurn(text, this.media);
    this.put("", []);
    return turn;
  }

  put(text, media) {
    this.text.value = text;
    this.media = media;
    this.changed();
  }

  /** Draw, and ask the server again how much this is. */
  changed() {
    this.text.style.height = "auto";
    this.text.style.height = `${this.text.scrollHeight + 2}px`;
    this.seen = [];
    this.draw();
    clearTimeout(this.timer);
    this.asked?.abort();
    if (this.media.length || this.text.value.trim()) this.timer = setTimeout(() => this.#measure(), PAUSE);
    else this.size.textContent = "";
  }

  draw() {
    this.list.replaceChildren(...this.media.map((medium, index) => {
      const drop = make("button", { className: "drop-it", type: "button", textContent: "✕", title: "Leave it out" });
      drop.setAttribute("aria-label", `Leave out ${medium.name}`);
      drop.onclick = () => { this.media.splice(index, 1); this.changed(); };
      return make("li", {}, drop, figure(medium, this.seen[index]));
    }));
  }

  async #measure() {
    const { state } = this;
    const turns = [...state.talk.turns, userTurn(this.text.value.trim(), this.media)];
    const asked = this.asked = new AbortController();
    try {
      const told = await tokenize(state.key, promptOf(requestOf(state.model.id, turns, state.settings)), asked.signal);
      this.seen = told.media.slice(told.media.length - this.media.length);
      this.draw();
      this.size.textContent = `prompt: ${told.count.toLocaleString("en")} of ${told.max_model_len.toLocaleString("en")} tokens`;
      this.size.classList.toggle("fault", told.count >= told.max_model_len);
      if (this.said) { this.trouble(""); this.said = false; }
    } catch (error) {
      if (!(error instanceof Refused)) { if (error.name !== "AbortError") throw error; return; }
      this.said = true;
      this.size.textContent = "";
      this.trouble(error.message);
    }
  }
}
