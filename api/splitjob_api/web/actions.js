// Cancel, retry, redeliver: what each will do, said before it is done, for one job or many.

import { h, plural } from "./dom.js";
import { FINISHED } from "./filter.js";

const AT_ONCE = 4;
const MAX_TRIES = 4;

/**
 * Each action: whom it concerns, how it is asked for, what will happen by state, and, where an
 * answer can say that it did not happen, why.
 */
export const ACTIONS = {
  cancel: {
    label: "Cancel",
    title: "Cancel jobs",
    applies: (job) => !FINISHED.has(job.state),
    request: (api, job) => api.send("DELETE", `jobs/${encodeURIComponent(job.jobId)}`),
    leftAsItWas: ({ state }) => (state === "completed" || state === "failed" ? `it has ${state} already, and stays as it is` : null),
    preview: (job) => {
      if (FINISHED.has(job.state)) return "already finished: left as it is";
      return job.state === "running" ? "running: stopped, and its GPU freed" : "waiting: will never start";
    },
  },
  retry: {
    label: "Retry",
    title: "Retry jobs",
    applies: (job) => job.state === "failed" || job.state === "canceled",
    request: (api, job) => api.send("POST", `jobs/${encodeURIComponent(job.jobId)}/retry`),
    preview: (job) => {
      if (job.state === "completed") return "completed: there is nothing to retry";
      return FINISHED.has(job.state) ? `${job.state}: a new job of the same request` : "not finished: left as it is";
    },
  },
  redeliver: {
    label: "Redeliver",
    title: "Send final webhooks again",
    applies: (job) => FINISHED.has(job.state),
    request: (api, job) => api.send("POST", `jobs/${encodeURIComponent(job.jobId)}/redeliver`),
    preview: (job) => (FINISHED.has(job.state) ? `${job.state}: its webhook is sent again, with the same id` : "not finished: it has no final webhook yet"),
  },
};

/** Return a button for each action that some of these jobs can take. */
export function actionButtons(api, jobs, onDone) {
  return Object.entries(ACTIONS).map(([name, action]) =>
    h("button", { type: "button", "data-action": name, disabled: !jobs.some(action.applies), onclick: () => confirm(api, action, jobs, onDone) }, action.label),
  );
}

function confirm(api, action, jobs, onDone) {
  const concerned = jobs.filter(action.applies);
  const report = h("div", { role: "status" });
  const go = h("button", { type: "button", class: "primary" }, `${action.label} ${plural(concerned.length, "job")}`);
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Back");
  const dialog = h(
    "dialog",
    { "aria-labelledby": "preview-title" },
    h("h2", { id: "preview-title" }, action.title),
    h("p", {}, "This is what will happen:"),
    preview(action, jobs),
    report,
    h("div", { class: "buttons" }, go, close),
  );
  go.addEventListener("click", () => carryOut(api, action, concerned, { go, close, report }));
  dialog.addEventListener("close", () => {
    dialog.remove();
    onDone();
  });
  document.body.append(dialog);
  dialog.showModal();
}

function preview(action, jobs) {
  const counts = new Map();
  for (const job of jobs) {
    const what = action.preview(job);
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return h("ul", { class: "preview" }, [...counts].map(([what, count]) => h("li", {}, h("strong", {}, String(count)), ` ${what}`)));
}

async function carryOut(api, action, jobs, { go, close, report }) {
  go.disabled = true;
  const failures = [];
  const waiting = [...jobs];
  let done = 0;
  const work = async () => {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      const refusal = await carryOutFor(api, action, job).catch((error) => error.message);
      if (refusal) failures.push([job, refusal]);
      done += 1;
      report.textContent = `${done} of ${jobs.length}`;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  report.replaceChildren(outcome(jobs.length, failures));
  close.textContent = "Close";
  go.remove();
  close.focus();
}

/** Carry an action out for a job; return why nothing came of it, null: it was done. */
async function carryOutFor(api, action, job) {
  const answer = await patiently(() => action.request(api, job));
  return action.leftAsItWas?.(answer) ?? null;
}

// Of a large selection some may come too quickly, and are told when to come again.
async function patiently(request) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await request();
    } catch (error) {
      if (tries === MAX_TRIES || !(error.retryAfterSeconds > 0)) throw error;
      await new Promise((resolve) => setTimeout(resolve, error.retryAfterSeconds * 1000));
    }
  }
}

function outcome(count, failures) {
  const done = h("p", {}, `Done for ${plural(count - failures.length, "job")}.`);
  if (failures.length === 0) return done;
  const refused = failures.map(([job, why]) => h("li", {}, `${job.jobId}: ${why}`));
  return h("div", {}, done, h("p", { class: "problem" }, `Not for ${plural(failures.length, "job")}:`), h("ul", {}, refused));
}
