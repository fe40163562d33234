import { act, cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { App } from "../src/App";
import { FakeSocket, event, order } from "./samples";

type Answer = { status?: number; body: unknown };
let routes: Record<string, (init: RequestInit) => Answer | Promise<Answer>>;
let asked: { path: string; init: RequestInit }[];

beforeEach(() => {
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.opened = [];
  asked = [];
  routes = {
    "POST /dev/token": (init) => ({ body: { token: `t-${JSON.parse(String(init.body)).customer}`, expiresAt: "2099-01-01T00:00:00Z" } }),
    "GET /v1/products": () => ({ body: { items: [{ sku: "mug-blue", name: "Blue mug", unitPrice: { amount: 1250, currency: "EUR" } }] } }),
    "GET /v1/stock": () => ({ body: { items: [{ sku: "mug-blue", available: 7 }] } }),
    "GET /v1/orders": () => ({ body: { items: [] } }),
    "GET /v1/orders/o1/history": () => ({ body: { items: [{ time: "2026-11-24T10:00:00Z", source: "order-api", type: "order-created", sequence: 1, version: 1 }] } }),
  };
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    asked.push({ path, init });
    const answer = await routes[`${init.method} ${path.split("?")[0]}`]?.(init) ?? { status: 404, body: { code: "not_found", detail: "nothing there" } };
    return new Response(JSON.stringify(answer.body), { status: answer.status ?? 200 });
  });
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function open() {
  render(<App />);
  await waitFor(() => expect(FakeSocket.opened).toHaveLength(1));
  act(() => FakeSocket.last.say(event("notifier.subscribed", { data: { mode: "live" } })));
  await screen.findByText("7 in stock");
}

async function placeOne() {
  fireEvent.change(screen.getByLabelText("Blue mug"), { target: { value: "2" } });
  fireEvent.click(screen.getByRole("button", { name: /Place the order/ }));
  await waitFor(() => expect(asked.some((a) => a.path === "/v1/orders" && a.init.method === "POST")).toBe(true));
}

test("an order is placed, shown, and follows its events without a reload", async () => {
  routes["POST /v1/orders"] = () => ({ status: 201, body: order({}) });
  await open();
  expect(screen.getByText("live")).toBeDefined();
  await placeOne();
  expect((await screen.findByTestId("story-status")).textContent).toBe("pending");
  expect(await screen.findByText(/Order placed/)).toBeDefined();
  act(() => FakeSocket.last.say(event("order-updated", { sequence: "0000000002", data: order({ version: 2, status: "confirmed" }) })));
  await waitFor(() => expect(screen.getByTestId("story-status").textContent).toBe("confirmed"));
  expect(screen.getByTestId("order-o1").textContent).toContain("confirmed");
});

test("a fresh token goes on with the connection, the cart and the open order, in band", async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  let given = 0;
  routes["POST /dev/token"] = () => ({ body: { token: `t${++given}`, expiresAt: new Date(Date.now() + 80_000).toISOString() } });
  routes["GET /v1/orders"] = () => ({ body: { items: [order({})] } });
  await open();
  fireEvent.click(await screen.findByTestId("order-o1"));
  fireEvent.change(screen.getByLabelText("Blue mug"), { target: { value: "3" } });
  await act(() => vi.advanceTimersByTimeAsync(21_000));
  expect(given).toBe(2);
  expect(FakeSocket.opened).toHaveLength(1);
  expect(FakeSocket.last.said).toMatchObject([{ type: "notifier.refresh", data: { token: "t2" } }]);
  expect(screen.getByTestId("story-status")).toBeDefined();
  expect(screen.getByLabelText<HTMLInputElement>("Blue mug").value).toBe("3");
  await act(() => vi.advanceTimersByTimeAsync(5_000));
  const stock = asked.filter((a) => a.path.startsWith("/v1/stock")).at(-1)!;
  expect((stock.init.headers as Record<string, string>).Authorization).toBe("Bearer t2");
});

test("a renewal that fails is tried again", async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  let given = 0;
  const answer = () => ({ body: { token: `t${++given}`, expiresAt: new Date(Date.now() + 80_000).toISOString() } });
  routes["POST /dev/token"] = answer;
  await open();
  routes["POST /dev/token"] = () => ({ status: 503, body: { code: "unavailable", detail: "not now" } });
  await act(() => vi.advanceTimersByTimeAsync(22_000));
  expect(given).toBe(1);
  routes["POST /dev/token"] = answer;
  await act(() => vi.advanceTimersByTimeAsync(4_000));
  expect(given).toBe(2);
  expect(FakeSocket.opened).toHaveLength(1);
});

