import type { HistoryLine, Money } from "./types";

// A formatter takes longer to make than to use.
const currencies = new Map<string, Intl.NumberFormat>();
const clocks = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export function money({ amount, currency }: Money): string {
  const format = currencies.get(currency) ?? new Intl.NumberFormat(undefined, { style: "currency", currency });
  currencies.set(currency, format);
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(amount / 10 ** digits);
}

export const day = (time: string): string => days.format(new Date(time));

/** when is the time of day, and the day where it is not today. */
export function when(time: string): string {
  const at = new Date(time);
  const clock = clocks.format(at);
  return at.toDateString() === new Date().toDateString() ? clock : `${days.format(at)}, ${clock}`;
}

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
