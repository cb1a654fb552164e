// The 2.x client looks for the newest era first and has to find its way to a server of an older one through the bridge.
// Usage: node negotiate.mjs client '{"bridge": [COMMAND…], "env": {…}}'
import assert from "node:assert/strict";
import { open, run } from "./peer.mjs";

const [kind, given] = process.argv.slice(2);
const { bridge, env } = JSON.parse(given);

await run({
  "a client that probes for 2026-07-28 falls back and works": async () => {
    const remote = await open(kind, { command: bridge, env, mode: "auto" });
    const { content } = await remote.call("echo", { message: "hello" });
    assert.equal(content[0].text, "Echo: hello");
    await remote.close();
  },
});