test("a token that ended while the computer slept is renewed, and the stream resumed", async () => {
  let given = 0;
  routes["POST /dev/token"] = () => ({ body: { token: `t${++given}`, expiresAt: "2099-01-01T00:00:00Z" } });
  await open();
  act(() => FakeSocket.last.end(4401, "token_expired"));
  await waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
  expect(FakeSocket.last.protocols).toContain("bearer.t2");
  expect(FakeSocket.last.url.searchParams.get("after")).toBe("c1");
});

test("a token that is refused although it is new is replaced after a while", async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  let given = 0;
  routes["POST /dev/token"] = () => ({ body: { token: `t${++given}`, expiresAt: "2099-01-01T00:00:00Z" } });
  render(<App />);
  for (const token of ["t1", "t2"]) {
    await waitFor(() => expect(FakeSocket.last?.protocols).toContain(`bearer.${token}`));
    act(() => FakeSocket.last.end(4401, "invalid_token"));
    await act(() => vi.advanceTimersByTimeAsync(20_000));
    expect(`t${given}`).toBe(token);
    await act(() => vi.advanceTimersByTimeAsync(11_000));
  }
  await waitFor(() => expect(FakeSocket.last.protocols).toContain("bearer.t3"));
  act(() => FakeSocket.last.say(event("notifier.subscribed", { data: { mode: "live" } })));
  expect(screen.getByText("live")).toBeDefined();
});

test("somebody else begins anew, without what the one before has chosen", async () => {
  await open();
  fireEvent.change(screen.getByLabelText("Blue mug"), { target: { value: "3" } });
  fireEvent.change(screen.getByLabelText("Customer"), { target: { value: "alice" } });
  fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
  await waitFor(() => expect(FakeSocket.last.protocols).toContain("bearer.t-alice"));
  expect(FakeSocket.last.url.searchParams.has("after")).toBe(false);
  expect(FakeSocket.opened[0]!.closedWith).toBe(1000);
  await waitFor(() => expect(screen.getByLabelText<HTMLInputElement>("Blue mug").value).toBe(""));
});

test("what cannot be read is told beside the light, which stays as it is, and is read again", async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  await open();
  const good = routes["GET /v1/stock"]!;
  routes["GET /v1/stock"] = () => ({ status: 503, body: { code: "unavailable", detail: "not now" } });
  await act(() => vi.advanceTimersByTimeAsync(5_000));
  expect(screen.getByText("The stock cannot be read: not now")).toBeDefined();
  expect(screen.getByText("live")).toBeDefined();
  routes["GET /v1/stock"] = good;
  await act(() => vi.advanceTimersByTimeAsync(4_000));
  expect(screen.queryByText(/cannot be read/)).toBeNull();
});

test("after a gap the list is read anew, and the open order stays open", async () => {
  routes["GET /v1/orders"] = () => ({ body: { items: [order({})] } });
  routes["GET /v1/orders/o1"] = () => ({ body: order({ version: 3, status: "shipped" }) });
  await open();
  fireEvent.click(await screen.findByTestId("order-o1"));
  routes["GET /v1/orders"] = () => ({ body: { items: [] } }); // it is not among the newest any more
  act(() => FakeSocket.last.say(event("notifier.gap")));
  await waitFor(() => expect(screen.getByTestId("story-status").textContent).toBe("shipped"));
});

test("a stream that begins late says nothing of before: the list and the open order are read anew", async () => {
  const late: ((answer: Answer) => void)[] = [];
  routes["GET /v1/orders"] = () => ({ body: { items: [order({}), order({ id: "o0" })], next: "p0" } });
  render(<App />);
  fireEvent.click(await screen.findByTestId("order-o1"));
  act(() => FakeSocket.last.end(1006));
  // Asked for before the stream begins, and answered after it.
  routes["GET /v1/orders"] = () => new Promise((answer) => late.push(answer));
  fireEvent.click(screen.getByRole("button", { name: "Show older orders" }));
  await waitFor(() => expect(late).toHaveLength(1));
  routes["GET /v1/orders"] = () => ({ body: { items: [order({ id: "o3" })], next: "p3" } });
  routes["GET /v1/orders/o1"] = () => ({ body: order({ version: 3, status: "shipped" }) });
  fireEvent.click(screen.getByRole("button", { name: "Try now" }));
  act(() => FakeSocket.last.say(event("notifier.subscribed", { data: { mode: "live" } })));
  await waitFor(() => expect(screen.getByTestId("story-status").textContent).toBe("shipped"));
  await act(async () => late[0]!({ body: { items: [order({ id: "o0" })], next: "gone" } }));
  expect(screen.getByTestId("order-o3")).toBeDefined();
  expect(screen.queryByTestId("order-o0")).toBeNull();
  routes["GET /v1/orders"] = () => ({ body: { items: [] } });
  fireEvent.click(screen.getByRole("button", { name: "Show older orders" }));
  await waitFor(() => expect(asked.at(-1)!.path).toBe("/v1/orders?limit=50&after=p3"));
});

