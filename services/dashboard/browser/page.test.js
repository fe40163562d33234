// The page in a real Chromium against a whole Orderwire of its own. Without one of them the tests skip and say why;
// REQUIRE_BACKENDS=1 turns that into a failure.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { contrastFaults } from "./contrast.js";
import { findChromium, missing, Orderwire } from "./orderwire.js";

const lacking = missing();
const options = { skip: process.env.REQUIRE_BACKENDS === "1" ? false : lacking, timeout: 120_000 };
const PATIENCE_MS = 30_000;

let orderwire;
let browser;

before(async () => {
  if (options.skip) return;
  assert.equal(lacking, undefined);
  orderwire = await Orderwire.start();
  browser = await chromium.launch({
    executablePath: findChromium(),
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });
}, { timeout: 300_000 });

after(async () => {
  await browser?.close();
  await orderwire?.stop();
});

/**
 * open gives the page, live, as a customer of the test's own. The page carries a mark that a reload would wipe; an
 * exception in it fails the test.
 */
async function open(t, customer, settings = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-IE", ...settings });
  context.setDefaultTimeout(PATIENCE_MS);
  const faults = [];
  context.on("weberror", (error) => faults.push(error.error()));
  t.after(async () => {
    await context.close();
    assert.deepEqual(faults, []);
  });
  const page = await context.newPage();
  const sockets = listen(page);
  await settings.prepare?.(page);
  await page.goto(orderwire.gateway);
  await page.getByText("live", { exact: true }).waitFor();
  await page.getByLabel("Customer").fill(customer);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText(`signed in as ${customer}`).waitFor();
  await page.getByText("live", { exact: true }).waitFor();
  await page.getByText(/^\d+ in stock$/).first().waitFor();
  await page.evaluate(() => { window.mark = "not reloaded"; });
  sockets.splice(0, sockets.length - 1); // demo's
  return { page, context, sockets };
}

/** listen collects the page's WebSockets to the notifier: their address and what was said in both directions. */
function listen(page) {
  const sockets = [];
  page.on("websocket", (socket) => {
    const heard = { url: new URL(socket.url()), said: [], told: [] };
    sockets.push(heard);
    socket.on("framesent", ({ payload }) => heard.said.push(JSON.parse(payload)));
    socket.on("framereceived", ({ payload }) => heard.told.push(JSON.parse(payload)));
  });
  return sockets;
}

async function notReloaded(page) {
  assert.equal(await page.evaluate(() => window.mark), "not reloaded");
}

const status = (page, word) => page.getByTestId("story-status").getByText(word, { exact: true }).waitFor();
const stockOf = async (page, sku) => Number.parseInt(await page.getByTestId(`stock-${sku}`).innerText(), 10);
const stockBecomes = (page, sku, count) => page.getByTestId(`stock-${sku}`).getByText(`${count} in stock`, { exact: true }).waitFor();
const selectedId = async (page) => (await page.locator(".row[aria-pressed=true]").getAttribute("id")).slice("order-".length);

/** tabTo presses the tabulator until the element has the focus; whoever has no mouse gets there no other way. */
async function tabTo(page, element) {
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press("Tab");
    if (await element.evaluate((e) => e === document.activeElement)) return;
  }
  assert.fail(`the tabulator does not reach ${element}`);
}

test("an order becomes confirmed and shipped, and the stock less, without a reload", options, async (t) => {
  const { page, sockets } = await open(t, "ada");
  const before = await stockOf(page, "mug-blue");
  await page.getByLabel("Blue mug").fill("2");
  await page.getByRole("button", { name: "Place the order · €25.00" }).click();
  await status(page, "confirmed");
  await stockBecomes(page, "mug-blue", before - 2);
  const id = await selectedId(page);
  await orderwire.dispatch(id);
  await status(page, "shipped");
  await page.getByTestId(`order-${id}`).getByText("shipped").waitFor();
  await page.locator(".timeline li").nth(3).waitFor();
  const told = await page.locator(".timeline li span").allInnerTexts();
  assert.deepEqual([...told].sort(), ["Every item is held", "On its way", "Order placed", "Shipment scheduled"]);
  assert.equal(told[0], "Order placed");
  assert.equal(await page.getByRole("button", { name: "Cancel the order" }).count(), 0);
  assert.equal(sockets.length, 1);
  await notReloaded(page);
});

test("the keyboard alone places an order, cancels it and comes back to the list", options, async (t) => {
  const { page } = await open(t, "brahe");
  const before = await stockOf(page, "mug-red");
  await tabTo(page, page.getByLabel("Red mug"));
  await page.keyboard.type("3");
  await page.keyboard.press("Enter");
  await status(page, "confirmed");
  assert.equal(await page.evaluate(() => document.activeElement.id), "story");
  await stockBecomes(page, "mug-red", before - 3);
  const id = await selectedId(page);
  await tabTo(page, page.getByRole("button", { name: "Cancel the order" }));
  await page.keyboard.press("Space");
  await status(page, "cancelled");
  await stockBecomes(page, "mug-red", before);
  await tabTo(page, page.getByRole("button", { name: "Close" }));
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), `order-${id}`);
  await tabTo(page, page.getByRole("link", { name: "Skip to the orders" })); // round the end of the page
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "orders");
  await notReloaded(page);
});

