import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PushClient, type PushHandlers } from "../src/push";
import { FakeSocket, event } from "./samples";

let handlers: { [K in keyof PushHandlers]: ReturnType<typeof vi.fn> };
let client: PushClient;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.opened = [];
  handlers = { event: vi.fn(), subscribed: vi.fn(), gap: vi.fn(), expired: vi.fn(), light: vi.fn() };
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
  expect(handlers.light).toHaveBeenLastCalledWith("offline", undefined);
  vi.advanceTimersByTime(1_000);
  expect(FakeSocket.opened).toHaveLength(2);
  expect(FakeSocket.last.url.searchParams.get("after")).toBe("c7");
  FakeSocket.last.say(event("notifier.subscribed", { cursor: "c7" }));
  expect(handlers.subscribed.mock.calls).toEqual([[false], [true]]);
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

test("a refusal in words is shown", () => {
  FakeSocket.last.say(event("notifier.error", { cursor: undefined, data: { status: 403, code: "forbidden", detail: "customer is for operators" } }));
  FakeSocket.last.end(4403, "forbidden");
  expect(handlers.light).toHaveBeenLastCalledWith("refused", "customer is for operators");
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.opened).toHaveLength(1);
});

test.each([
  ["notifier.draining", 1012, "connecting"],
  ["notifier.error", 1013, "offline"],
  ["notifier.error", 4429, "offline"],
] as const)("after %s and %i it comes back, and not before the time it was told", (type, code, light) => {
  FakeSocket.last.say(event(type, { data: { retryAfterMs: 5_000 } }));
  FakeSocket.last.end(code);
  expect(handlers.light).toHaveBeenLastCalledWith(light, undefined);
  vi.advanceTimersByTime(4_999);
  expect(FakeSocket.opened).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(FakeSocket.opened).toHaveLength(2);
});

test("a limit without a time to come back is a refusal like the others", () => {
  FakeSocket.last.end(4429, "too_many_connections");
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.opened).toHaveLength(1);
});

test("a cursor that the notifier cannot read is dropped; a bad request without one is not repeated", () => {
  FakeSocket.last.say(event("order-created", { cursor: "of another release" }));
  FakeSocket.last.end(1006);
  vi.advanceTimersByTime(1_000);
  FakeSocket.last.end(4400, "bad_query");
  vi.advanceTimersByTime(1_000);
  expect(FakeSocket.opened).toHaveLength(3);
  expect(FakeSocket.last.url.searchParams.has("after")).toBe(false);
  FakeSocket.last.end(4400, "bad_query");
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.opened).toHaveLength(3);
});

test("a fresh token is told in band, and serves the next connection", () => {
  FakeSocket.last.say(event("notifier.subscribed"));
  client.refresh("fresh");
  client.refresh("fresh");
  expect(FakeSocket.last.said).toHaveLength(1);
  expect(FakeSocket.last.said[0]).toMatchObject({ specversion: "1.0", source: "dashboard", type: "notifier.refresh", data: { token: "fresh" } });
  expect(FakeSocket.last.said[0]).toHaveProperty("id");
  FakeSocket.last.end(1006);
  vi.advanceTimersByTime(1_000);
  expect(FakeSocket.last.protocols).toEqual(["cloudevents.json", "bearer.fresh"]);
  FakeSocket.last.say(event("notifier.subscribed"));
  expect(FakeSocket.last.said).toHaveLength(0);
});

test("a fresh token that comes during the handshake is told after it", () => {
  FakeSocket.last.readyState = 0;
  client.refresh("fresh");
  expect(FakeSocket.last.said).toHaveLength(0);
  FakeSocket.last.readyState = 1;
  FakeSocket.last.say(event("notifier.subscribed"));
  expect(FakeSocket.last.said).toMatchObject([{ type: "notifier.refresh", data: { token: "fresh" } }]);
});

