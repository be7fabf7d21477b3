// The list of jobs: one page of it, filters in the page's address, and what can be done to a selection.

import { actionButtons } from "./actions.js";
import { badge, duration, h, moment, plural, words } from "./dom.js";
import { addressOf, filterOf, FINISHED, localTime, matches, STATES, streamOf } from "./filter.js";
import { glance } from "./glance.js";
import { follow } from "./live.js";

const PAGE = 50;
const MAX_SELECTED = 1000;
const GLANCE_MILLISECONDS = 5000;
const LATEST = "9999-12-31T23:59"; // a browser would take years of six digits too

/** Return the view of a list; `context` is {api, search, signal, onState, onDenied, navigate}. */
export function listView(context) {
  const list = new JobList(context);
  list.start();
  return { title: "Jobs", element: list.element };
}

class JobList {
  constructor(context) {
    this.context = context;
    this.filter = filterOf(context.search);
    this.cursor = new URLSearchParams(context.search).get("cursor") ?? "";
    this.jobs = new Map();
    this.news = null;
    this.rows = new Map();
    this.selected = new Map();
    this.glance = glance(context.api);
    this.body = h("tbody");
    this.count = h("p", { role: "status" });
    this.actions = h("div", { class: "buttons" });
    this.pages = h("nav", { "aria-label": "Pages", class: "buttons" });
    this.all = h("input", { type: "checkbox", "aria-label": "Select all on this page", onchange: () => this.selectPage(this.all.checked) });
    this.element = h(
      "div",
      {},
      this.glance.element,
      filterForm(this.filter, context),
      h("div", { class: "bar" }, this.count, this.actions),
      h("table", { class: "jobs" }, this.head(), this.body),
      this.pages,
    );
  }

  head() {
    const columns = ["Song", "State", "Model", "Created", "Took"];
    const headers = columns.map((name) => h("th", { scope: "col", class: name.toLowerCase() }, name));
    return h("thead", {}, h("tr", {}, h("td", {}, this.all), headers));
  }

  start() {
    const { api, signal, onState, onDenied } = this.context;
    const poll = () => this.load();
    const onEvent = (name, job) => this.take(name, job);
    const refused = (error) => onDenied(error);
    this.load().catch((error) => (signal.aborted ? null : this.say(error, refused)));
    follow(api, { stream: streamOf(this.filter), poll, onEvent, onState, onDenied, signal });
    this.watchGlance();
  }

  // At most one question at a time, and none while nobody looks.
  async watchGlance() {
    const { signal } = this.context;
    while (!signal.aborted) {
      if (!document.hidden) await this.glance.refresh().catch(() => null);
      await new Promise((resolve) => setTimeout(resolve, GLANCE_MILLISECONDS));
    }
  }

  async load() {
    const news = new Map();
    this.news = news;
    const page = await this.context.api.get(`jobs?${this.query(PAGE, this.cursor)}`);
    this.nextCursor = page.nextCursor;
    this.jobs = new Map(page.jobs.map((job) => [job.jobId, job]));
    for (const [name, job] of news.values()) this.apply(name, job); // came while the page was on its way
    if (this.news === news) this.news = null;
    this.draw();
  }

  query(limit, cursor) {
    const query = new URLSearchParams(this.filter);
    query.set("limit", String(limit));
    if (cursor) query.set("cursor", cursor);
    return query;
  }

  // One event changes one row; a new job comes on top of the first page.
  take(name, job) {
    this.news?.set(job.jobId, [name, job]);
    if (this.apply(name, job)) this.drawSoon();
  }

  apply(name, job) {
    const known = this.jobs.has(job.jobId);
    if (name === "deleted") this.jobs.delete(job.jobId);
    else if (name !== "job") return false;
    else if (known && matches(this.filter, job)) this.jobs.set(job.jobId, job);
    else if (known) this.jobs.delete(job.jobId);
    else if (this.isNewest(job)) this.jobs = new Map([[job.jobId, job], ...this.jobs].slice(0, PAGE));
    else return false;
    return true;
  }

  isNewest(job) {
    if (this.cursor || !matches(this.filter, job)) return false;
    const [newest] = this.jobs.values();
    return !newest || Date.parse(job.createdAt) >= Date.parse(newest.createdAt);
  }

