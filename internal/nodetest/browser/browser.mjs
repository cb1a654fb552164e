// What scripts that use pages in a browser have in common: see InBrowser.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";

const require = createRequire(process.env.PACKAGES + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// withBrowser calls use with an installed Chromium and closes it afterwards.
export async function withBrowser(use) {
  const browser = await chromium.launch({
    executablePath: process.env.BROWSER,
    args: process.env.NO_SANDBOX ? ["--no-sandbox"] : [],
  });
  try {
    await use(browser);
  } finally {
    await browser.close();
  }
}

// picture keeps what the page looks like where SCREENSHOTS names a folder.
export async function picture(page, name, options = {}) {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png`, ...options });
}

// assertUsable fails for what shuts people out of the page, as axe finds it, and
// for a page wider than its window. axe runs in a world of its own, which the
// page's policy doesn't bind.
export async function assertUsable(page, name) {
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
  const { violations } = await run(`axe.run(document, { resultTypes: ["violations"] })`);
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`), [], `accessibility of ${name}`);
  assert.equal(await run("document.documentElement.scrollWidth > innerWidth"), false, `${name} is wider than the window`);
  await session.detach();
}
