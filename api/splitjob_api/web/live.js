// News of jobs: by an event stream, and where there is none by asking every few seconds.

import { ProblemError } from "./client.js";

const POLL_MILLISECONDS = 5000;
const RECONNECT_MILLISECONDS = 2000;
const NO_STREAM = new Set([404, 405, 406, 501]);
const JOB_EVENTS = new Set(["job", "deleted"]); // others, such as `resume`, are about the stream
const SIGNED_OUT = new Set([401, 403]);

/**
 * Follow something until the signal ends it, or `onEvent` returns true.
 *
 * stream   path of its event stream
 * poll     asks for all of it anew; also whenever a stream begins, which tells of changes alone
 * onEvent  takes (name, data) of one event
 * onState  takes "live", "polling", "unreachable", or "over" where there is nothing to follow
 * onDenied takes the refusal of a caller who may not look, or no longer
 */
export async function follow(api, { stream, poll, onEvent, onState, onDenied, signal }) {
  const position = { lastEventId: "" };
  let streams = true;
  while (!signal.aborted) {
    try {
      if (streams && (await readStream(api, stream, position, { poll, onEvent, onState, signal }))) return;
      if (!streams) await ask(poll, onState);
    } catch (error) {
      if (signal.aborted) return;
      if (SIGNED_OUT.has(error.status)) return onDenied(error);
      if (!(error instanceof ProblemError)) console.error(error);
      if (error.code === "job_not_found") {
        onState("over");
        return onEvent("deleted", {});
      }
      if (NO_STREAM.has(error.status)) streams = false;
      await stopgap(error, poll, onState);
    }
    await pause(streams ? RECONNECT_MILLISECONDS : POLL_MILLISECONDS, signal);
  }
}

async function readStream(api, path, position, { poll, onEvent, onState, signal }) {
  const onOpen = () => {
    onState("live");
    poll().catch(() => null); // what is wrong with it, the stream will meet as well
  };
  const options = { lastEventId: position.lastEventId, signal, onOpen };
  const events = api.stream(path, options);
  for (;;) {
    const { value: event, done } = await events.next();
    if (done) return event || signal.aborted;
    if (event.id) position.lastEventId = event.id;
    if (event.event === "reload") poll().catch(() => null); // what was deleted meanwhile is not told
    if (JOB_EVENTS.has(event.event) && onEvent(event.event, JSON.parse(event.data))) return true;
  }
}

async function ask(poll, onState) {
  await poll();
  onState("polling");
}

// Too many streams, or a restart: one question bridges the time until the next try.
async function stopgap(error, poll, onState) {
  if (error.status === 0) return onState("unreachable");
  try {
    await ask(poll, onState);
  } catch (failed) {
    const refused = failed.status >= 400 && failed.status < 500; // somebody is there, and says no
    onState(refused ? "polling" : "unreachable");
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
  });
}
