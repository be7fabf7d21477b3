// A receiver of webhooks, without packages: DEMUCSSVC_TOKEN=... PORT=8080 KEEP_DIR=kept node receiver.mjs
//
// It speaks plain HTTP to this machine alone: put what speaks TLS for you in front of it.

import { createHmac, timingSafeEqual } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const MAX_BYTES = 1024 * 1024;
const WINDOW_SECONDS = 300;
const WHSEC = "whsec_";
const KEEP_DIR = process.env.KEEP_DIR ?? "";
const SIGNED_WITH = ["x-timestamp", "x-signature", "webhook-id", "webhook-timestamp", "webhook-signature"];

// One token, or several separated by commas; of a token whsec_<base64>, the key is the base64's.
const keys = (process.env.DEMUCSSVC_TOKEN ?? "")
  .split(",")
  .map((token) => token.trim())
  .filter((token) => token !== "")
  .map((token) =>
    token.startsWith(WHSEC)
      ? Buffer.from(token.slice(WHSEC.length), "base64")
      : Buffer.from(token, "utf8"),
  );
if (keys.length === 0) {
  console.error("set DEMUCSSVC_TOKEN to the token of the service");
  process.exit(2);
}

const handled = new Set(); // in yours: a table with a unique index

/** Whether a body is the service's, by the headers of Standard Webhooks. */
function isGenuine(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const stamp = headers["webhook-timestamp"] ?? "";
  if (id === "" || !/^[0-9]{10}$/.test(stamp)) return false;
  if (Math.abs(Date.now() / 1000 - Number(stamp)) > WINDOW_SECONDS) return false;
  const given = (headers["webhook-signature"] ?? "").split(" ").map((one) => Buffer.from(one));
  const wanted = keys.map((key) => {
    const digest = createHmac("sha256", key).update(`${id}.${stamp}.`).update(body).digest("base64");
    return Buffer.from(`v1,${digest}`);
  });
  return wanted.some((ours) =>
    given.some((theirs) => ours.length === theirs.length && timingSafeEqual(ours, theirs)),
  );
}

/** Do your work here. Whatever it throws becomes a 500, and the event comes again. */
function handle(event) {
  console.log(event.event, event.jobId);
}

/** Write what came into KEEP_DIR, as `track-tree-audio verify-webhook` reads it. */
function keep(name, headers, body) {
  if (KEEP_DIR === "") return;
  mkdirSync(KEEP_DIR, { recursive: true });
  const lines = SIGNED_WITH.filter((one) => one in headers).map((one) => `${one}: ${headers[one]}\n`);
  writeFileSync(join(KEEP_DIR, `${name}.headers`), lines.join(""), "latin1");
  writeFileSync(join(KEEP_DIR, `${name}.json`), body);
}

async function read(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BYTES) chunks.push(chunk); // the rest is read and dropped: then we can answer
  }
  return size <= MAX_BYTES ? Buffer.concat(chunks) : null;
}

async function answer(request) {
  if (request.method !== "POST") return 405;
  const body = await read(request);
  if (body === null) return 413;
  if (!isGenuine(request.headers, body)) {
    keep("refused", request.headers, body);
    return 401;
  }
  const id = request.headers["webhook-id"];
  if (!handled.has(id)) {
    const event = JSON.parse(body);
    keep(`${event.jobId}.${event.event}`, request.headers, body);
    handle(event);
    handled.add(id);
  }
  return 204;
}

createServer(async (request, response) => {
  let status = 500;
  try {
    status = await answer(request);
  } catch (error) {
    console.error(error.message);
  }
  response.writeHead(status, { Connection: "close" }).end();
}).listen(Number(process.env.PORT ?? 8080), "127.0.0.1");
