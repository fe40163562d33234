import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ORDERCTL = join(process.env.ORDERWIRE_BIN ?? fileURLToPath(new URL("../../../bin", import.meta.url)), "orderctl");
/** The first start on a machine may install a database. */
const START_MS = 240_000;

/** findChromium gives the path of a Chromium, undefined where there is none. */
export function findChromium() {
  if (process.env.CHROMIUM_PATH) return process.env.CHROMIUM_PATH;
  const folders = (process.env.PATH ?? "").split(delimiter);
  return ["chromium", "chromium-browser", "google-chrome"].flatMap((name) => folders.map((folder) => join(folder, name))).find(runs);
}

/** missing says what these tests lack here, undefined when they have all. */
export function missing() {
  if (!findChromium()) return "no Chromium: name one in CHROMIUM_PATH, or install Debian's package chromium";
  if (!runs(ORDERCTL)) return "no bin/orderctl: make build";
  return undefined;
}

function runs(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Orderwire is a whole one of its own on free ports, with the demo products and stock. It ends with stop, and also when
 * this process ends without, because its standard input closes then.
 */
export class Orderwire {
  static async start() {
    const child = spawn(ORDERCTL, ["up", "--ephemeral", "--json"], {
      env: { ...process.env, CARRIER_DISPATCH_AFTER: "off", CARRIER_DELIVER_AFTER: "off" },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let log = "";
    child.stderr.on("data", (text) => { log += text; });
    const ended = new Promise((resolve) => child.once("close", resolve));
    const ready = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`orderctl up is not ready after ${START_MS / 1000} s: ${log}`)), START_MS);
      createInterface(child.stdout).once("line", (line) => { clearTimeout(timer); resolve(JSON.parse(line)); });
      child.once("error", reject);
      void ended.then((code) => { clearTimeout(timer); reject(new Error(`orderctl up has ended with ${code}: ${log}`)); });
    }).catch((error) => {
      child.stdin.end();
      throw error;
    });
    const orderwire = new Orderwire(child, ended, ready.gateway, ready.token);
    await orderwire.#seed();
    return orderwire;
  }

  #child;
  #ended;
  #operator;

  constructor(child, ended, gateway, operator) {
    this.#child = child;
    this.#ended = ended;
    this.gateway = gateway;
    this.#operator = operator;
  }

  async stop() {
    this.#child.stdin.end();
    await this.#ended;
  }

  async #seed() {
    const seed = spawn(ORDERCTL, ["seed", "--gateway", this.gateway], { stdio: ["ignore", "ignore", "inherit"] });
    const code = await new Promise((resolve, reject) => seed.once("close", resolve).once("error", reject));
    if (code !== 0) {
      await this.stop();
      throw new Error(`orderctl seed has ended with ${code}`);
    }
  }

  /** place orders one blue mug for a customer, as another device of theirs would, and gives the order. */
  async place(customer) {
    const { token } = await this.#call("POST", "/dev/token", "", { customer, operator: false });
    const shippingAddress = { name: customer, street: "1 Long Lane", city: "Dublin", postalCode: "D02 X285", country: "IE" };
    return this.#call("POST", "/v1/orders", token, { items: [{ sku: "mug-blue", quantity: 1 }], shippingAddress });
  }

  /** dispatch says, as the carrier, that an order's parcel has left. It waits until there is one. */
  async dispatch(id) {
    await this.until(`a shipment of ${id}`, () => this.#call("GET", `/v1/shipments/${id}`, this.#operator), (error) => error.status === 404);
    await this.#call("POST", `/v1/shipments/${id}/dispatch`, this.#operator, {});
  }

  /** becomes waits until order-api gives the order that status. */
  async becomes(id, status) {
    await this.until(`order ${id} ${status}`, async () => {
      const order = await this.#call("GET", `/v1/orders/${id}`, this.#operator);
      if (order.status !== status) throw Object.assign(new Error(`it is ${order.status}`), { early: true });
    }, (error) => error.early);
  }

  /** until calls again while an error is one that passes. */
  async until(what, call, passes) {
    for (const end = Date.now() + 30_000; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      try {
        return await call();
      } catch (error) {
        if (!passes(error)) throw error;
        if (Date.now() > end) throw new Error(`no ${what} within 30 s`, { cause: error });
      }
    }
  }

  async #call(method, path, token, body) {
    const answer = await fetch(this.gateway + path, {
      method,
      headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw Object.assign(new Error(`${method} ${path}: ${answer.status} ${text}`), { status: answer.status });
    return JSON.parse(text);
  }
}
