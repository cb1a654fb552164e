// Uses the authority's pages as a person does, in an installed Chromium. Settings
// come from the environment; any finding ends the script with an error. Where
// SCREENSHOTS names a folder, each page is kept there as a picture.
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
    await visit(colorScheme);
  }
} finally {
  await browser.close();
}

async function visit(colorScheme) {
  const codes = JSON.parse(env.USER_CODES)[colorScheme];
  const context = await browser.newContext({ ignoreHTTPSErrors: env.TRUST_ANY === "1", colorScheme, viewport: { width: 400, height: 720 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on("console", (m) => m.type() === "error" && !/status of 4\d\d/.test(m.text()) && complaints.push(m.text()));
  page.on("pageerror", (e) => complaints.push(String(e)));

  const look = async (name) => {
    if (env.SCREENSHOTS) await page.screenshot({ path: `${env.SCREENSHOTS}/${name}-${colorScheme}.png` });
    const [{ violations }, overflow] = await inspect(context, page);
    assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`), [], `accessibility of ${name}`);
    assert.equal(overflow, false, `${name} is wider than the window`);
  };
  const heading = () => page.getByRole("heading", { level: 1 }).innerText();

  // The device page: a wrong code, the right one, a person chosen by keyboard.
  await page.goto(env.DEVICE_URL);
  await look("enter-code");
  await page.getByLabel("Code shown by the app").fill("WRONGCODE");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  await look("wrong-code");
  await page.getByLabel("Code shown by the app").fill(codes.approve.toLowerCase());
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("button", { name: "Ada Lovelace" }).waitFor();
  assert.match(await heading(), /mcpctl/);
  await look("choose-person");
  await page.getByRole("button", { name: "Ada Lovelace" }).focus();
  await page.keyboard.press("Enter");
  await page.getByText("You are signed in").waitFor();
  await look("signed-in");

  // A link with the code in it, declined.
  await page.goto(`${env.DEVICE_URL}?user_code=${codes.decline}`);
  await page.getByRole("button", { name: "Decline" }).click();
  await page.getByText("you declined").waitFor();

  // Somebody who isn't assigned.
  await page.goto(`${env.DEVICE_URL}?user_code=${codes.refused}`);
  await page.getByRole("button", { name: "Alan Turing" }).click();
  await page.getByText("AADSTS50105").first().waitFor();
  await look("refused");

  // The sign-in page and the ways back to an app on http://localhost.
  for (const mode of ["form_post", "query", "fragment"]) {
    await page.goto(JSON.parse(env.AUTHORIZE)[mode]);
    if (mode === "form_post") await look("sign-in");
    await page.getByRole("button", { name: "Grace Hopper" }).click();
    await page.getByText("back at the app").waitFor();
    if (mode === "fragment") await page.evaluate(() => fetch("/?" + location.hash.slice(1)));
  }
  assert.deepEqual(complaints, []);
  await context.close();
}

// inspect runs axe in a world of its own, which the page's policy doesn't bind.
async function inspect(context, page) {
  const session = await context.newCDPSession(page);
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
  const results = await run(`axe.run(document, { resultTypes: ["violations"] })`);
  const overflow = await run("document.documentElement.scrollWidth > innerWidth");
  await session.detach();
  return [results, overflow];
}
