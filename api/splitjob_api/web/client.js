// The way to the API: it signs, or brings a Kubernetes token, and reads answers and event streams.

const encoder = new TextEncoder();

/** Where the API is: the folder of this page, also behind a gateway that strips a path prefix. */
export const BASE = new URL(".", document.baseURI);

/** What the API, or the network on the way to it, says went wrong. */
export class ProblemError extends Error {
  constructor(status, code, detail, retryAfterSeconds = null) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Sign with a token of the installation. It becomes a key that no script can read again. */
export async function signWith(token) {
  if (!globalThis.crypto?.subtle) {
    throw new ProblemError(0, "insecure", "A browser signs only on https or on localhost.");
  }
  const first = token.split(",")[0].trim();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(first), algorithm, false, ["sign"]);
  return {
    kind: "signature",
    async headers(payload, clock) {
      const stamp = String(Math.floor(clock / 1000)).padStart(10, "0");
      const digest = await crypto.subtle.sign("HMAC", key, encoder.encode(`${payload}|${stamp}`));
      return { "X-Timestamp": stamp, "X-Signature": `sha256=${hex(digest)}` };
    },
  };
}

/** Bring a Kubernetes token in the place of a signature. */
export function bringToken(token) {
  const headers = { Authorization: `Bearer ${token.trim()}` };
  return { kind: "kubernetes", headers: async () => headers };
}

/** Ask the API which ways in it has: the challenges of an answer to nobody. */
export async function waysIn() {
  const answer = await fetch(new URL("models", BASE), { cache: "no-store", credentials: "omit" });
  const challenges = answer.headers.get("WWW-Authenticate") ?? "";
  return { signature: true, kubernetes: /\bBearer\b/i.test(challenges) };
}

export class Api {
  #credentials;
  #clockOffset = 0;

  constructor(credentials) {
    this.#credentials = credentials;
  }

  get kind() {
    return this.#credentials.kind;
  }

  /** Return the JSON at a path, such as `jobs?status=failed`. */
  async get(path) {
    const answer = await this.#fetch("GET", path, { headers: { Accept: "application/json" } });
    return answer.json();
  }

  /** Send a request that changes something; return its answer. */
  async send(method, path, body) {
    const headers = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const content = body === undefined ? undefined : JSON.stringify(body);
    const answer = await this.#fetch(method, path, { headers, body: content });
    return answer.status === 204 ? null : answer.json();
  }

  /** Send what a form holds and return the answer as it is, errors included. */
  async raw(method, path, { headers = {}, body, signal } = {}) {
    return this.#request(method, path, { headers, body, signal });
  }

  /** Yield the events of a stream as {id, event, data} until it ends; return whether for good. */
  async *stream(path, { lastEventId, signal, onOpen = () => {} } = {}) {
    const headers = { Accept: "text/event-stream" };
    if (lastEventId) headers["Last-Event-ID"] = lastEventId;
    const answer = await this.#fetch("GET", path, { headers, signal });
    if (answer.status === 204) return true; // there is nothing more to tell
    onOpen();
    try {
      yield* readEvents(answer.body);
      return false;
    } catch (error) {
      throw signal?.aborted ? error : unreachable();
    }
  }

  async #fetch(method, path, options) {
    const answer = await this.#request(method, path, options);
    if (!answer.ok) throw await problemOf(answer);
    return answer;
  }

  async #request(method, path, { headers = {}, body, signal }) {
    const url = new URL(path, BASE);
    const line = `${method} /${url.href.slice(BASE.href.length)}`;
    const clock = Date.now() + this.#clockOffset;
    const proof = await this.#credentials.headers(body || line, clock);
    const options = { method, body, signal, cache: "no-store", credentials: "omit" };
    try {
      const answer = await fetch(url, { ...options, headers: { ...headers, ...proof } });
      this.#setClock(answer);
      return answer;
    } catch (error) {
      throw error.name === "AbortError" ? error : unreachable();
    }
  }

  // A signature is good for 300 s by the service's clock, whatever this machine's says.
  #setClock(answer) {
    const date = Date.parse(answer.headers.get("Date") ?? "");
    if (!Number.isNaN(date)) this.#clockOffset = date - Date.now();
  }
}

function unreachable() {
  return new ProblemError(0, "unreachable", "The API cannot be reached.");
}

async function problemOf(answer) {
  const problem = await answer.json().catch(() => ({}));
  const seconds = Number(answer.headers.get("Retry-After")) || null;
  const detail = problem.detail ?? `The API answered ${answer.status}.`;
  // Where fields are wrong, `detail` says no more than they do.
  const fields = (problem.errors ?? []).map((one) => `${one.field}: ${one.message}`);
  const code = problem.code ?? "unknown";
  return new ProblemError(answer.status, code, fields.join(" · ") || detail, seconds);
}

async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parseEvent(block);
      if (event.data) yield event;
    }
  }
}

function parseEvent(block) {
  const event = { id: "", event: "message", data: "" };
  for (const line of block.split("\n")) {
    const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (name === "data") event.data += value;
    else if (name in event) event[name] = value;
  }
  return event;
}

function hex(buffer) {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
