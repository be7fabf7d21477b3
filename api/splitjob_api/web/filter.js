// What a list shows: read from the page's address, and written into it.

export const STATES = ["queued", "starting", "running", "completed", "failed", "canceled"];
export const FINISHED = new Set(["completed", "failed", "canceled"]);
const NAMES = ["status", "versionId", "model", "since", "until"];

/** Return the filter in a page's address, without what is none of it. */
export function filterOf(search) {
  const given = new URLSearchParams(search);
  const filter = new URLSearchParams();
  for (const name of NAMES) {
    for (const value of given.getAll(name)) if (value) filter.append(name, value);
  }
  return filter;
}

/** Return the address of a list. Times are entered as the machine's own, and sent as UTC. */
export function addressOf(form) {
  const address = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    const trimmed = String(value).trim();
    if (!trimmed) continue;
    const isTime = name === "since" || name === "until";
    address.append(name, isTime ? new Date(trimmed).toISOString() : trimmed);
  }
  return address;
}

/** Return a time of the address as a field for local times takes it. */
export function localTime(timestamp) {
  const date = new Date(timestamp ?? "");
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Return whether a job belongs into a list. */
export function matches(filter, job) {
  const states = filter.getAll("status");
  const created = Date.parse(job.createdAt);
  return (
    (states.length === 0 || states.includes(job.state)) &&
    (!filter.has("versionId") || job.versionId === filter.get("versionId")) &&
    (!filter.has("model") || job.aiModel === filter.get("model")) &&
    !(created < Date.parse(filter.get("since"))) &&
    !(created >= Date.parse(filter.get("until")))
  );
}

/** Return what to listen to for a list: also to jobs that a change of their state brings in. */
export function streamOf(filter) {
  const wider = new URLSearchParams(filter);
  for (const name of ["status", "since", "until"]) wider.delete(name);
  return wider.size ? `events?${wider}` : "events";
}
