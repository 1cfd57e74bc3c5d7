// Pictures, clips and sounds: read from files, shown with their tiles, and with the boxes of an answer drawn on them.

import { make } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#e4572e", "#0b6bcb", "#2e8b57", "#b8860b", "#8e44ad", "#c2185b", "#00838f", "#5d4037"];

/** Files as media; the second list says what could not be taken. */
export async function mediaOf(files) {
  const taken = [], refused = [];
  for (const file of files) {
    const kind = ["image", "video", "audio"].find((each) => file.type.startsWith(`${each}/`));
    if (!kind) refused.push(`${file.name || "this"} is no picture, no clip and no sound`);
    else taken.push({ kind, name: file.name || "picture", url: await dataUrl(file) });
  }
  return [taken, refused];
}

export function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error(`${blob.name}: the browser can't read it`));
    reader.readAsDataURL(blob);
  });
}

/** A medium as it is shown; `seen` { tiles, tokens, grid } once the server has told. */
export function figure(medium, seen = null) {
  const shown = medium.kind === "audio"
    ? make("audio", { src: medium.url, controls: true, title: medium.name })
    : medium.kind === "video"
    ? make("video", { src: medium.url, controls: true, muted: true, title: medium.name })
    : make("img", { src: medium.url, alt: medium.name, title: medium.name });
  const all = make("figure", {}, shown);
  if (!seen) return all;
  const [columns, rows] = seen.grid ?? [1, 1];
  if (medium.kind === "image" && columns * rows > 1) all.append(gridLines(columns, rows));
  return make("div", { className: "seen" }, all, make("div", { className: "caption", textContent: sizeText(medium, seen) }));
}

function sizeText(medium, { tiles, tokens, grid }) {
  if (medium.kind === "audio") return `${tokens.toLocaleString("en")} tokens`;
  const what = medium.kind === "video" ? `${tiles} frame${tiles === 1 ? "" : "s"}`
    : tiles === 1 ? "1 tile" : `${tiles} tiles (${grid[0]} × ${grid[1]}${tiles > grid[0] * grid[1] ? " + whole" : ""})`;
  return `${what}, ${tokens.toLocaleString("en")} tokens`;
}

function gridLines(columns, rows) {
  const svg = canvas(columns, rows);
  for (let x = 1; x < columns; x++) svg.append(drawn("line", { x1: x, y1: 0, x2: x, y2: rows }));
  for (let y = 1; y < rows; y++) svg.append(drawn("line", { x1: 0, y1: y, x2: columns, y2: y }));
  return svg;
}

/** The picture with boxes [{ label, box }] in thousandths of its sides. */
export function boxed(medium, boxes) {
  const all = make("figure", { className: "boxed" }, make("img", { src: medium.url, alt: `${medium.name} with the boxes of the answer` }));
  const svg = canvas(1000, 1000);
  all.append(svg);
  boxes.forEach(({ label, box: [left, top, right, bottom] }, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const rect = drawn("rect", { x: left, y: top, width: right - left, height: bottom - top });
    rect.style.stroke = colour;
    svg.append(rect);
    const name = make("span", { className: "label", textContent: label || String(index + 1) });
    Object.assign(name.style, { left: `${left / 10}%`, top: `${Math.max(top / 10, 4)}%`, background: colour });
    all.append(name);
  });
  return all;
}

/** The picture with masks [{ url }] on it, white where something is; urls are data: addresses. */
export function masked(medium, masks) {
  const all = make("figure", { className: "boxed masked" }, make("img", { src: medium.url, alt: `${medium.name} with the masks of the answer` }));
  const svg = canvas(1000, 1000);
  masks.forEach(({ url }, index) => {
    const id = `mask-${maskCount++}`;
    const cut = drawn("mask", { id });
    cut.append(drawn("image", { href: url, width: 1000, height: 1000, preserveAspectRatio: "none" }));
    const rect = drawn("rect", { width: 1000, height: 1000, mask: `url(#${id})` });
    Object.assign(rect.style, { fill: COLOURS[index % COLOURS.length], fillOpacity: 0.6 });
    svg.append(cut, rect);
  });
  all.append(svg);
  return all;
}

let maskCount = 0; // names of masks, which SVG wants to be different in the whole page

function canvas(width, height) {
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

function drawn(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** A picture from the camera as a medium, in `dialog`; null when none was taken. */
export async function fromCamera(dialog) {
  const finder = dialog.querySelector("video");
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  finder.srcObject = stream;
  dialog.showModal();
  try {
    const wanted = await new Promise((resolve) => {
      dialog.onclose = () => resolve(false);
      dialog.querySelector("#shoot-cancel").onclick = () => resolve(false);
      dialog.querySelector("#shoot-now").onclick = () => resolve(true);
    });
    if (!wanted) return null;
    const still = make("canvas", { width: finder.videoWidth, height: finder.videoHeight });
    still.getContext("2d").drawImage(finder, 0, 0);
    return { kind: "image", name: "camera.png", url: still.toDataURL("image/png") };
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    finder.srcObject = null;
    dialog.close();
  }
}
