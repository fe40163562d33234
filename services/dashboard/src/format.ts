import type { HistoryLine, Money } from "./types";

export function money({ amount, currency }: Money): string {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(amount / 10 ** digits);
}

export const clock = (time: string): string =>
  new Date(time).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** when is the time of day, and the day where it is not today. */
export const when = (time: string): string =>
  new Date(time).toDateString() === new Date().toDateString() ? clock(time) : `${day(time)}, ${clock(time)}`;

export const day = (time: string): string => new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short" });

/** shortId shows the part of a UUIDv7 that differs from one order to the next. */
export const shortId = (id: string): string => id.slice(-8);

const SAYS: Record<string, string> = {
  "order-created": "Order placed",
  "order-updated": "Order changed",
  "order-cancel-requested": "Cancellation asked for",
  "stock-reserved": "Every item is held",
  "stock-rejected": "Not enough in stock",
  "stock-released": "Stock given back",
  "shipment-scheduled": "Shipment scheduled",
  "shipment-updated": "Goes to the new address",
  "shipment-update-refused": "Too late for the new address",
  "shipment-dispatched": "On its way",
  "shipment-delivered": "Delivered",
  "shipment-cancelled": "Shipment stopped",
  "shipment-cancel-refused": "Too late to stop it",
  "shipment-failed": "Shipment failed",
};

/** says puts a line of the history in words; a type of a newer release is shown as it is. */
export const says = (line: HistoryLine): string => SAYS[line.type] ?? line.type;
