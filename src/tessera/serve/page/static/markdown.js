// A model's words as elements: code, lists, tables, headings, bold, italics. What is said is only ever text:
// nothing of it becomes markup, an address or a script.

import { make } from "./dom.js";

const BOXES = /(?:<ref>([^<]*)<\/ref>\s*)?(?:<box>\s*)?(\[\[\s*-?[\d.]+(?:\s*,\s*-?[\d.]+){3}\s*\](?:\s*,\s*\[\s*-?[\d.]+(?:\s*,\s*-?[\d.]+){3}\s*\])*\])(?:\s*<\/box>)?/g;

/** Boxes that an answer names, [{ label, box: [x1, y1, x2, y2] }], in thousandths of the picture's sides. */
export function boxesIn(text) {
  return [...text.matchAll(BOXES)].flatMap(([, label, boxes]) =>
    JSON.parse(boxes).map((box) => ({ label: label?.trim() ?? "", box })))
    .filter(({ box: [left, top, right, bottom] }) =>
      0 <= left && left < right && right <= 1000 && 0 <= top && top < bottom && bottom <= 1000);
}

const INLINE = /(`+)(.+?)\1|\*\*(\S(?:.*?\S)?)\*\*|\*(\S(?:.*?\S)?)\*/g;

function inline(text) {
  const pieces = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    pieces.push(text.slice(end, found.index));
    const [whole, , code, bold, slanted] = found;
    pieces.push(code !== undefined ? make("code", { textContent: code })
      : bold !== undefined ? make("strong", {}, ...inline(bold)) : make("em", {}, ...inline(slanted)));
    end = found.index + whole.length;
  }
  return [...pieces, text.slice(end)].filter((piece) => piece !== "");
}

const FENCE = /^\s*(```+|~~~+)/;
const BULLET = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const RULE = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
const isTable = (lines, at) => lines[at].includes("|") && RULE.test(lines[at + 1] ?? "");
const starts = (lines, at) =>
  !lines[at].trim() || FENCE.test(lines[at]) || BULLET.test(lines[at]) || /^#{1,6}\s/.test(lines[at]) || isTable(lines, at);

function code(lines, at) {
  const fence = FENCE.exec(lines[at])[1];
  let end = at + 1;
  while (end < lines.length && lines[end].trim() !== fence) end++;
  const text = lines.slice(at + 1, end).join("\n");
  return [make("pre", {}, make("code", { textContent: text })), end + 1];
}

function list(lines, at) {
  const number = BULLET.exec(lines[at])[2];
  const all = make(number === undefined ? "ul" : "ol", number === undefined ? {} : { start: Number(number) });
  for (; at < lines.length; at++) {
    const item = BULLET.exec(lines[at]);
    if (!item || (item[2] === undefined) !== (number === undefined)) break;
    const element = make("li", {}, ...inline(item[3]));
    element.style.marginLeft = `${Math.min(item[1].length, 12) * 0.5}em`;
    all.append(element);
  }
  return [all, at];
}

function table(lines, at) {
  const row = (line, tag) => make("tr", {}, ...cells(line).map((cell) => make(tag, {}, ...inline(cell))));
  const all = make("table", {}, row(lines[at], "th"));
  for (at += 2; at < lines.length && lines[at].includes("|"); at++) all.append(row(lines[at], "td"));
  return [all, at];
}

function paragraph(lines, at) {
  const all = make("p");
  do {
    if (all.childNodes.length) all.append(make("br"));
    all.append(...inline(lines[at++]));
  } while (at < lines.length && !starts(lines, at));
  return [all, at];
}

/** Elements for a text. */
export function elements(text) {
  const lines = text.replace(BOXES, (whole, label, boxes) => (label ? `**${label.trim()}** ` : "") + boxes).split("\n");
  const found = [];
  for (let at = 0; at < lines.length;) {
    const heading = /^(#{1,6})\s+(.*)$/.exec(lines[at]);
    let element = null;
    if (!lines[at].trim()) at++;
    else if (FENCE.test(lines[at])) [element, at] = code(lines, at);
    else if (heading) [element, at] = [make(`h${Math.min(6, heading[1].length + 2)}`, {}, ...inline(heading[2])), at + 1];
    else if (BULLET.test(lines[at])) [element, at] = list(lines, at);
    else if (isTable(lines, at)) [element, at] = table(lines, at);
    else [element, at] = paragraph(lines, at);
    if (element) found.push(element);
  }
  return found;
}
