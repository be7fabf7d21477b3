// The way in, the same for the console and the API's description: a Kubernetes or a signing token.

import { Api, bringToken, signWith, waysIn } from "./client.js";
import { h } from "./dom.js";

const WAYS = {
  kubernetes: {
    label: "Kubernetes token",
    hint: "From kubectl create token. What you may do is what the cluster allows you on SplitJobs.",
    credentials: async (token) => bringToken(token),
  },
  signature: {
    label: "Signing token",
    hint: "DEMUCSSVC_TOKEN. It stays in this tab's memory and is never sent: requests are signed here.",
    credentials: signWith,
  },
};

/** Return a form that calls `onApi` with a way to the API once it lets the caller in. */
export function signInForm(onApi) {
  const fields = h("div");
  const problem = h("p", { class: "problem", role: "alert" });
  const submit = h("button", { class: "primary" }, "Sign in");
  const form = h("form", { class: "sign-in" }, fields, submit, problem);
  offerWays(fields).catch(() => (problem.textContent = "The API cannot be reached."));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    submit.disabled = true;
    try {
      onApi(await letIn(form));
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      submit.disabled = false;
    }
  });
  return form;
}

async function offerWays(fields) {
  const open = await waysIn();
  const names = Object.keys(WAYS).filter((name) => open[name]);
  fields.append(...names.map((name) => choice(name, name === names[0], names.length === 1)));
  fields.append(h("label", { class: "field" }, "Token", h("input", { name: "token", type: "password", required: true, autocomplete: "off", spellcheck: "false" })));
}

function choice(name, checked, only) {
  const { label, hint } = WAYS[name];
  const box = h("input", { type: only ? "hidden" : "radio", name: "way", value: name, checked });
  return h("label", { class: "way" }, box, h("strong", {}, ` ${label}`), h("small", {}, hint));
}

async function letIn(form) {
  const data = new FormData(form);
  const api = new Api(await WAYS[data.get("way")].credentials(data.get("token")));
  await api.get("models");
  form.reset();
  return api;
}
