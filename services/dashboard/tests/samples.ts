import type { CloudEvent, Order } from "../src/types";

export function order(change: Partial<Order>): Order {
  return {
    id: "o1", customerId: "demo", status: "pending", version: 1, revision: 1,
    items: [{ sku: "mug-blue", name: "Blue mug", quantity: 2, unitPrice: { amount: 1250, currency: "EUR" }, lineTotal: { amount: 2500, currency: "EUR" } }],
    total: { amount: 2500, currency: "EUR" },
    shippingAddress: { name: "D", street: "1 Long Lane", city: "Dublin", postalCode: "D02", country: "IE" },
    addressRevision: 0, note: "", createdAt: "2026-11-24T10:00:00Z", updatedAt: "2026-11-24T10:00:00Z", ...change,
  };
}

export function event(type: string, change: Partial<CloudEvent> = {}): CloudEvent {
  return { specversion: "1.0", id: "e", source: "order-api", type, subject: "o1", topic: "order-events", sequence: "0000000001", cursor: "c1", ...change };
}

/** FakeSocket stands in for the browser's WebSocket; `opened` holds every connection made. */
export class FakeSocket {
  static opened: FakeSocket[] = [];
  static get last(): FakeSocket { return FakeSocket.opened.at(-1)!; }
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((close: { code: number; reason: string }) => void) | null = null;
  closedWith: number | undefined;
  readyState = 1;
  said: unknown[] = [];
  constructor(readonly url: URL, readonly protocols: string[]) { FakeSocket.opened.push(this); }
  close(code?: number) { this.closedWith = code ?? 1005; }
  send(text: string) { this.said.push(JSON.parse(text)); }
  say(event: CloudEvent) { this.onmessage?.({ data: JSON.stringify(event) }); }
  end(code: number, reason = "") { this.onclose?.({ code, reason }); }
}
