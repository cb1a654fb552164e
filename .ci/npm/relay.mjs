// An official TypeScript client before a bridge, behind which stands the scripted server of the end-to-end tests.
// Usage: node relay.mjs sdk|client '{"bridge": [COMMAND…], "env": {…}}'
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:net";
import { once, open, progress, run } from "./peer.mjs";

const [kind, given] = process.argv.slice(2);
const { bridge, env } = JSON.parse(given);
const remote = await open(kind, { command: bridge, env });

let heard = () => {};
remote.on("notifications/message", (params) => heard(params.data));

// collect returns what becomes the list of the next count log messages.
function collect(count) {
  const { promise, done } = once();
  const list = [];
  heard = (data) => list.push(data) === count && done(list);
  return { promise, list };
}

const count = 1000;
const upTo = (n) => Array.from({ length: n }, (_, i) => i);

await run({
  "a result of 10 MB arrives whole": async () => {
    const { content } = await remote.call("big", { bytes: 10_000_000 });
    assert.equal(content[0].text.length, 10_000_000);
    assert.equal(createHash("sha256").update(content[0].text).digest("hex"), content[1].text);
  },
  "1,000 notifications of a call arrive in order and before its result": async () => {
    const { list } = collect(count);
    await remote.call("flood", { count });
    assert.deepEqual(list, upTo(count));
  },
  "1,000 notifications outside of calls arrive in order": async () => {
    const { promise } = collect(count);
    await remote.call("flood_later", { count });
    assert.deepEqual(await promise, upTo(count));
  },
  "1,000 steps of progress arrive in order": async () => {
    assert.deepEqual(await progress(remote, "progress", { count }), upTo(count).map((i) => i + 1));
  },
  "the server sees a cancellation and later calls work": async () => {
    // The tool connects here and says what it lives through.
    const stop = new AbortController();
    const { promise, done } = once();
    const listener = createServer((socket) => {
      socket.setEncoding("utf8");
      socket.on("data", (line) => (line.startsWith("holding") ? stop.abort("enough") : done(line.trim())));
    });
    await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const { port } = listener.address();
    await assert.rejects(remote.call("hold", { address: `127.0.0.1:${port}` }, { signal: stop.signal }));
    assert.equal(await promise, "cancelled");
    listener.close();
    assert.equal((await remote.call("big", { bytes: 3 })).content[0].text.length, 3);
  },
  "a server that dies is answered for and calls work again": async () => {
    await assert.rejects(remote.call("crash", {}), /stopped before it answered/);
    // The bridge opens a new session unseen.
    assert.equal((await remote.call("big", { bytes: 3 })).content[0].text.length, 3);
  },
  "nothing but JSON-RPC came": () => remote.close(),
});
