import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { canCancel, newestFirst, OrderBook, orderOf } from "../src/orders";
import { order } from "./samples";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("an older version never replaces a newer one, whichever comes first", () => {
  const versions = [order({ version: 1 }), order({ version: 2, status: "confirmed" }), order({ version: 3, status: "shipped" })];
  for (const shuffled of permutations(versions)) {
    const book = new OrderBook();
    for (const o of [...shuffled, ...shuffled]) book.take(o);
    expect(book.get("o1")).toEqual(versions[2]);
    vi.runAllTimers();
    expect(book.newest()).toEqual([versions[2]]);
  }
});

test("take tells whether an order was unknown", () => {
  const book = new OrderBook();
  expect(book.take(order({ version: 2 }))).toBe(true);
  expect(book.take(order({ version: 3 }))).toBe(false);
  expect(book.take(order({ version: 1 }), order({ id: "o2" }))).toBe(true);
});

test("nothing is drawn again when nothing is new", () => {
  const book = new OrderBook();
  const drawn = vi.fn();
  book.subscribe(drawn);
  book.take(order({ version: 2 }));
  vi.runAllTimers();
  const list = book.newest();
  book.take(order({ version: 2 }), order({ version: 1 }));
  vi.runAllTimers();
  expect(drawn).toHaveBeenCalledOnce();
  expect(book.newest()).toBe(list);
});

test("the first change is drawn at once, a stream of changes now and then, and the last one always", () => {
  const book = new OrderBook();
  const drawn = vi.fn();
  book.subscribe(drawn);
  for (let version = 1; version <= 500; version++) book.take(order({ version }));
  expect(drawn).toHaveBeenCalledOnce();
  vi.runAllTimers();
  expect(drawn).toHaveBeenCalledTimes(2);
  expect(book.newest()[0]?.version).toBe(500);
});

test("of any number of orders the newest are kept, and the one that is looked at", () => {
  const book = new OrderBook();
  const id = (n: number) => String(n).padStart(6, "0");
  book.take(order({ id: id(0) }));
  book.pin(id(0));
  for (let n = 1; n <= 1_500; n++) book.take(order({ id: id(n) }));
  vi.runAllTimers();
  expect(book.newest()).toHaveLength(1_000);
  expect(book.full).toBe(true);
  expect(book.newest()[0]?.id).toBe(id(1_500));
  expect(book.get(id(1))).toBeUndefined();
  expect(book.get(id(0))).toBeDefined();
});

test("in doubt even an older version counts, and what was not taken again is forgotten when it is settled", () => {
  const book = new OrderBook();
  book.take(order({ version: 5 }), order({ id: "o2", version: 5 }));
  book.doubt();
  vi.runAllTimers();
  expect(book.newest()).toHaveLength(2);
  expect(book.take(order({ version: 3 }))).toBe(false);
  book.take(order({ version: 2 }));
  expect(book.get("o1")?.version).toBe(3);
  book.settle();
  vi.runAllTimers();
  expect(book.newest().map((o) => o.id)).toEqual(["o1"]);
  expect(book.get("o2")).toBeUndefined();
  book.settle();
  expect(book.get("o1")?.version).toBe(3);
});

test("only order-api's events carry an order", () => {
  expect(orderOf({ specversion: "1.0", id: "1", source: "order-api", type: "order-updated", data: order({}) })?.id).toBe("o1");
  expect(orderOf({ specversion: "1.0", id: "1", source: "shipping", type: "shipment-scheduled", data: { id: "o1" } })).toBeUndefined();
});

test("the newest order comes first", () => {
  const orders = [order({ id: "a" }), order({ id: "c" }), order({ id: "b" })];
  expect(newestFirst(orders).map((o) => o.id)).toEqual(["c", "b", "a"]);
});

test("an order can be cancelled until it is shipped, and once", () => {
  const can = (["pending", "confirmed", "cancelling", "cancelled", "shipped", "delivered", "rejected", "failed"] as const).filter((status) => canCancel(order({ status })));
  expect(can).toEqual(["pending", "confirmed"]);
});

function permutations<T>(list: T[]): T[][] {
  if (list.length < 2) return [list];
  return list.flatMap((head, i) => permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((tail) => [head, ...tail]));
}
