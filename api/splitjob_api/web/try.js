// One call, filled in and sent from the page.

import { BASE } from "./client.js";
import { h } from "./dom.js";

/** Return a form for a call; `session.api` is the way to the API once somebody has signed in. */
export function tryForm(session, { path, method, operation }) {
  const inputs = (operation.parameters ?? []).filter((one) => one.in !== "header");
  const body = bodyField(operation);
  const output = h("pre", { tabindex: 0, role: "status", "aria-label": "Answer" });
  const controls = inputs.map((one) => h("label", { class: "field" }, one.name, h("input", { name: one.name, required: one.required, value: exampleOf(one) })));
  const form = h("form", {}, h("div", { class: "filter" }, controls), body, h("button", { class: "primary" }, "Send"), output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.textContent = "…";
    output.textContent = await send(session, { path, method, operation }, new FormData(form)).catch((error) => error.message);
  });
  return form;
}

function bodyField(operation) {
  const json = operation.requestBody?.content?.["application/json"];
  if (!json) return null;
  const [first] = Object.values(json.examples ?? {});
  const value = first?.value ?? json.example;
  const field = h("textarea", { name: "body", rows: 10, spellcheck: "false" }, value ? JSON.stringify(value, null, 2) : "");
  return h("label", { class: "field" }, "Body", field);
}

function exampleOf(parameter) {
  return parameter.in === "path" ? (parameter.example ?? "") : "";
}

async function send(session, { path, method, operation }, data) {
  const address = addressOf(path, operation, data);
  const body = data.get("body") || undefined;
  const headers = { Accept: "application/json", ...(body ? { "Content-Type": "application/json" } : {}) };
  if (operation.security?.length && !session.api) throw new Error("Sign in first, at the top of this page.");
  const answer = session.api ? await session.api.raw(method, address, { headers, body }) : await fetch(new URL(address, BASE), { method });
  const text = await answer.text();
  return [`${answer.status} ${answer.statusText}`, ...answer.headers].map((line) => [line].flat().join(": ")).join("\n") + `\n\n${pretty(text)}`;
}

function addressOf(path, operation, data) {
  const query = new URLSearchParams();
  let filled = path.slice(1);
  for (const one of operation.parameters ?? []) {
    const value = String(data.get(one.name) ?? "").trim();
    if (one.in === "path") filled = filled.replace(`{${one.name}}`, encodeURIComponent(value));
    else if (one.in === "query" && value) for (const part of value.split(",")) query.append(one.name, part);
  }
  return query.size ? `${filled}?${query}` : filled;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
