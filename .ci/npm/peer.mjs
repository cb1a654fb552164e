// The two official TypeScript clients behind one face, so that one script tests with both.
import assert from "node:assert/strict";

// open starts the command with a client before it and returns { client, call, on, messages, close }:
//   call(name, arguments, options)  tools/call
//   on(method, handler)             notifications of the server, in the order of their arrival
//   messages                        all that came in, in that order
// A line of the command that is no JSON-RPC message makes close fail. With a url instead of a command the client connects
// directly, over Streamable HTTP or, with sse, over HTTP+SSE.
export async function open(kind, { command, env, url, sse, capabilities = {}, handlers = {}, mode }) {
  const peer = await { sdk, client }[kind](capabilities, mode);
  const strays = [];
  peer.client.onerror = (error) => strays.push(error);
  for (const [method, handler] of Object.entries(handlers)) peer.answer(method, handler);
  const stdio = ([file, ...args]) => new peer.Stdio({ command: file, args, env: { ...peer.environment(), ...env }, stderr: "inherit" });
  const transport = command ? stdio(command) : new (sse ? peer.SSE : peer.HTTP)(new URL(url));
  await peer.client.connect(transport);
  const messages = [];
  const receive = transport.onmessage;
  transport.onmessage = (message, extra) => (messages.push(message), receive(message, extra));
  return {
    ...peer,
    messages,
    async close() {
      await peer.client.close();
      peer.tidy?.();
      // Both clients forget a call's progress handler as soon as they have read its result, before they have handled
      // what they read just before it, and then complain.
      const errors = strays.filter((e) => !/progress notification for an unknown token/.test(e.message));
      assert.deepEqual(errors, [], "the client's transport reported errors");
    },
  };
}

const info = { name: "mcpctl-e2e", version: "1.0.0" };

// @modelcontextprotocol/sdk, the 1.x line. It alone speaks the tasks of MCP 2025-11-25.
async function sdk(capabilities) {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StdioClientTransport, getDefaultEnvironment } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { SSEClientTransport } = await import("@modelcontextprotocol/sdk/client/sse.js");
  const { InMemoryTaskStore } = await import("@modelcontextprotocol/sdk/experimental/tasks");
  const types = await import("@modelcontextprotocol/sdk/types.js");
  const schemas = {
    "sampling/createMessage": types.CreateMessageRequestSchema,
    "elicitation/create": types.ElicitRequestSchema,
    "roots/list": types.ListRootsRequestSchema,
    "notifications/message": types.LoggingMessageNotificationSchema,
    "notifications/resources/updated": types.ResourceUpdatedNotificationSchema,
    "notifications/tools/list_changed": types.ToolListChangedNotificationSchema,
  };
  const asTasks = { tasks: { requests: { sampling: { createMessage: {} }, elicitation: { create: {} } } } };
  const taskStore = new InMemoryTaskStore();
  const client = new Client(info, { capabilities: { ...capabilities, ...(capabilities.sampling ? asTasks : {}) }, taskStore });
  return {
    client,
    tasks: true,
    Stdio: StdioClientTransport,
    HTTP: StreamableHTTPClientTransport,
    SSE: SSEClientTransport,
    environment: getDefaultEnvironment,
    call: (name, args, options) => client.callTool({ name, arguments: args }, undefined, options),
    on: (method, handler) => client.setNotificationHandler(schemas[method], (n) => handler(n.params)),
    answer: (method, handler) =>
      client.setRequestHandler(schemas[method], async (request, extra) => {
        const result = await handler(request.params);
        if (!request.params?.task) return result;
        const task = await extra.taskStore.createTask({ ttl: request.params.task.ttl, pollInterval: 100 });
        await extra.taskStore.storeTaskResult(task.taskId, "completed", result);
        return { task };
      }),
    // The result of a tool that runs as a task.
    async callAsTask(name, args) {
      for await (const message of client.experimental.tasks.callToolStream({ name, arguments: args })) {
        if (message.type === "result") return message.result;
        if (message.type === "error") throw message.error;
      }
      throw new Error(`${name} ended without a result`);
    },
    tidy: () => taskStore.cleanup(),
  };
}

// @modelcontextprotocol/client, the 2.x line.
async function client(capabilities, mode = "legacy") {
  const { Client, StreamableHTTPClientTransport, SSEClientTransport } = await import("@modelcontextprotocol/client");
  const { StdioClientTransport, getDefaultEnvironment } = await import("@modelcontextprotocol/client/stdio");
  const client = new Client(info, { capabilities, versionNegotiation: { mode } });
  return {
    client,
    tasks: false,
    Stdio: StdioClientTransport,
    HTTP: StreamableHTTPClientTransport,
    SSE: SSEClientTransport,
    environment: getDefaultEnvironment,
    call: (name, args, options) => client.callTool({ name, arguments: args }, options),
    on: (method, handler) => client.setNotificationHandler(method, (n) => handler(n.params)),
    answer: (method, handler) => client.setRequestHandler(method, (request) => handler(request.params)),
  };
}

// progress calls a tool and returns the steps that came in before its result.
export async function progress(peer, name, args) {
  const from = peer.messages.length;
  const result = await peer.call(name, args, { onprogress: () => {} });
  const came = peer.messages.slice(from);
  const end = came.findIndex((m) => m.result && JSON.stringify(m.result.content) === JSON.stringify(result.content));
  return came.slice(0, end).filter((m) => m.method === "notifications/progress").map((m) => m.params.progress);
}

// run executes the checks one after another and prints one JSON line for each.
export async function run(checks) {
  let failed = false;
  for (const [check, body] of Object.entries(checks)) {
    let error;
    try {
      await within(30_000, body());
    } catch (e) {
      error = e.stack ?? String(e);
      failed = true;
    }
    console.log(JSON.stringify({ check, error }));
  }
  process.exit(failed ? 1 : 0);
}

// within bounds a wait: a message that never comes is a failure, not a hang.
export function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came within ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// once returns a promise and what resolves it.
export function once() {
  let done;
  const promise = new Promise((resolve) => (done = resolve));
  return { promise, done };
}
