// A remote handler of jetq, or of asyncjobs in Go, in Node.js: it counts the words of tasks of the type text:count.
//
//     npm install && node handler.mjs
//
// NATS_URL says where the server is, JETQ_NAMESPACE whose tasks it takes (JETQ; CHORIA_AJ for programs of asyncjobs).
// Start as many as you like: they share one queue group, so each task goes to one of them.

import { connect, headers } from "@nats-io/transport-node";

const TYPE = "text:count";
const namespace = process.env.JETQ_NAMESPACE ?? "JETQ";

class Terminate extends Error {} // no further try would help

async function count(task) {
  const payload = JSON.parse(Buffer.from(task.payload ?? "", "base64").toString() || "null");
  if (typeof payload?.text !== "string") throw new Terminate("the payload has no text");
  if (payload.text === "again" && task.tries === 1) throw new Error("not at the first try");
  return { words: payload.text.split(/\s+/).filter(Boolean).length, by: "node" };
}

async function answer(request) {
  try {
    const deadline = Date.parse(request.headers?.get("AJ-Handler-Deadline"));
    if (deadline <= Date.now()) throw new Error("the deadline has passed"); // nobody waits for it any more
    request.respond(JSON.stringify(await count(JSON.parse(request.string()))));
  } catch (error) {
    const reply = headers(); // an answer with one of these headers is no success
    reply.set(error instanceof Terminate ? "AJ-Terminate" : "AJ-Error", error.message.replace(/\s+/g, " "));
    request.respond("", { headers: reply });
  }
}

const url = new URL(process.env.NATS_URL ?? "nats://127.0.0.1:4222"); // nats://[USER:PASSWORD@ or TOKEN@]HOST:PORT
const login = url.password ? { user: url.username, pass: url.password } : url.username ? { token: url.username } : {};
const connection = await connect({
  servers: url.host,
  ...login,
  name: "text:count in Node.js",
  maxReconnectAttempts: -1,
});
const requests = connection.subscribe(`${namespace}.H.T.${TYPE}`, { queue: "text" });
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, () => requests.drain()); // take no more, and answer what has come
}
await connection.flush();
console.log(`ready: ${TYPE}`);

const running = new Set();
for await (const request of requests) {
  const work = answer(request).finally(() => running.delete(work));
  running.add(work);
}
await Promise.all(running);
await connection.drain();
