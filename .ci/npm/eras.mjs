// An official TypeScript client before a server of some era, through the bridge and, where the two can talk, directly:
// the same frames have to come in.
// Usage: node eras.mjs sdk|client '{"bridge": [COMMAND…], "env": {…}, "url": URL, "sse": BOOL, "mode": MODE, "alone": BOOL, "calls": [[TOOL, {…}]…]}'
import assert from "node:assert/strict";
import { open, run } from "./peer.mjs";

const [kind, given] = process.argv.slice(2);
const { bridge, env, url, sse, mode, alone, calls } = JSON.parse(given);

const remote = await open(kind, { command: bridge, env, mode });
const local = alone ? undefined : await open(kind, { url, sse, mode });

// both does the same on both sides and returns what came through the bridge.
async function both(what) {
  const told = (p) => what(p).then((r) => r, (e) => ({ code: e.code, message: e.message }));
  const got = await told(remote);
  if (local) assert.deepEqual(got, await told(local));
  return got;
}

// Ids depend on how often a client has probed before.
const frames = (p) => p.messages.map(({ id, ...rest }) => rest);

await run({
  "the server introduces itself": async () => {
    assert.ok(remote.client.getServerVersion()?.name);
    if (!local) return;
    assert.deepEqual(remote.client.getServerVersion(), local.client.getServerVersion());
    assert.deepEqual(remote.client.getServerCapabilities(), local.client.getServerCapabilities());
  },
  "tools are listed and called": async () => {
    const { tools } = await both((p) => p.client.listTools());
    for (const [name, args] of calls) {
      assert.ok(tools.some((t) => t.name === name), `no tool ${name}`);
      const result = await both((p) => p.call(name, args));
      assert.ok(result.content, JSON.stringify(result));
    }
    await both((p) => p.call("no-such-tool", {}));
  },
  "the frames are the same": async () => {
    assert.ok(remote.messages.length >= calls.length);
    if (local) assert.deepEqual(frames(remote), frames(local));
  },
  "nothing but JSON-RPC came": async () => {
    await remote.close();
    await local?.close();
  },
});
