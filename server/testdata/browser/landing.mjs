// Uses the landing page as a person does, in an installed Chromium. Settings
// come from the environment; any finding ends the script with an error. Where
// SCREENSHOTS names a folder, the page is kept there as a picture.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";

const env = process.env;
const require = createRequire(env.PACKAGES + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: env.BROWSER,
  args: env.NO_SANDBOX ? ["--no-sandbox"] : [],
});
try {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 1100]) await visit(colorScheme, width);
  }
  await withoutClipboard();
} finally {
  await browser.close();
}

async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.complaints = [];
  page.on("console", (m) => m.type() === "error" && page.complaints.push(m.text()));
  page.on("pageerror", (e) => page.complaints.push(String(e)));
  page.on("request", (r) => r.url().startsWith("data:") || r.url() === env.PAGE || page.complaints.push(`asks for ${r.url()}`));
  await page.goto(env.PAGE);
  return page;
}

async function visit(colorScheme, width) {
  const page = await open({ colorScheme, viewport: { width, height: 800 }, permissions: ["clipboard-read", "clipboard-write"] });
  if (env.SCREENSHOTS) await page.screenshot({ path: `${env.SCREENSHOTS}/landing-${colorScheme}-${width}.png`, fullPage: true });

  // Every button copies what stands beside it, by mouse and by keyboard.
  const boxes = await page.locator(".copy").all();
  assert.ok(boxes.length >= 9, `${boxes.length} things to copy`);
  for (const [i, box] of boxes.entries()) {
    const button = box.getByRole("button");
    if (i % 2) await button.click();
    else {
      await button.focus();
      await page.keyboard.press("Enter");
    }
    await page.getByRole("status").getByText("Copied").waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await box.locator("code").innerText());
    await page.evaluate(() => { document.getElementById("said").textContent = ""; });
  }
  const names = await page.getByRole("button").evaluateAll((all) => all.map((b) => b.getAttribute("aria-label")));
  assert.ok(names.every((n) => n.startsWith("Copy the ")), names.join());

  // What is offered says the same as the address.
  for (const client of ["Claude Desktop", "Cursor", "Windsurf"]) {
    const text = await page.getByRole("region", { name: client }).locator("code").last().innerText();
    const [server] = Object.values(JSON.parse(text).mcpServers);
    assert.deepEqual(server, { command: "mcpctl", args: ["bridge", env.PUBLIC_URL] });
  }
  const links = await page.locator("a.install").evaluateAll((all) => all.map((a) => a.href));
  const cursor = new URL(links.find((l) => l.startsWith("cursor://")));
  assert.deepEqual(JSON.parse(atob(cursor.searchParams.get("config"))), { args: ["bridge", env.PUBLIC_URL], command: "mcpctl" });
  const vscode = JSON.parse(decodeURIComponent(links.find((l) => l.startsWith("vscode:mcp/install?")).split("?")[1]));
  assert.deepEqual(vscode.args, ["bridge", env.PUBLIC_URL]);
  assert.equal(vscode.name, cursor.searchParams.get("name"));

  assert.equal(await page.evaluate("document.documentElement.scrollWidth > innerWidth"), false, "the page is wider than the window");
  const violations = await accessibility(page);
  assert.deepEqual(violations, [], `${colorScheme}, ${width}`);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

// Without the clipboard's interface, as without https, the selection serves.
async function withoutClipboard() {
  const page = await open({ permissions: ["clipboard-read"] });
  await page.evaluate(() => { Object.defineProperty(navigator, "clipboard", { value: undefined }); });
  await page.getByRole("button", { name: "Copy the address" }).click();
  await page.getByRole("status").getByText("Copied").waitFor();
  assert.equal(await page.evaluate(() => String(getSelection())), env.PUBLIC_URL);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

// accessibility runs axe in a world of its own, which the page's policy doesn't bind.
async function accessibility(page) {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const run = async (expression) => {
    const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
      expression, contextId: executionContextId, awaitPromise: true, returnByValue: true,
    });
    assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
    return result.value;
  };
  await run(axe + "; undefined");
  const found = await run(`axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html).join(" ")))`);
  await session.detach();
  return found;
}
