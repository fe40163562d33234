import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PushClient, type PushHandlers } from "../src/push";
import { FakeSocket, event } from "./samples";

let handlers: { [K in keyof PushHandlers]: ReturnType<typeof vi.fn> };
let client: PushClient;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.opened = [];
  handlers = { event: vi.fn(), subscribed: vi.fn(), gap: vi.fn(), light: vi.fn() };
  client = new PushClient("ws://shop.example/v1/events", "secret", handlers as unknown as PushHandlers);
  client.start();
});

afterEach(() => {
  client.stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("the token travels as a subprotocol and never in the URL", () => {
  expect(FakeSocket.last.protocols).toEqual(["cloudevents.json", "bearer.secret"]);
  expect(FakeSocket.last.url.href).not.toContain("secret");
});

test("a lost connection is resumed after the last message's cursor", () => {
  FakeSocket.last.say(event("notifier.subscribed", { cursor: "c0" }));
  FakeSocket.last.say(event("order-created", { cursor: "c7" }));
  FakeSocket.last.end(1006);
  expect(handlers.light).toHaveBeenLastCalledWith("offline");
  vi.advanceTimersByTime(1_000);
  expect(FakeSocket.opened).toHaveLength(2);
  expect(FakeSocket.last.url.searchParams.get("after")).toBe("c7");
});

test("a heartbeat moves the cursor and is no event", () => {
  FakeSocket.last.say(event("notifier.heartbeat", { cursor: "c9" }));
  FakeSocket.last.end(1012);
  vi.advanceTimersByTime(1_000);
  expect(handlers.event).not.toHaveBeenCalled();
  expect(FakeSocket.last.url.searchParams.get("after")).toBe("c9");
});

test("repeats are dropped by source, subject, topic and sequence", () => {
  const second = event("order-updated", { sequence: "0000000002" });
  for (const e of [event("order-created"), second, event("order-created"), second]) FakeSocket.last.say(e);
  FakeSocket.last.say(event("stock-reserved", { source: "inventory" }));
  FakeSocket.last.say(event("order-created", { subject: "o2" }));
  expect(handlers.event.mock.calls.map(([e]) => `${e.subject} ${e.type}`)).toEqual(["o1 order-created", "o1 order-updated", "o1 stock-reserved", "o2 order-created"]);
});

test("a refusal that would be repeated is not tried again", () => {
  FakeSocket.last.end(4401, "token expired");
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.opened).toHaveLength(1);
  expect(handlers.light).toHaveBeenLastCalledWith("refused", "token expired");
});

test.each([4429, 1013, 4508])("close code %i is tried again", (code) => {
  FakeSocket.last.end(code);
  vi.advanceTimersByTime(1_000);
  expect(FakeSocket.opened).toHaveLength(2);
});

test("a cursor that is gone is forgotten, and the list is read again", () => {
  FakeSocket.last.say(event("order-created"));
  FakeSocket.last.end(4410);
  vi.advanceTimersByTime(1_000);
  expect(handlers.gap).toHaveBeenCalledOnce();
  expect(FakeSocket.last.url.searchParams.has("after")).toBe(false);
});

test("retries slow down, and a subscription makes them quick again", () => {
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  const wait = () => {
    const before = FakeSocket.opened.length;
    FakeSocket.last.end(1006);
    let waited = 0;
    for (; FakeSocket.opened.length === before; waited += 50) vi.advanceTimersByTime(50);
    return waited;
  };
  expect([wait(), wait(), wait()]).toEqual([250, 500, 1_000]);
  FakeSocket.last.say(event("notifier.subscribed"));
  expect(wait()).toBe(250);
  vi.restoreAllMocks();
});

test("a silent connection is given up and replaced", () => {
  const first = FakeSocket.last;
  vi.advanceTimersByTime(60_000);
  expect(first.closedWith).toBeDefined();
  expect(FakeSocket.opened.length).toBeGreaterThan(1);
});

test("a gap is told", () => {
  FakeSocket.last.say(event("notifier.gap"));
  expect(handlers.gap).toHaveBeenCalledOnce();
});

test("after stop nothing is tried again", () => {
  client.stop();
  FakeSocket.last.end(1006);
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.opened).toHaveLength(1);
});
