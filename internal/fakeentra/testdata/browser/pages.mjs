// Uses the authority's pages as a person does, in an installed Chromium. Settings
// come from the environment; any finding ends the script with an error. Where
// SCREENSHOTS names a folder, each page is kept there as a picture.
import { pathToFileURL } from "node:url";
import assert from "node:assert/strict";

const env = process.env;
const { withBrowser, picture, assertUsable } = await import(pathToFileURL(env.BROWSER_MODULE));

await withBrowser(async (browser) => {
  for (const colorScheme of ["light", "dark"]) await visit(browser, colorScheme);
});

async function visit(browser, colorScheme) {
  const codes = JSON.parse(env.USER_CODES)[colorScheme];
  const context = await browser.newContext({ ignoreHTTPSErrors: env.TRUST_ANY === "1", colorScheme, viewport: { width: 400, height: 720 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on("console", (m) => m.type() === "error" && !/status of 4\d\d/.test(m.text()) && complaints.push(m.text()));
  page.on("pageerror", (e) => complaints.push(String(e)));

  const look = async (name) => {
    await picture(page, `${name}-${colorScheme}`);
    await assertUsable(page, name);
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
