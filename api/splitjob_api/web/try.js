// One call, filled in and sent from the page.

import { BASE } from "./client.js";
import { h } from "./dom.js";

const MOST_PIECES = 500; // of a stream

/** Return a form for a call; `session.api` is the way to the API once somebody has signed in. */
export function tryForm(session, { path, method, operation }) {
  const inputs = (operation.parameters ?? []).filter((one) => one.in !== "header");
  const body = bodyField(operation);
  const output = h("pre", { tabindex: 0, role: "status", "aria-label": "Answer" });
  const button = h("button", { class: "primary" }, "Send");
  const controls = inputs.map((one) => h("label", { class: "field" }, one.name, h("input", { name: one.name, required: one.required, value: exampleOf(one) })));
  const form = h("form", {}, h("div", { class: "filter" }, controls), body, button, output);
  let open = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (open) return open.abort(); // a stream goes on until it is stopped
    open = new AbortController();
    button.textContent = "Stop";
    output.textContent = "";
    await send(session, { path, method, operation }, new FormData(form), open.signal)
      .then((answer) => show(answer, output))
      .catch((error) => (error.name === "AbortError" ? null : output.append(error.message)));
    open = null;
    button.textContent = "Send";
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

async function send(session, { path, method, operation }, data, signal) {
  const address = addressOf(path, operation, data);
  const body = data.get("body") || undefined;
  const headers = { Accept: "application/json", ...(body ? { "Content-Type": "application/json" } : {}) };
  if (operation.security?.length && !session.api) throw new Error("Sign in first, at the top of this page.");
  return session.api ? session.api.raw(method, address, { headers, body, signal }) : fetch(new URL(address, BASE), { method, signal });
}

async function show(answer, output) {
  const head = [`${answer.status} ${answer.statusText}`, ...answer.headers].map((line) => [line].flat().join(": "));
  output.textContent = `${head.join("\n")}\n\n`;
  if (answer.headers.get("Content-Type")?.startsWith("text/event-stream")) await showStream(answer.body, output);
  else output.append(pretty(await answer.text()));
}

// As it comes; of a long one what came last.
async function showStream(body, output) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    output.append(value);
    if (output.childNodes.length > MOST_PIECES) output.childNodes[1].remove(); // the head stays
  }
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
