// The API's description, read from openapi.json, with each call to try.

import { BASE } from "./client.js";
import { h } from "./dom.js";
import { markdown } from "./markdown.js";
import { fields, schemaSection } from "./schema.js";
import { signInForm } from "./signin.js";
import { tryForm } from "./try.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const session = { api: null };

async function start() {
  const main = document.querySelector("main");
  const answer = await fetch(new URL("openapi.json", BASE), { credentials: "omit" }).catch(() => null);
  if (!answer?.ok) {
    main.append(h("p", { class: "problem" }, "openapi.json cannot be read."));
    return;
  }
  const description = await answer.json();
  main.append(...page(description));
  unfold();
}

// A link to a call or a shape shows it, and not only its line.
function unfold() {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted instanceof HTMLDetailsElement) wanted.open = true;
  wanted?.scrollIntoView();
}

function page(description) {
  const calls = callsOf(description.paths);
  const tags = [...new Set(calls.map((call) => call.tag))];
  return [
    h("h1", {}, `${description.info.title} ${description.info.version}`),
    ...markdown(description.info.description ?? ""),
    signIn(),
    ...tags.flatMap((tag) => [h("h2", {}, `Calls: ${tag}`), ...calls.filter((call) => call.tag === tag).map((call) => section(description, call))]),
    ...webhooks(description),
    schemaSection(description),
  ];
}

function signIn() {
  const state = h("p", { role: "status" });
  const form = signInForm((api) => {
    session.api = api;
    state.textContent = "Signed in, in this tab only.";
  });
  return h("details", {}, h("summary", {}, "Sign in, to try the calls here"), form, state);
}

function callsOf(paths) {
  return Object.entries(paths).flatMap(([path, operations]) =>
    METHODS.filter((method) => method in operations).map((method) => {
      const operation = operations[method];
      return { path, method: method.toUpperCase(), operation, tag: operation.tags?.[0] ?? "other" };
    }),
  );
}

function section(description, { path, method, operation }) {
  const title = h("span", {}, h("code", {}, `${method} ${path}`), ` ${operation.summary ?? ""}`);
  const samples = (operation["x-codeSamples"] ?? []).map((sample) => h("pre", { tabindex: 0, "aria-label": `${method} ${path} with curl` }, sample.source));
  return h(
    "details",
    { id: operation.operationId, class: "call" },
    h("summary", {}, title),
    ...markdown(operation.description ?? ""),
    h("p", {}, operation.security?.length ? "Signed." : "Open: no signature."),
    parameters(description, operation),
    requestBody(description, operation.requestBody),
    responses(description, operation.responses),
    ...(samples.length ? [h("h3", {}, "With curl"), ...samples] : []),
    h("h3", {}, "Try it"),
    tryForm(session, { path, method, operation }),
  );
}

function parameters(description, operation) {
  const given = operation.parameters ?? [];
  if (given.length === 0) return null;
  const rows = given.map((one) => ({ name: `${one.name} (${one.in})`, schema: { description: one.description, ...one.schema }, required: one.required }));
  return h("div", {}, h("h3", {}, "Parameters"), fields(description, rows));
}

function requestBody(description, body) {
  const json = body?.content?.["application/json"];
  if (!json) return null;
  return h("div", {}, h("h3", {}, "Body"), reference(json.schema), examples(json));
}

function responses(description, given) {
  const rows = Object.entries(given).map(([status, answer]) => {
    const content = Object.entries(answer.content ?? {});
    const about = content.map(([type, one]) => h("div", {}, h("code", {}, type), " ", reference(one.schema), examples(one)));
    return h("tr", {}, h("th", { scope: "row" }, status), h("td", {}, ...markdown(answer.description ?? ""), about));
  });
  return h("div", {}, h("h3", {}, "Answers"), h("table", {}, h("tbody", {}, rows)));
}

function reference(schema) {
  const name = (schema?.$ref ?? schema?.allOf?.[0]?.$ref ?? "").split("/").pop();
  return name ? h("a", { href: `#schema-${name}` }, name) : null;
}

function examples(content) {
  const given = Object.values(content.examples ?? {});
  if ("example" in content) given.push({ summary: "Example", value: content.example });
  return h("div", {}, given.map((one) => h("details", {}, h("summary", {}, one.summary ?? "Example"), h("pre", { tabindex: 0, "aria-label": one.summary ?? "Example" }, text(one.value)))));
}

function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function webhooks(description) {
  const given = Object.entries(description.webhooks ?? {});
  const sections = given.map(([name, { post }]) =>
    h("details", { class: "call" }, h("summary", {}, h("code", {}, name), ` ${post.summary}`), ...markdown(post.description ?? ""), parameters(description, post), requestBody(description, post.requestBody), responses(description, post.responses)),
  );
  return given.length ? [h("h2", {}, "Webhooks"), ...sections] : [];
}

addEventListener("hashchange", unfold);
start();