test("a good token that has ended is asked for anew, and the fresh one resumes at the cursor", () => {
  FakeSocket.last.say(event("notifier.subscribed", { cursor: "c3" }));
  FakeSocket.last.end(4401, "token_expired");
  expect(handlers.expired).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.opened).toHaveLength(1);
  client.refresh("fresh");
  expect(FakeSocket.last.protocols).toContain("bearer.fresh");
  expect(FakeSocket.last.url.searchParams.get("after")).toBe("c3");
  // One that is refused at once is no reason to ask for ever.
  FakeSocket.last.end(4401, "invalid_token");
  expect(handlers.expired).toHaveBeenCalledOnce();
  expect(handlers.light).toHaveBeenLastCalledWith("refused", "invalid_token");
});

test("a fresh token that was told to a connection whose old one has just ended is tried once more", () => {
  FakeSocket.last.say(event("notifier.subscribed", { cursor: "c3" }));
  client.refresh("fresh");
  FakeSocket.last.end(4401, "token_expired");
  vi.advanceTimersByTime(1_000);
  expect(handlers.expired).not.toHaveBeenCalled();
  expect(FakeSocket.opened).toHaveLength(2);
  expect(FakeSocket.last.protocols).toContain("bearer.fresh");
  FakeSocket.last.end(4401, "invalid_token");
  vi.advanceTimersByTime(10_000);
  expect(FakeSocket.opened).toHaveLength(2);
  expect(handlers.light).toHaveBeenLastCalledWith("refused", "invalid_token");
});

test("a fresh token that was taken and ends in its turn is asked for anew at once", () => {
  FakeSocket.last.say(event("notifier.subscribed"));
  client.refresh("fresh");
  FakeSocket.last.say(event("notifier.heartbeat"));
  FakeSocket.last.end(4401, "token_expired");
  expect(handlers.expired).toHaveBeenCalledOnce();
});

test("a token that was refused at once is asked for anew after a while, each time", () => {
  for (let refused = 1; refused < 4; refused++) {
    FakeSocket.last.end(4401, "invalid_token");
    vi.advanceTimersByTime(29_000);
    expect(handlers.expired).toHaveBeenCalledTimes(refused - 1);
    vi.advanceTimersByTime(60_000);
    expect(handlers.expired).toHaveBeenCalledTimes(refused);
    expect(FakeSocket.opened).toHaveLength(refused);
    client.refresh(`fresh${refused}`);
  }
  client.stop();
  vi.advanceTimersByTime(60_000);
  expect(handlers.expired).toHaveBeenCalledTimes(3);
});

test("a network that goes and comes is followed at once", () => {
  const first = FakeSocket.last;
  first.say(event("notifier.subscribed", { cursor: "c5" }));
  client.lost();
  expect(first.closedWith).toBe(1000);
  expect(handlers.light).toHaveBeenLastCalledWith("offline", undefined);
  client.retryNow();
  client.retryNow();
  expect(FakeSocket.opened).toHaveLength(2);
  expect(FakeSocket.last.url.searchParams.get("after")).toBe("c5");
  first.say(event("order-created"));
  first.end(1006);
  vi.advanceTimersByTime(10_000);
  expect(handlers.event).not.toHaveBeenCalled();
  expect(FakeSocket.opened).toHaveLength(2);
});

test.each([1013, 4508])("close code %i is tried again", (code) => {
  FakeSocket.last.end(code);
  vi.advanceTimersByTime(1_000);
  expect(FakeSocket.opened).toHaveLength(2);
});

test("a cursor that is gone is forgotten, and the stream begins anew", () => {
  FakeSocket.last.say(event("order-created"));
  FakeSocket.last.end(4410);
  vi.advanceTimersByTime(1_000);
  expect(FakeSocket.last.url.searchParams.has("after")).toBe(false);
  FakeSocket.last.say(event("notifier.subscribed"));
  expect(handlers.subscribed).toHaveBeenCalledExactlyOnceWith(false);
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
  expect(FakeSocket.opened).toHaveLength(2);
  // The notifier says how often it speaks.
  FakeSocket.last.say(event("notifier.subscribed", { data: { heartbeatIntervalMs: 1_000 } }));
  vi.advanceTimersByTime(4_000);
  expect(FakeSocket.opened).toHaveLength(3);
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
