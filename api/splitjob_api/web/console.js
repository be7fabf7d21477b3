// The console: who is signed in, which view the page's address asks for, and how current it is.

import { h, refreshMoments } from "./dom.js";
import { jobView } from "./job.js";
import { listView } from "./list.js";
import { signInForm } from "./signin.js";

const MOMENTS_MILLISECONDS = 15_000;
const LIVE = { live: "live", polling: "asks every 5 s", unreachable: "no connection, trying again", over: "" };

const main = document.querySelector("main");
const liveness = document.querySelector("#liveness");
const signOut = document.querySelector("#sign-out");
let api = null;
let view = null;

function show(search, { focus = true } = {}) {
  view?.abort();
  view = new AbortController();
  liveness.textContent = "";
  signOut.hidden = api === null;
  const { title, element } = api === null ? signInView() : viewOf(search, view.signal);
  const heading = h("h1", { tabindex: -1 }, title);
  document.title = `${title} · Track Tree Audio`;
  main.replaceChildren(heading, element);
  if (focus) heading.focus();
}

function viewOf(search, signal) {
  const context = { api, search, signal, navigate, onState: (state) => say(state, signal), onDenied: denied };
  return new URLSearchParams(search).has("job") ? jobView(context) : listView(context);
}

function signInView() {
  const onApi = (found) => {
    api = found;
    show(location.search);
  };
  return { title: "Sign in", element: signInForm(onApi) };
}

function say(state, signal) {
  if (signal.aborted) return;
  liveness.textContent = LIVE[state];
  liveness.className = state;
}

// A signature that was good once is refused when the token was replaced, a right when it was taken.
function denied(error) {
  api = null;
  show(location.search);
  main.append(h("p", { class: "problem", role: "alert" }, error.message));
}

function navigate(address) {
  history.pushState(null, "", address);
  show(location.search);
}

// Links within the console change the view and keep the token, which a new page would not have.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const withKey = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (!link || withKey || event.button !== 0 || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.pathname !== location.pathname || url.hash) return;
  event.preventDefault();
  navigate(url.href);
});

signOut.addEventListener("click", () => {
  api = null;
  show(location.search);
});
addEventListener("popstate", () => show(location.search));
setInterval(refreshMoments, MOMENTS_MILLISECONDS);
show(location.search, { focus: false });
