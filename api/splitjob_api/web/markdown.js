// The little Markdown that descriptions use: paragraphs, code, bold, links to nowhere else.

import { h } from "./dom.js";

/** Return a text's paragraphs and code blocks as elements. */
export function markdown(text) {
  return text.split(/^```\w*(?:\n|$)/m).flatMap((part, place) => (place % 2 ? [block(part)] : paragraphs(part)));
}

/** Return a line's code and bold words as nodes. */
export function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`")) return h("code", {}, part.slice(1, -1));
    return part.startsWith("**") ? h("strong", {}, part.slice(2, -2)) : part;
  });
}

function block(code) {
  return h("pre", { tabindex: 0, "aria-label": "Commands" }, code.trimEnd());
}

function paragraphs(text) {
  return text.split(/\n\s*\n/).filter((one) => one.trim()).map((one) => h("p", {}, ...inline(one)));
}
