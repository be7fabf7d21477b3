// The queue at a glance: what waits, runs and has ended, why jobs wait and why jobs failed.

import { duration, h, moment } from "./dom.js";

const SAMPLE = 100;

/** Return the panel, which asks anew when its `refresh` is called. */
export function glance(api) {
  const numbers = h("dl", { class: "numbers" });
  const reasons = h("div", { class: "reasons" });
  const element = h("section", { "aria-label": "The queue at a glance", class: "glance" }, numbers, reasons);
  const refresh = async () => {
    const [status, capacity, waiting, failed] = await Promise.all([
      api.get("queue/status"),
      api.get("queue/capacity"),
      api.get(`jobs?status=queued&limit=${SAMPLE}`),
      api.get(`jobs?status=failed&limit=${SAMPLE}`),
    ]);
    numbers.replaceChildren(...numbersOf(status, capacity));
    reasons.replaceChildren(
      capacity.paused ? h("p", { class: "problem" }, "This installation is paused: nothing new is started.") : "",
      tally("Why jobs wait", waiting, (job) => job.queue?.reason),
      tally("Why jobs failed", failed, (job) => job.failure?.code),
    );
  };
  return { element, refresh };
}

function numbersOf(status, capacity) {
  const drain = status.estimated_drain_seconds;
  return [
    number("Waiting", outOf(status.queue_depth, capacity.max_queued_jobs), "?status=queued&status=starting"),
    number("Running", outOf(status.active_workers, capacity.max_active_jobs), "?status=running"),
    number("Completed", status.completed_jobs, "?status=completed"),
    number("Failed", status.failed_jobs, "?status=failed"),
    number("Canceled", status.canceled_jobs, "?status=canceled"),
    number("Oldest waits", status.queue_depth ? duration(status.oldest_queued_seconds) : "–"),
    number("All done in", drain === null ? "not known" : duration(drain)),
    number("Observed", moment(status.observed_at)),
  ];
}

function outOf(value, limit) {
  return limit === null ? value : `${value.toLocaleString()} of ${limit.toLocaleString()}`;
}

function number(name, value, link) {
  const content = typeof value === "number" ? value.toLocaleString() : value;
  return h("div", {}, h("dt", {}, name), h("dd", {}, link ? h("a", { href: `console${link}` }, content) : content));
}

function tally(title, page, reasonOf) {
  const counts = new Map();
  for (const job of page.jobs) {
    const reason = reasonOf(job) || "not said";
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  if (counts.size === 0) return "";
  const sorted = [...counts].sort(([, one], [, other]) => other - one);
  const scope = page.nextCursor ? ` (of the latest ${SAMPLE})` : "";
  const entries = sorted.map(([reason, count]) => h("li", {}, h("span", { class: "reason" }, reason), ` ${count}`));
  return h("div", {}, h("h2", {}, title + scope), h("ul", {}, entries));
}
