// Sounds: recorded with the microphone, and as a part of a message.

/** Endings of the server's formats by what a browser calls them. */
const FORMATS = { "audio/webm": "webm", "audio/ogg": "ogg", "audio/mp4": "m4a", "audio/wav": "wav", "audio/x-wav": "wav",
  "audio/mpeg": "mp3", "audio/flac": "flac", "audio/aac": "aac", "audio/x-m4a": "m4a" };
const MOST = 30_000; // milliseconds: what the models hear at once

/** The part of a message that plays a sound: OpenAI's `input_audio`. */
export function soundPart(url) {
  const [head, data] = url.split(",", 2);
  const kind = head.slice("data:".length).split(";")[0];
  return { type: "input_audio", input_audio: { data, format: FORMATS[kind] ?? "wav" } };
}

/** Starts to record; `stop()` ends it and gives the blob, as does the end of the time. */
export async function recording() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream), pieces = [];
  recorder.ondataavailable = (event) => pieces.push(event.data);
  const done = new Promise((resolve, reject) => {
    recorder.onerror = (event) => reject(event.error ?? new Error("it stopped"));
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      resolve(new Blob(pieces, { type: recorder.mimeType.split(";")[0] }));
    };
  });
  recorder.start();
  const timer = setTimeout(() => stop(), MOST);
  function stop() {
    clearTimeout(timer);
    if (recorder.state !== "inactive") recorder.stop();
  }
  return { done, stop };
}
