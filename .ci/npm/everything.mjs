// An official TypeScript client uses everything that server-everything offers, once through a bridge and, to have
// something to compare with, once directly.
// Usage: node everything.mjs sdk|client '{"bridge": [COMMAND…], "direct": [COMMAND…], "env": {…}}'
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { once, open, progress, run, within } from "./peer.mjs";

const [kind, given] = process.argv.slice(2);
const { bridge, direct, env } = JSON.parse(given);

const roots = [{ uri: "file:///srv/one", name: "One" }];
const sampled = { role: "assistant", model: "test-model", stopReason: "endTurn", content: { type: "text", text: "sampled Ω" } };
const filled = { name: "Ada", check: true, integer: 7 };
const asked = { sampling: 0, form: 0, url: 0, roots: 0 }; // how often the bridged server asked

function connect(command, count) {
  return open(kind, {
    command,
    env,
    capabilities: { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } },
    handlers: {
      "sampling/createMessage": async () => (count && asked.sampling++, sampled),
      "elicitation/create": async (params) => {
        if (params.mode === "url") return count && asked.url++, { action: "accept" };
        return count && asked.form++, { action: "accept", content: filled };
      },
      "roots/list": async () => (count && asked.roots++, { roots: [...roots] }),
    },
  });
}

const [remote, local] = await Promise.all([connect(bridge, true), connect(direct, false)]);
const logs = [];
let logged = () => {};
remote.on("notifications/message", (params) => (logs.push(params), logged(params)));

// both calls a tool through the bridge and directly and wants the same result.
async function both(name, args = {}) {
  const [got, want] = await Promise.all([remote.call(name, args), local.call(name, args)]);
  assert.deepEqual(got, want);
  return got;
}

const text = (result) => result.content.map((c) => c.text ?? "").join("\n");
const untimed = (value) => JSON.parse(JSON.stringify(value).replace(/created at [0-9:]+ ?[AP]?M?/g, "created at …"));

// How each tool is called. A tool that is listed and not here fails the test.
const calls = {
  echo: async () => assert.equal(text(await both("echo", { message: "näive ✓ \u2028 \u0000" })), "Echo: näive ✓ \u2028 \u0000"),
  "get-annotated-message": () => both("get-annotated-message", { messageType: "error", includeImage: true }),
  "get-env": async () => {
    const seen = JSON.parse(text(await remote.call("get-env", {})));
    assert.ok(seen.PATH, "the server's process has no PATH");
    assert.equal(seen.MCPCTL_CONFIG_DIR, undefined, "the gateway's own environment reached the server");
  },
  "get-resource-links": () => both("get-resource-links", { count: 7 }),
  "get-resource-reference": async () => {
    const args = { resourceType: "Blob", resourceId: 3 };
    const [got, want] = [await remote.call("get-resource-reference", args), await local.call("get-resource-reference", args)];
    assert.equal(got.content.length, want.content.length);
    assert.equal(got.content[1].resource.uri, want.content[1].resource.uri);
  },
  "get-roots-list": async () => {
    assert.match(text(await both("get-roots-list")), /file:\/\/\/srv\/one/);
    assert.ok(asked.roots > 0, "the server never asked for the roots");
  },
  "get-structured-content": () => both("get-structured-content", { location: "Chicago" }),
  "get-sum": () => both("get-sum", { a: 0.1, b: 9007199254740991 }),
  "get-tiny-image": () => both("get-tiny-image"),
  "gzip-file-as-resource": async () => {
    const result = await both("gzip-file-as-resource", { name: "a.gz", data: "data:text/plain,hello", outputType: "resource" });
    assert.equal(gunzipSync(Buffer.from(result.content[0].resource.blob, "base64")).toString(), "hello");
  },
  "simulate-research-query": async () => {
    if (!remote.tasks) return both("simulate-research-query", { topic: "Go" });
    const result = await remote.callAsTask("simulate-research-query", { topic: "python", ambiguous: true });
    assert.match(text(result), /Research Report: python/);
  },
  "toggle-simulated-logging": async () => {
    await both("toggle-simulated-logging");
    await both("toggle-simulated-logging");
  },
  "toggle-subscriber-updates": async () => {
    await both("toggle-subscriber-updates");
    await both("toggle-subscriber-updates");
  },
  "trigger-elicitation-request": async () => {
    const before = asked.form;
    assert.match(text(await both("trigger-elicitation-request")), /Name: Ada/);
    assert.ok(asked.form > before);
  },
  "trigger-elicitation-request-async": async () =>
    assert.match(text(await remote.call("trigger-elicitation-request-async", {})), /\[COMPLETED\][^]*Name: Ada/),
  "trigger-long-running-operation": () => both("trigger-long-running-operation", { duration: 0.2, steps: 2 }),
  "trigger-sampling-request": async () => {
    const before = asked.sampling;
    assert.match(text(await both("trigger-sampling-request", { prompt: "Say it", maxTokens: 5 })), /sampled Ω/);
    assert.ok(asked.sampling > before);
  },
  "trigger-sampling-request-async": async () =>
    assert.match(text(await remote.call("trigger-sampling-request-async", { prompt: "Say it" })), /\[COMPLETED\][^]*sampled Ω/),
  "trigger-url-elicitation": async () => {
    const args = { url: "https://example.com/go", elicitationId: "e1" };
    assert.match(text(await both("trigger-url-elicitation", args)), /completed/);
    assert.ok(asked.url > 0);
    // The other way to ask: an error with data (-32042).
    const refused = await remote.call("trigger-url-elicitation", { ...args, errorPath: true }).catch((e) => e);
    assert.equal(refused.code, -32042);
    assert.match(JSON.stringify(refused.data ?? refused.elicitations), /modelcontextprotocol\.io/);
  },
};