test("a list that was asked for before the stream began does not count, and one in doubt is shown until the next has come", async () => {
  const late: ((answer: Answer) => void)[] = [];
  routes["GET /v1/orders"] = () => new Promise((answer) => late.push(answer));
  render(<App />);
  await waitFor(() => expect(late).toHaveLength(1));
  act(() => FakeSocket.last.say(event("notifier.subscribed", { data: { mode: "live" } })));
  await act(async () => late[0]!({ body: { items: [order({})], next: "p1" } }));
  await waitFor(() => expect(late).toHaveLength(2));
  expect(rows()).toBe(0);
  await act(async () => late[1]!({ body: { items: [order({ version: 3, status: "shipped" })], next: "p1" } }));
  expect((await screen.findByTestId("order-o1")).textContent).toContain("shipped");
  act(() => FakeSocket.last.say(event("notifier.gap")));
  await waitFor(() => expect(late).toHaveLength(3));
  expect(rows()).toBe(1); // in doubt, but there
});

test("older orders come page by page, and no button is left at the end", async () => {
  const page = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => order({ id: `o${String(999 - from - i)}` }));
  routes["GET /v1/orders"] = () => ({ body: { items: page(0, 50), next: "p2" } });
  await open();
  await waitFor(() => expect(rows()).toBe(50));
  routes["GET /v1/orders"] = () => ({ body: { items: page(50, 70) } });
  fireEvent.click(screen.getByRole("button", { name: "Show older orders" }));
  await waitFor(() => expect(rows()).toBe(70));
  expect(asked.some((a) => a.path === "/v1/orders?limit=50&after=p2")).toBe(true);
  await waitFor(() => expect(screen.queryByRole("button", { name: "Show older orders" })).toBeNull());
});

test("a list of products is read to its end", async () => {
  let pages = 0;
  const product = (sku: string) => ({ sku, name: `Product ${sku}`, unitPrice: { amount: 100, currency: "EUR" } });
  routes["GET /v1/products"] = () => (++pages % 2 ? { body: { items: [product("mug-blue")], next: "n" } } : { body: { items: [product("last")] } });
  await open();
  expect(screen.getByLabelText("Product last")).toBeDefined();
});

test("whoever opens an order is led to it, and back where they were after closing it", async () => {
  routes["GET /v1/orders"] = () => ({ body: { items: [order({})] } });
  await open();
  fireEvent.click(await screen.findByTestId("order-o1"));
  await waitFor(() => expect(document.activeElement?.id).toBe("story"));
  fireEvent.click(screen.getByRole("button", { name: "Close" }));
  expect(document.activeElement?.id).toBe("order-o1");
});

test("an order that cannot be cancelled any more is shown as it is", async () => {
  routes["GET /v1/orders"] = () => ({ body: { items: [order({ status: "confirmed" })] } });
  routes["POST /v1/orders/o1/cancel"] = () => ({ status: 409, body: { code: "conflict", detail: "it has left" } });
  routes["GET /v1/orders/o1"] = () => ({ body: order({ version: 2, status: "shipped" }) });
  await open();
  fireEvent.click(await screen.findByTestId("order-o1"));
  fireEvent.click(await screen.findByRole("button", { name: "Cancel the order" }));
  await waitFor(() => expect(screen.getByTestId("story-status").textContent).toBe("shipped"));
  expect(screen.getByText("it has left")).toBeDefined();
});

test("a shop without products says how they come, and no orders is said as well", async () => {
  routes["GET /v1/products"] = () => ({ body: { items: [] } });
  render(<App />);
  await waitFor(() => expect(FakeSocket.opened).toHaveLength(1));
  act(() => FakeSocket.last.say(event("notifier.subscribed")));
  expect(await screen.findByText(/No products yet/)).toBeDefined();
  expect(await screen.findByText(/None yet/)).toBeDefined();
});

