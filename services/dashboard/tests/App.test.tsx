import { act, cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { App } from "../src/App";
import { FakeSocket, event, order } from "./samples";

type Answer = { status?: number; body: unknown };
let routes: Record<string, (init: RequestInit) => Answer>;
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
    const answer = routes[`${init.method} ${path.split("?")[0]}`]?.(init) ?? { status: 404, body: { code: "not_found", detail: "nothing there" } };
    return new Response(JSON.stringify(answer.body), { status: answer.status ?? 200 });
  });
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

async function open() {
  render(<App />);
  await screen.findByText("connecting");
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
  expect(screen.getByTestId("story-status").textContent).toBe("confirmed");
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

test("a token that lives for decades is not renewed at once", async () => {
  await open();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(asked.filter((a) => a.path === "/dev/token")).toHaveLength(1);
});

test("where the development login is off, a token is asked for", async () => {
  delete routes["POST /dev/token"];
  render(<App />);
  expect(await screen.findByLabelText("Token")).toBeDefined();
});

const posts = () => asked.filter((a) => a.path === "/v1/orders" && a.init.method === "POST");
