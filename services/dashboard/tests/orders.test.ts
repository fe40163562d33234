import { expect, test } from "vitest";
import { canCancel, merge, newestFirst, orderOf, type Orders } from "../src/orders";
import { order } from "./samples";

test("an older version never replaces a newer one, whichever comes first", () => {
  const versions = [order({ version: 1 }), order({ version: 2, status: "confirmed" }), order({ version: 3, status: "shipped" })];
  for (const shuffled of permutations(versions)) {
    const end = [...shuffled, ...shuffled].reduce<Orders>(merge, new Map());
    expect(end.get("o1")).toEqual(versions[2]);
  }
});

test("merge leaves the map alone when nothing is new, so that nothing is drawn again", () => {
  const orders = merge(new Map(), order({ version: 2 }));
  expect(merge(orders, order({ version: 2 }))).toBe(orders);
});

test("only order-api's events carry an order", () => {
  expect(orderOf({ specversion: "1.0", id: "1", source: "order-api", type: "order-updated", data: order({}) })?.id).toBe("o1");
  expect(orderOf({ specversion: "1.0", id: "1", source: "shipping", type: "shipment-scheduled", data: { id: "o1" } })).toBeUndefined();
});

test("the newest order comes first", () => {
  const orders = [order({ id: "a" }), order({ id: "c" }), order({ id: "b" })].reduce<Orders>(merge, new Map());
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
