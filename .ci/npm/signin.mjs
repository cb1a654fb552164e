// An official TypeScript client that opens pages before a bridge at which nobody is signed in: the person signs in where
// the page says, and the call comes through.
// Usage: node signin.mjs sdk|client '{"bridge": [COMMAND…], "env": {"CA": FILE, "PERSON": UPN, …}, "mode": MODE}'
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { open, run } from "./peer.mjs";

const [kind, given] = process.argv.slice(2);
const { bridge, env, mode } = JSON.parse(given);

// enter is the person who enters the code in the page.
const enter = (page, form) =>
  new Promise((resolve, reject) => {
    const r = request(page, { method: "POST", ca: readFileSync(env.CA), headers: { "Content-Type": "application/x-www-form-urlencoded" } }, (answer) => {
      answer.resume().on("end", () => resolve(answer.statusCode));
    });
    r.on("error", reject).end(new URLSearchParams(form).toString());
  });

const asked = [];
const peer = await open(kind, {
  command: bridge,
  env,
  mode,
  capabilities: { elicitation: { url: {} } },
  handlers: {
    "elicitation/create": async (params) => {
      asked.push(params);
      const [, user_code] = /enter the code ([A-Z0-9]+)/.exec(params.message);
      assert.equal(await enter(params.url, { user_code, person: env.PERSON }), 200);
      return { action: "accept" };
    },
  },
});

await run({
  "the person signs in and the call comes through": async () => {
    const result = await peer.call("big", { bytes: 3 });
    assert.equal(result.content[0].text, "012");
    assert.equal(asked.length, 1);
    assert.equal(asked[0].mode, "url");
  },
  "the tools are the server's": async () => {
    const { tools } = await peer.client.listTools();
    assert.deepEqual(tools.map((t) => t.name), ["big"]);
  },
  "nothing but JSON-RPC came": () => peer.close(),
});