test("a repeat after a lost answer carries the same idempotency key, another order another", async () => {
  routes["POST /v1/orders"] = () => ({ status: 503, body: { code: "unavailable", detail: "try again" } });
  await open();
  await placeOne();
  await screen.findByText("try again");
  routes["POST /v1/orders"] = () => ({ status: 201, body: order({}) });
  fireEvent.click(screen.getByRole("button", { name: /Place the order/ }));
  await screen.findByTestId("story-status");
  await placeOne();
  await waitFor(() => expect(posts()).toHaveLength(3));
  const keys = posts().map((a) => (a.init.headers as Record<string, string>)["Idempotency-Key"]);
  expect(keys[0]).toBe(keys[1]);
  expect(keys[2]).not.toBe(keys[1]);
});

test("a refusal is shown with the field that is wrong", async () => {
  routes["POST /v1/orders"] = () => ({ status: 422, body: { code: "invalid", detail: "not an order", errors: [{ pointer: "/shippingAddress/country", detail: "two letters" }] } });
  await open();
  await placeOne();
  expect((await screen.findByRole("alert")).textContent).toBe("not an order/shippingAddress/country two letters");
});

test("a shipped order offers neither cancel nor another address", async () => {
  routes["GET /v1/orders"] = () => ({ body: { items: [order({ status: "shipped" })] } });
  await open();
  fireEvent.click(await screen.findByTestId("order-o1"));
  expect(await screen.findByTestId("story-status")).toBeDefined();
  expect(screen.queryByRole("button", { name: "Cancel the order" })).toBeNull();
  expect(screen.queryByText("Send it somewhere else")).toBeNull();
});

test("cancel asks order-api and shows its answer", async () => {
  routes["GET /v1/orders"] = () => ({ body: { items: [order({ status: "confirmed" })] } });
  routes["POST /v1/orders/o1/cancel"] = () => ({ status: 202, body: order({ version: 2, status: "cancelling" }) });
  await open();
  fireEvent.click(await screen.findByTestId("order-o1"));
  fireEvent.click(await screen.findByRole("button", { name: "Cancel the order" }));
  await waitFor(() => expect(screen.getByTestId("story-status").textContent).toBe("cancelling"));
});

test("another address is asked for under the revision that is shown, whole", async () => {
  routes["GET /v1/orders"] = () => ({ body: { items: [order({ status: "confirmed", version: 4, revision: 2 })] } });
  routes["PATCH /v1/orders/o1"] = () => ({ body: order({ version: 5, addressRevision: 1, addressChange: { outcome: "pending" } }) });
  await open();
  fireEvent.click(await screen.findByTestId("order-o1"));
  const form = (await screen.findByText("Send it somewhere else")).closest("details")!;
  fireEvent.change(form.querySelector("[name=city]")!, { target: { value: "Cork" } });
  fireEvent.click(screen.getByRole("button", { name: "Change the address" }));
  expect(await screen.findByText("asked for")).toBeDefined();
  const patch = asked.find((a) => a.init.method === "PATCH")!;
  expect(patch.init.headers).toMatchObject({ "If-Match": '"2.4"', "Content-Type": "application/merge-patch+json" });
  expect(JSON.parse(String(patch.init.body))).toEqual({ shippingAddress: { ...order({}).shippingAddress, city: "Cork" } });
});

test("a refused address says where the parcel goes", async () => {
  const address = { name: "D", street: "9 Old Road", city: "Galway", postalCode: "H91", country: "IE" };
  const shipment = { id: "o1", status: "dispatched", carrier: "C", service: "s", address };
  routes["GET /v1/orders"] = () => ({ body: { items: [order({ status: "shipped", shipment, addressChange: { outcome: "refused" } })] } });
  await open();
  fireEvent.click(await screen.findByTestId("order-o1"));
  expect(await screen.findByText("D, 9 Old Road, H91 Galway, IE")).toBeDefined();
});

test("a token that lives for decades is not renewed at once", async () => {
  await open();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(asked.filter((a) => a.path === "/dev/token")).toHaveLength(1);
});

test("where the development login is off, a token is asked for", async () => {
  delete routes["POST /dev/token"];
  render(<App />);
  const field = await screen.findByLabelText("Token");
  fireEvent.change(field, { target: { value: "not a token" } });
  fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
  expect((await screen.findByRole("alert")).textContent).toContain("That is no token");
  expect(FakeSocket.opened).toHaveLength(0);
  const token = `e30.${btoa(JSON.stringify({ sub: "bob", roles: ["operator"] }))}.c2ln`.replaceAll("=", "");
  fireEvent.change(field, { target: { value: token } });
  fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
  expect(await screen.findByText("bob")).toBeDefined();
  expect(screen.getByText("All orders")).toBeDefined();
  expect(FakeSocket.last.protocols).toContain(`bearer.${token}`);
});

const rows = () => document.querySelectorAll(".row").length;
const posts = () => asked.filter((a) => a.path === "/v1/orders" && a.init.method === "POST");
