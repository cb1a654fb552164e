// Uses the landing page as a person does, in an installed Chromium. Settings
// come from the environment; any finding ends the script with an error. Where
// SCREENSHOTS names a folder, the page is kept there as a picture.
import { pathToFileURL } from "node:url";
import assert from "node:assert/strict";

const env = process.env;
const { withBrowser, picture, assertUsable } = await import(pathToFileURL(env.BROWSER_MODULE));

await withBrowser(async (browser) => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 1100]) await visit(browser, colorScheme, width);
  }
  await withoutClipboard(browser);
});

async function open(browser, options) {
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

async function visit(browser, colorScheme, width) {
  const page = await open(browser, { colorScheme, viewport: { width, height: 800 }, permissions: ["clipboard-read", "clipboard-write"] });
  await picture(page, `landing-${colorScheme}-${width}`, { fullPage: true });

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

  await assertUsable(page, `the landing page (${colorScheme}, ${width})`);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

// Without the clipboard's interface, as without https, the selection serves.
async function withoutClipboard(browser) {
  const page = await open(browser, { permissions: ["clipboard-read"] });
  await page.evaluate(() => { Object.defineProperty(navigator, "clipboard", { value: undefined }); });
  await page.getByRole("button", { name: "Copy the address" }).click();
  await page.getByRole("status").getByText("Copied").waitFor();
  assert.equal(await page.evaluate(() => String(getSelection())), env.PUBLIC_URL);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}
