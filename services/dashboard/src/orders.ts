import type { CloudEvent, Order } from "./types";

/** Orders by id. Pure functions, so that any order of lists and events ends the same. */
export type Orders = ReadonlyMap<string, Order>;

/** merge takes an order from a list, an answer or an event; only a newer version counts. */
export function merge(orders: Orders, order: Order): Orders {
  const known = orders.get(order.id);
  if (known && known.version >= order.version) return orders;
  return new Map(orders).set(order.id, order);
}

/** orderOf gives the order that an event carries: order-api's events carry it whole, the others tell a part. */
export function orderOf(event: CloudEvent): Order | undefined {
  return event.source === "order-api" ? (event.data as Order) : undefined;
}

/** newestFirst sorts for the list; ids are UUIDv7 and sort by time of creation. */
export function newestFirst(orders: Orders): Order[] {
  return [...orders.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
}

/** canCancel and canEdit say what order-api will accept. */
export const canCancel = (order: Order): boolean => order.status === "pending" || order.status === "confirmed";
export const canEdit = canCancel;
