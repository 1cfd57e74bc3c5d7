// An element with properties and children; strings among these are text, never markup.

export function make(tag, more = {}, ...children) {
  const element = Object.assign(document.createElement(tag), more);
  element.append(...children);
  return element;
}
