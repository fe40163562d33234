/** The shapes of the HTTP API and of the events; an order in an event is the order of the API. */

export interface Money { amount: number; currency: string }
export interface Address { name: string; street: string; city: string; postalCode: string; country: string }
export interface Product { sku: string; name: string; unitPrice: Money }
export interface Stock { sku: string; available: number; reserved?: number; shipped?: number; writtenOff?: number }

export type OrderStatus =
  | "pending" | "confirmed" | "shipped" | "delivered" | "rejected" | "cancelling" | "cancelled" | "failed";

export interface OrderItem { sku: string; name: string; quantity: number; unitPrice: Money; lineTotal: Money }

export interface Order {
  id: string;
  customerId: string;
  status: OrderStatus;
  version: number;
  revision: number;
  items: OrderItem[];
  total: Money;
  shippingAddress: Address;
  addressRevision: number;
  note: string;
  shipment?: {
    id: string; status: string; carrier: string; service: string; cost?: Money;
    estimatedDelivery?: string; trackingNumber?: string; address?: Address;
  };
  rejection?: { items: { sku: string; wanted: number; available: number }[] };
  cancellation?: { requestedAt: string; outcome: "pending" | "done" | "refused" };
  addressChange?: { outcome: "pending" | "accepted" | "refused" };
  failure?: { reason: string };
  createdAt: string;
  updatedAt: string;
}

export interface HistoryLine { time: string; source: string; type: string; sequence: number; version: number }

/** A CloudEvent as the notifier sends it. */
export interface CloudEvent {
  specversion: string;
  id: string;
  source: string;
  type: string;
  subject?: string;
  time?: string;
  sequence?: string;
  customerid?: string;
  topic?: string;
  cursor?: string;
  data?: unknown;
}

export interface Page<T> { items: T[]; next?: string }
