// One job: where it stands, what came of it, and what can be done to it.

import { actionButtons } from "./actions.js";
import { badge, duration, facts, h, moment, words } from "./dom.js";
import { FINISHED } from "./filter.js";
import { whyItWaits } from "./list.js";
import { follow } from "./live.js";
import { stemPlayers } from "./player.js";
import { toYaml } from "./yaml.js";

/** Return the view of a job; `context` is {api, search, signal, onState, onDenied}. */
export function jobView(context) {
  const jobId = new URLSearchParams(context.search).get("job");
  const page = new JobPage(context, jobId);
  page.start();
  return { title: `Job ${jobId}`, element: page.element };
}

class JobPage {
  constructor(context, jobId) {
    this.context = context;
    this.path = `jobs/${encodeURIComponent(jobId)}`;
    this.summary = h("div", { "aria-live": "polite" });
    this.actions = h("div", { class: "buttons" });
    this.stems = h("div");
    this.outcome = h("div");
    this.history = h("div");
    this.source = h("pre", { tabindex: 0, "aria-label": "The SplitJob as YAML" });
    this.manifest = new Manifest(context.api, this.path);
    this.element = h(
      "article",
      { "data-job": jobId },
      this.summary,
      this.actions,
      this.stems,
      this.outcome,
      this.history,
      h("details", {}, h("summary", {}, "YAML"), this.source),
      this.manifest.element,
      h("details", {}, h("summary", {}, "With kubectl"), h("pre", { tabindex: 0, "aria-label": "Commands" }, commands(jobId))),
    );
  }

  start() {
    const { api, signal, onState, onDenied } = this.context;
    const poll = () => this.load();
    const onEvent = (name, job) => this.take(name, job);
    this.followed?.abort();
    this.followed = new AbortController();
    signal.addEventListener("abort", () => this.followed.abort(), { once: true });
    const { signal: ended } = this.followed;
    follow(api, { stream: `${this.path}/events`, poll, onEvent, onState, onDenied, signal: ended });
    this.load().catch((error) => (signal.aborted ? null : this.refuse(error)));
  }

  refuse(error) {
    if (error.code === "job_not_found") this.take("deleted", {}); // the stream says the same, sooner or later
    else this.say(error.message);
  }

  async load() {
    this.newest = null;
    const job = await this.context.api.get(this.path);
    this.draw(this.newest ?? job); // an event may have come while the answer was on its way
  }

  take(name, job) {
    if (name === "deleted") this.say(this.drawn ? "This job has been deleted." : "There is no such job.");
    if (name === "job") this.draw((this.newest = job));
    return name === "deleted";
  }

  say(message) {
    this.summary.replaceChildren(h("p", { class: "problem" }, message));
    this.actions.replaceChildren();
  }

  draw(job) {
    this.drawn = true;
    this.summary.replaceChildren(...summary(job));
    this.drawActions(job);
    this.drawStems(job);
    this.manifest.element.hidden = job.state !== "completed" || Boolean(job.erased);
    this.outcome.replaceChildren(...[timings(job), webhook(job)].filter(Boolean));
    this.drawHistory(job).catch(() => null); // a courtesy: the job itself is shown all the same
  }

  async drawHistory(job) {
    const key = JSON.stringify([job.state, job.attempts, job.queue?.reason, job.webhook]);
    if (key === this.historyFor) return;
    this.historyFor = key;
    const { resource, events } = await this.context.api.get(`${this.path}/resource`);
    this.source.textContent = toYaml(resource);
    this.history.replaceChildren(...history(resource.status ?? {}, events));
  }

  // While its state is the same, buttons and players stay as they are: somebody may be using them.
  drawActions(job) {
    if (this.actionsFor === job.state) return;
    this.actionsFor = job.state;
    const onDone = () => this.start(); // the stream of a job that had ended has ended too
    this.actions.replaceChildren(...actionButtons(this.context.api, [job], onDone));
  }

  drawStems(job) {
    const key = JSON.stringify([job.result?.stems, job.erased]);
    if (key === this.stemsFor) return;
    this.stemsFor = key;
    this.stems.replaceChildren(...stems(this.context, job));
  }
}

/** What proves that the set of stems is whole; fetched when it is opened. */
class Manifest {
  constructor(api, path) {
    const content = h("pre", { tabindex: 0, "aria-label": "The manifest as JSON" });
    const load = async () => {
      content.textContent = "…";
      const manifest = await api.get(`${path}/manifest`).catch((error) => error.message);
      content.textContent = typeof manifest === "string" ? manifest : JSON.stringify(manifest, null, 2);
    };
    this.element = h("details", { class: "manifest", hidden: true, ontoggle: () => (this.element.open ? load() : null) }, h("summary", {}, "Manifest"), content);
  }
}

function summary(job) {
  const since = job.startedAt && !job.finishedAt ? moment(job.startedAt) : null;
  return [
    h("p", { class: "state" }, badge(job.state), " ", sentence(job)),
    progress(job),
    facts([
      ["Version", job.versionId],
      ["Model", job.aiModel],
      ["Correlation", job.correlationId],
      ["Priority", String(job.priority)],
      ["Created", moment(job.createdAt)],
      ["Next attempt", moment(job.queue?.retryAt)],
      ["Running since", since],
      ["Finished", moment(job.finishedAt)],
      ["Attempts", String(job.attempts)],
      ["Held its resources for", job.gpuSeconds ? duration(job.gpuSeconds) : null],
      ["Damaged in the song", lost(job.result?.audio?.damagedSeconds)],
      ["Missing from the song", lost(job.result?.audio?.missingSeconds)],
      ...Object.entries(job.metadata ?? {}),
    ]),
  ].filter(Boolean);
}