await run({
  "the server introduces itself": async () => {
    assert.deepEqual(remote.client.getServerVersion(), local.client.getServerVersion());
    assert.deepEqual(remote.client.getServerCapabilities(), local.client.getServerCapabilities());
    assert.equal(remote.client.getInstructions(), local.client.getInstructions());
  },
  "tools are listed": async () => {
    const { tools } = await remote.client.listTools();
    assert.deepEqual(tools, (await local.client.listTools()).tools);
    assert.ok(tools.length > 0);
  },
  "every tool is called": async () => {
    const names = (await remote.client.listTools()).tools.map((t) => t.name);
    const slow = names.filter((n) => /-async$|^simulate-research/.test(n));
    const quick = names.filter((n) => !slow.includes(n));
    const tell = async (name) => {
      assert.ok(calls[name], `no call is known for the tool ${name}`);
      await calls[name]().catch((e) => assert.fail(`tool ${name}: ${e.stack}`));
    };
    await Promise.all([...slow.map(tell), quick.reduce((before, name) => before.then(() => tell(name)), Promise.resolve())]);
  },
  "a wrong argument is refused as the server words it": async () => {
    const [got, want] = await Promise.all(
      [remote, local].map((p) => p.call("echo", { message: 5 }).then((r) => r, (e) => ({ code: e.code, message: e.message }))),
    );
    assert.deepEqual(got, want);
  },
  "progress arrives in order": async () => {
    const steps = await progress(remote, "trigger-long-running-operation", { duration: 0.5, steps: 5 });
    assert.deepEqual(steps, [1, 2, 3, 4, 5]);
  },
  "log messages arrive": async () => {
    await remote.client.setLoggingLevel("debug");
    const { promise, done } = once();
    logged = (params) => /-level message|level-message/.test(params.data) && done();
    await remote.call("toggle-simulated-logging", {});
    await promise;
    await remote.call("toggle-simulated-logging", {});
  },
  "a subscribed resource reports its update": async () => {
    const uri = "demo://resource/dynamic/text/1";
    const { promise, done } = once();
    remote.on("notifications/resources/updated", (params) => done(params.uri));
    await remote.client.subscribeResource({ uri });
    await remote.call("toggle-subscriber-updates", {});
    assert.equal(await promise, uri);
    await remote.client.unsubscribeResource({ uri });
    await remote.call("toggle-subscriber-updates", {});
  },
  "the server asks again when the roots change": async () => {
    const { promise, done } = once();
    logged = (params) => /Roots updated: 2/.test(params.data) && done();
    roots.push({ uri: "file:///srv/two", name: "Two" });
    await remote.client.sendRootsListChanged();
    await promise;
    assert.match(text(await remote.call("get-roots-list", {})), /srv\/two/);
  },
  "resources are listed and read": async () => {
    const list = await remote.client.listResources();
    assert.deepEqual(list, await local.client.listResources());
    assert.deepEqual(await remote.client.listResourceTemplates(), await local.client.listResourceTemplates());
    for (const { uri } of [...list.resources, { uri: "demo://resource/dynamic/text/9" }]) {
      const [got, want] = [await remote.client.readResource({ uri }), await local.client.readResource({ uri })];
      assert.deepEqual(untimed(got), untimed(want));
    }
  },
  "prompts are listed and filled": async () => {
    const { prompts } = await remote.client.listPrompts();
    assert.deepEqual(prompts, (await local.client.listPrompts()).prompts);
    const values = { city: "Zürich", department: "Sales", name: "Eve", resourceType: "Text", resourceId: "2" };
    for (const prompt of prompts) {
      const args = Object.fromEntries((prompt.arguments ?? []).filter((a) => values[a.name]).map((a) => [a.name, values[a.name]]));
      const ask = (p) => p.client.getPrompt({ name: prompt.name, arguments: args });
      assert.deepEqual(untimed(await ask(remote)), untimed(await ask(local)));
    }
  },
  "arguments are completed": async () => {
    const ref = { type: "ref/prompt", name: "completable-prompt" };
    const department = { ref, argument: { name: "department", value: "E" } };
    assert.deepEqual((await remote.client.complete(department)).completion.values, ["Engineering"]);
    const name = { ref, argument: { name: "name", value: "" }, context: { arguments: { department: "Sales" } } };
    assert.deepEqual((await remote.client.complete(name)).completion, (await local.client.complete(name)).completion);
  },
  "calls run side by side": async () => {
    let slowDone = false;
    const slow = remote.call("trigger-long-running-operation", { duration: 3, steps: 1 }).then(() => (slowDone = true));
    await Promise.all(Array.from({ length: 20 }, (_, i) => remote.call("get-sum", { a: i, b: 1 })));
    assert.equal(slowDone, false, "quick calls waited for a slow one");
    await slow;
  },
  "a call is cancelled and the next one works": async () => {
    const stop = new AbortController();
    const { promise, done } = once();
    const call = remote.call("trigger-long-running-operation", { duration: 20, steps: 100 }, { signal: stop.signal, onprogress: done });
    const rejected = assert.rejects(call);
    await promise;
    stop.abort("changed my mind");
    await rejected;
    assert.equal(text(await remote.call("echo", { message: "still here" })), "Echo: still here");
  },
  "pings are answered": () => remote.client.ping(),
  "nothing but JSON-RPC came": async () => {
    assert.equal(asked.sampling > 0 && asked.form > 0 && asked.url > 0 && asked.roots > 0, true);
    await within(10_000, remote.close());
    await local.close();
  },
});