  drawSoon() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.draw();
    });
  }

  draw() {
    const rows = [...this.jobs.values()].map((job) => this.row(job));
    for (const id of this.rows.keys()) if (!this.jobs.has(id)) this.rows.delete(id);
    placeRows(this.body, rows);
    this.count.textContent = this.jobs.size ? this.countText() : "No jobs here.";
    this.drawActions();
    this.drawPages();
  }

  countText() {
    const shown = plural(this.jobs.size, "job");
    return this.selected.size ? `${shown} on this page, ${this.selected.size} selected` : `${shown} on this page`;
  }

  // A row that stays is changed in its place, so that nobody loses the focus.
  row(job) {
    const known = this.rows.get(job.jobId);
    if (known?.job === job) return known.element;
    const box = known?.box ?? this.checkbox(job.jobId);
    const element = known?.element ?? h("tr", { "data-job": job.jobId }, h("td", {}, box));
    while (element.children.length > 1) element.lastChild.remove();
    element.append(...cells(job));
    this.rows.set(job.jobId, { job, box, element });
    if (this.selected.has(job.jobId)) this.selected.set(job.jobId, job);
    return element;
  }

  checkbox(jobId) {
    const box = h("input", { type: "checkbox", "aria-label": `Select ${jobId}` });
    box.checked = this.selected.has(jobId);
    box.addEventListener("change", () => {
      this.select(this.jobs.get(jobId), box.checked);
      this.draw();
    });
    return box;
  }

  select(job, chosen) {
    if (chosen) this.selected.set(job.jobId, job);
    else this.selected.delete(job.jobId);
    const row = this.rows.get(job.jobId);
    if (row) row.box.checked = chosen;
  }

  selectPage(chosen) {
    for (const job of this.jobs.values()) this.select(job, chosen);
    this.draw();
  }

  // As far as `MAX_SELECTED`: what is done to more than a person can look through is a program's.
  async selectMatching() {
    let cursor = "";
    do {
      const page = await this.context.api.get(`jobs?${this.query(500, cursor)}`);
      for (const job of page.jobs) if (this.selected.size < MAX_SELECTED) this.select(job, true);
      cursor = page.nextCursor;
    } while (cursor && this.selected.size < MAX_SELECTED);
    this.draw();
  }

  drawActions() {
    const chosen = [...this.selected.values()];
    const matching = h("button", { type: "button", onclick: () => this.selectMatching().catch((error) => this.say(error)) }, `Select all that match (${MAX_SELECTED} at most)`);
    const none = h("button", { type: "button", onclick: () => this.clear() }, "Select none");
    const onDone = () => this.clear();
    const key = JSON.stringify(chosen.map((job) => [job.jobId, job.state]));
    if (key === this.actionsFor) return;
    this.actionsFor = key;
    const buttons = actionButtons(this.context.api, chosen, onDone);
    this.actions.replaceChildren(...(chosen.length ? [...buttons, none] : []), ...(this.jobs.size ? [matching] : []));
  }

  clear() {
    for (const job of this.selected.values()) this.select(job, false);
    this.all.checked = false;
    this.load().catch((error) => this.say(error));
  }

  // Links that stay are not drawn anew: who is about to follow one would lose it, and its focus.
  drawPages() {
    if (this.nextCursor === this.pagesFor) return;
    this.pagesFor = this.nextCursor;
    const address = new URLSearchParams(this.filter);
    const first = address.size ? `console?${address}` : "console";
    if (this.nextCursor) address.set("cursor", this.nextCursor);
    this.pages.replaceChildren(
      ...(this.cursor ? [h("a", { href: first, class: "button" }, "Newest")] : []),
      ...(this.nextCursor ? [h("a", { href: `console?${address}`, class: "button", rel: "next" }, "Older")] : []),
    );
  }

  say(error, onDenied) {
    if (error.status === 401 || error.status === 403) onDenied?.(error);
    this.count.textContent = error.message;
  }
}

function cells(job) {
  const link = h("a", { href: `console?job=${encodeURIComponent(job.jobId)}` }, job.versionId || job.jobId);
  return [
    h("td", { class: "song" }, link, h("small", {}, job.jobId)),
    h("td", { class: "state" }, badge(job.state), h("small", {}, remark(job))),
    h("td", { class: "model" }, job.aiModel),
    h("td", { class: "created" }, moment(job.createdAt)),
    h("td", { class: "took" }, took(job)),
  ];
}

/** Return what a list says beside a job's state. */
export function remark(job) {
  if (job.failure && job.state === "failed") return job.failure.code;
  if (job.progress) return `${job.progress.stage} ${job.progress.percent} %`;
  if (!job.queue || FINISHED.has(job.state)) return "";
  return whyItWaits(job);
}

/** Return why a job waits, its place in the queue, and when it should be done, as far as its state does not say so. */
export function whyItWaits({ state, queue: { position, reason, etaSeconds } }) {
  const why = words(reason);
  const parts = [why === state ? null : why];
  if (position && state === "queued") parts.push(`${position}. in the queue`);
  if (etaSeconds !== null && etaSeconds !== undefined) parts.push(`done in about ${duration(etaSeconds)}`);
  return parts.filter(Boolean).join(", ");
}

function took(job) {
  if (!job.startedAt) return "";
  const end = job.finishedAt ? Date.parse(job.finishedAt) : Date.now();
  return duration((end - Date.parse(job.startedAt)) / 1000);
}

function placeRows(body, rows) {
  rows.forEach((row, place) => {
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
  });
  while (body.children.length > rows.length) body.lastChild.remove();
}

function filterForm(filter, { api, navigate }) {
  const model = h("select", { name: "model" }, h("option", { value: "" }, "any"));
  const form = h(
    "form",
    { class: "filter", "aria-label": "Filter" },
    h("fieldset", {}, h("legend", {}, "State"), STATES.map((state) => stateBox(state, filter))),
    field("Model", model),
    field("Version", h("input", { name: "versionId", value: filter.get("versionId") ?? "" })),
    field("Created since", timeField("since", filter)),
    field("until", timeField("until", filter)),
    h("div", { class: "buttons" }, h("button", { class: "primary" }, "Filter"), h("a", { href: "console", class: "button" }, "Show all")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const address = addressOf(form);
    navigate(address.size ? `console?${address}` : "console");
  });
  fillModels(api, model, filter.get("model"));
  return h("details", { open: filter.size > 0 }, h("summary", {}, "Filter"), form);
}

function stateBox(state, filter) {
  const chosen = filter.getAll("status").includes(state);
  return h("label", {}, h("input", { type: "checkbox", name: "status", value: state, checked: chosen }), ` ${state}`);
}

function timeField(name, filter) {
  return h("input", { name, type: "datetime-local", max: LATEST, value: localTime(filter.get(name)) });
}

function field(name, control) {
  return h("label", { class: "field" }, name, control);
}

async function fillModels(api, select, chosen) {
  const { models } = await api.get("models").catch(() => ({ models: [] }));
  const names = new Set([...models.map((model) => model.name), ...(chosen ? [chosen] : [])]);
  select.append(...[...names].map((name) => h("option", { value: name, selected: name === chosen }, name)));
}