const lost = (seconds) => (seconds ? `${Number(seconds.toFixed(3))} s` : null);

// What the badge beside it says is not said again.
function sentence(job) {
  if (job.failure) return failure(job);
  if (FINISHED.has(job.state) || !job.queue) return "";
  const said = job.queue.reason === "Queued" && job.queue.position;
  return [whyItWaits(job), said ? null : job.queue.message].filter(Boolean).join(" · ");
}

function failure({ state, failure: { code, message } }) {
  if (message === `The job was ${state}.`) return "";
  return code === state ? message : `${code}: ${message}`;
}

function progress(job) {
  if (!job.progress) return null;
  const { stage, percent } = job.progress;
  return h("p", { class: "progress" }, h("progress", { max: 100, value: percent, "aria-label": "Progress" }), ` ${stage}, ${percent} %`);
}

function stems({ api, signal }, job) {
  if (job.erased) return [h("p", {}, "Its stems were erased ", moment(job.erased.at), ".")];
  if (!job.result?.stems?.length) return [];
  const ours = job.result.stems.some((stem) => stem.url);
  if (!ours) return [h("p", {}, "Its stems went to the caller's own upload URLs.")];
  return [stemPlayers(api, job, signal)];
}

// The cluster gives them by name; people read them in the order of the work. The model is loaded
// beside fetch and decode: what is left of that afterwards is a stage of its own.
const LEAST_MILLISECONDS = 50; // what would be shown as 0.0 s

function stagesInTurn({ fetch = 0, decode = 0, load = 0, separate = 0, encode = 0, upload = 0 }) {
  const inTurn = { fetch, decode, "rest of load": load - fetch - decode, separate, encode, upload };
  return Object.entries(inTurn).filter(([, milliseconds]) => milliseconds >= LEAST_MILLISECONDS);
}

function timings(job) {
  const loading = job.result?.timings?.load;
  const stages = stagesInTurn(job.result?.timings ?? {});
  const whole = stages.reduce((sum, [, milliseconds]) => sum + milliseconds, 0);
  if (!whole) return null;
  const parts = stages.map(([stage, milliseconds], place) => {
    const part = h("span", { class: `part part-${place % 6}`, title: `${stage}: ${seconds(milliseconds)}` });
    part.style.flexGrow = String(milliseconds);
    return part;
  });
  const legend = stages.map(([stage, milliseconds], place) => h("li", {}, h("span", { class: `dot part-${place % 6}` }), `${stage} ${seconds(milliseconds)}`));
  if (loading) legend.push(h("li", {}, `loading the model ${seconds(loading)}, begun with fetch`));
  return h("section", { "aria-labelledby": "timings-title" }, h("h2", { id: "timings-title" }, "Time taken"), h("div", { class: "timings", "aria-hidden": "true" }, parts), h("ul", { class: "legend" }, legend));
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function webhook(job) {
  if (!job.webhook) return null;
  const { event, state, attempts, nextAttemptAt, deliveredAt, lastError } = job.webhook;
  const pairs = [
    ["Event", event],
    ["State", words(state)],
    ["The operator's attempts", String(attempts)],
    ["Next attempt", moment(nextAttemptAt)],
    ["Delivered", moment(deliveredAt)],
    ["Last error", lastError],
  ];
  return h("section", { "aria-labelledby": "webhook-title" }, h("h2", { id: "webhook-title" }, "Webhook"), facts(pairs));
}

function commands(jobId) {
  return [`kubectl get splitjob ${jobId} -o yaml`, `kubectl describe splitjob ${jobId}`].join("\n");
}

function history({ conditions = [], attempts = [] }, events) {
  const states = conditions.map((one) => [one.type, one.status, one.reason, one.message, moment(one.lastTransitionTime)]);
  const tries = attempts.map((one) => [String(one.number), one.podName, one.nodeName, attemptEnd(one), moment(one.createdAt)]);
  const told = events.map((one) => [moment(one.at), one.reason, one.message, one.count > 1 ? `${one.count} times` : ""]);
  return [
    section("Conditions", ["Condition", "Status", "Reason", "Message", "Since"], states),
    section("Attempts", ["Attempt", "Pod", "Node", "What became of it", "Begun"], tries),
    section("Events", ["Last seen", "Reason", "Message", "How often"], told),
  ].filter(Boolean);
}

function attemptEnd({ startedAt, endedAt, finishedAt, reason, message }) {
  const end = endedAt ?? finishedAt;
  const time = startedAt && end ? `ran ${duration((Date.parse(end) - Date.parse(startedAt)) / 1000)}` : "";
  return [reason || (finishedAt ? "" : "under way"), message, time].filter(Boolean).join(" · ");
}

function section(title, columns, rows) {
  if (rows.length === 0) return null;
  const head = h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)));
  const body = rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell ?? ""))));
  return h("section", {}, h("h2", {}, title), h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": title }, h("table", {}, h("thead", {}, head), h("tbody", {}, body))));
}