test("what happened while the connection was lost is there afterwards, resumed at the cursor", options, async (t) => {
  const { page, context, sockets } = await open(t, "curie");
  const first = await orderwire.place("curie");
  await page.getByTestId(`order-${first.id}`).getByText("confirmed").click();
  await context.setOffline(true);
  await page.getByText("offline, trying again").waitFor();
  const second = await orderwire.place("curie");
  await orderwire.dispatch(first.id);
  await orderwire.becomes(first.id, "shipped");
  assert.equal(await page.getByTestId(`order-${second.id}`).count(), 0);
  assert.equal(await page.getByTestId("story-status").innerText(), "confirmed");
  await context.setOffline(false);
  await page.getByTestId(`order-${second.id}`).waitFor();
  await status(page, "shipped");
  await page.getByText("live", { exact: true }).waitFor();
  // Not only the list, which is read again as well: the notifier told each event, after the cursor.
  const resumed = sockets.findLast((socket) => socket.told.length > 0);
  const heard = sockets[0].told.map((e) => e.cursor);
  assert.ok(heard.includes(resumed.url.searchParams.get("after")), `${resumed.url} does not go on after one of ${heard}`);
  const told = () => resumed.told.filter((e) => e.source === "order-api").map((e) => `${e.subject} ${e.type}`);
  assert.ok(told().includes(`${second.id} order-created`), told().join("\n"));
  assert.ok(told().includes(`${first.id} order-updated`), told().join("\n"));
  await notReloaded(page);
});

test("the token is renewed in band: the same connection goes on", options, async (t) => {
  // The development login's tokens live for hours; the page is told that this one ends soon.
  let soon = true;
  const prepare = (page) => page.route("**/dev/token", async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    const dated = soon && JSON.parse(route.request().postData()).customer === "dirac";
    if (dated) soon = false;
    await route.fulfill({ response: answer, json: dated ? { ...body, expiresAt: new Date(Date.now() + 62_000).toISOString() } : body });
  });
  const { page, sockets } = await open(t, "dirac", { prepare });
  const order = await orderwire.place("dirac");
  await page.getByTestId(`order-${order.id}`).getByText("confirmed").click();
  await orderwire.until("refresh that was taken", async () => {
    const refreshed = sockets[0].said.some((m) => m.type === "notifier.refresh");
    const taken = sockets[0].told.some((m) => m.type === "notifier.heartbeat");
    if (!refreshed || !taken) throw new Error("not yet");
  }, () => true);
  await orderwire.dispatch(order.id);
  await status(page, "shipped"); // the order that was open is open, and goes on
  assert.equal(sockets.length, 1);
});

test("on a phone nothing is cut off, and everything can be touched", options, async (t) => {
  const { page } = await open(t, "euler", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await fits(page);
  await page.getByText("Ship to").tap();
  await page.getByLabel("Note").fill("W".repeat(120));
  await page.getByLabel("Harbour poster, the last one").fill("1");
  await fits(page);
  await page.getByRole("button", { name: /Place the order/ }).tap();
  await status(page, "confirmed");
  const heading = await page.getByRole("heading", { name: /^Order / }).boundingBox();
  assert.ok(heading.y >= 0 && heading.y < 740, `the order's story is at ${heading.y}, out of sight`);
  await page.getByText("Send it somewhere else").tap();
  await page.getByTestId("stock-poster-harbour").getByText("out of stock").waitFor();
  await fits(page);
});

/** fits tells whether the page is no wider than the screen, and whether each control can be touched. */
async function fits(page) {
  const faults = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const wide = document.documentElement.scrollWidth > width ? [`the page is ${document.documentElement.scrollWidth} wide`] : [];
    const controls = [...document.querySelectorAll("button, input, summary, .status, .price")].filter((e) => e.checkVisibility());
    for (const control of controls) {
      control.scrollIntoView({ block: "center" });
      const box = control.getBoundingClientRect();
      const name = control.textContent || control.name || control.id;
      if (box.left < 0 || box.right > width) wide.push(`${name} reaches from ${box.left} to ${box.right}`);
      const hit = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
      if (!control.contains(hit) && !hit?.contains(control)) wide.push(`${name} is covered by ${hit?.outerHTML}`);
    }
    return wide;
  });
  assert.deepEqual(faults, []);
}

for (const colorScheme of ["light", "dark"]) {
  test(`every text is readable in ${colorScheme} colours`, options, async (t) => {
    const customer = `fermi-${colorScheme}`;
    const { page } = await open(t, customer, { colorScheme });
    const order = await orderwire.place(customer);
    await page.getByTestId(`order-${order.id}`).getByText("confirmed").click();
    await page.getByText("Shipment scheduled").waitFor();
    assert.deepEqual(await contrastFaults(page), []);
  });
}
