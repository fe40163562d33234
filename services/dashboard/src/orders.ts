import type { CloudEvent, Order } from "./types";

/** The most orders that the page keeps; an operator's page may hear of any number. */
const KEPT = 1_000;
/** Listeners hear of a change at once, and of a stream of changes this often. */
const TELL_EVERY_MS = 100;

/**
 * OrderBook holds the newest orders, from lists, answers and events alike, in whichever order they come: only a newer
 * version counts.
 */
export class OrderBook {
  private readonly orders = new Map<string, Order>();
  private list: readonly Order[] = [];
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private changed = false;
  private pinned = "";
  private doubted = new Set<string>();

  /** take gives whether there was one among them that was not known. */
  take = (...orders: Order[]): boolean => {
    let unknown = false;
    for (const order of orders) {
      const known = this.orders.get(order.id);
      const sure = !this.doubted.delete(order.id);
      if (known && sure && known.version >= order.version) continue;
      this.orders.set(order.id, order);
      this.changed = true;
      unknown ||= !known;
    }
    this.tell();
    return unknown;
  };

  /** pin keeps one order, however old it is. */
  pin(id: string): void {
    this.pinned = id;
  }

  /**
   * doubt is for changes that nobody tells any more: whatever is taken from now on replaces what is held, and what has not
   * been replaced by the time of settle is forgotten. Meanwhile it is there to be seen.
   */
  doubt(): void {
    this.doubted = new Set(this.orders.keys());
  }

  settle(): void {
    for (const id of this.doubted) this.changed = this.orders.delete(id) || this.changed;
    this.doubted.clear();
    this.tell();
  }

  get = (id: string): Order | undefined => this.orders.get(id);

  /** newest gives them newest first; the same list until something changes. */
  newest = (): readonly Order[] => this.list;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** full tells whether older orders than these are not kept. */
  get full(): boolean {
    return this.list.length >= KEPT;
  }

  private tell(): void {
    if (this.timer === undefined) this.draw();
  }

  private draw(): void {
    this.timer = undefined;
    if (!this.changed) return;
    this.changed = false;
    this.timer = setTimeout(() => this.draw(), TELL_EVERY_MS);
    const list = newestFirst(this.orders.values());
    for (const { id } of list.slice(KEPT)) if (id !== this.pinned) this.orders.delete(id);
    this.list = list.slice(0, KEPT);
    this.listeners.forEach((listener) => listener());
  }
}

/** orderOf gives the order that an event carries: order-api's events carry it whole, the others tell a part. */
export function orderOf(event: CloudEvent): Order | undefined {
  return event.source === "order-api" ? (event.data as Order) : undefined;
}

/** newestFirst sorts for the list; ids are UUIDv7 and sort by time of creation. */
export function newestFirst(orders: Iterable<Order>): Order[] {
  return [...orders].sort((a, b) => (a.id < b.id ? 1 : -1));
}

/** canCancel and canEdit say what order-api will accept. */
export const canCancel = (order: Order): boolean => order.status === "pending" || order.status === "confirmed";
export const canEdit = canCancel;
