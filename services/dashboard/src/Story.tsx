import { type FormEvent, useEffect, useRef, useState } from "react";
import { AddressFields, addressIn } from "./AddressFields";
import type { Api, Problem } from "./api";
import { day, money, says, shortId, when } from "./format";
import { canCancel, canEdit } from "./orders";
import { Reading } from "./reading";
import type { Address, HistoryLine, Order } from "./types";

interface Props {
  api: Api;
  order: Order;
  onChanged(order: Order): void;
  onClose(): void;
}

/** Story is one order: what is in it, where it is, what happened so far, and what can still be done. */
export function Story({ api, order, onChanged, onClose }: Props) {
  const [history, setHistory] = useState<HistoryLine[]>([]);
  const [unread, setUnread] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);

  // Whoever opens it is led here, also on a phone, where it is below the lists.
  useEffect(() => heading.current?.focus(), []);

  // Every visible change raises the version, and only then is there a new line.
  useEffect(() => {
    const reading = new Reading(async () => {
      const lines = await api.history(order.id);
      setHistory((known) => (lines.length >= known.length ? lines : known)); // it only grows
    }, setUnread);
    reading.now();
    return () => reading.stop();
  }, [api, order.id, order.version]);

  const act = async (call: Promise<Order>) => {
    setBusy(true);
    try {
      onChanged(await call);
      setProblem("");
      heading.current?.focus(); // the button may be gone
    } catch (error) {
      const { status, message } = error as Problem;
      setProblem(message);
      // The order has moved on meanwhile: show where it is. If that fails as well, its event shows it later.
      if (status === 409 || status === 412) await api.order(order.id).then(onChanged, () => undefined);
    } finally {
      setBusy(false);
    }
  };

  const move = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (!busy) void act(api.changeAddress(order, addressIn(new FormData(event.currentTarget))));
  };

  const { shippingAddress: to, shipment } = order;
  const elsewhere = order.addressChange?.outcome === "refused" ? shipment?.address : undefined;
  return (
    <section aria-labelledby="story" className="card story">
      <div className="headline">
        <h2 id="story" tabIndex={-1} ref={heading}>Order <code>{shortId(order.id)}</code></h2>
        <span aria-live="polite"><span className="status" data-status={order.status} data-testid="story-status">{order.status}</span></span>
      </div>
      <ul className="items">
        {order.items.map((i) => <li key={i.sku}>{i.quantity} × {i.name} <span className="price">{money(i.lineTotal)}</span></li>)}
      </ul>
      <dl>
        <dt>Id</dt><dd><code>{order.id}</code></dd>
        <dt>Total</dt><dd>{money(order.total)}</dd>
        <dt>To</dt><dd>{inOneLine(to)}</dd>
        {elsewhere && <><dt>Goes to</dt><dd>{inOneLine(elsewhere)}</dd></>}
        {order.note && <><dt>Note</dt><dd>{order.note}</dd></>}
        {shipment && <><dt>Shipment</dt><dd>{shipment.carrier} {shipment.service}{shipment.estimatedDelivery && `, about ${day(shipment.estimatedDelivery)}`}{shipment.trackingNumber && <>, <code>{shipment.trackingNumber}</code></>}</dd></>}
        {order.rejection && <><dt>Short</dt><dd>{order.rejection.items.map((i) => `${i.sku}: ${i.wanted} wanted, ${i.available} there`).join("; ")}</dd></>}
        {order.cancellation && <><dt>Cancellation</dt><dd>{OUTCOMES[order.cancellation.outcome]}</dd></>}
        {order.addressChange && <><dt>New address</dt><dd>{OUTCOMES[order.addressChange.outcome]}</dd></>}
        {order.failure && <><dt>Failed</dt><dd>{order.failure.reason}</dd></>}
      </dl>
      <ol className="timeline" aria-label="Timeline">
        {history.map((line) => (
          <li key={`${line.source} ${line.type} ${line.sequence}`} data-type={line.type}>
            <span>{says(line)}</span> <small><time dateTime={line.time}>{when(line.time)}</time> · {line.source}</small>
          </li>
        ))}
      </ol>
      {unread && <p role="alert" className="problem">The timeline cannot be read: {unread}</p>}
      {canEdit(order) && (
        <details>
          <summary>Send it somewhere else</summary>
          <form onSubmit={move} key={order.addressRevision}>
            <AddressFields address={to} />
            <button aria-busy={busy}>Change the address</button>
          </form>
        </details>
      )}
      {problem && <p role="alert" className="problem">{problem}</p>}
      <p className="actions">
        {canCancel(order) && <button className="danger" aria-busy={busy} onClick={() => !busy && void act(api.cancel(order.id))}>Cancel the order</button>}
        <button className="plain" onClick={onClose}>Close</button>
      </p>
    </section>
  );
}

/** What became of a wish: of a cancellation or of another address. */
const OUTCOMES = { pending: "asked for", done: "done", accepted: "accepted", refused: "refused, it was too late" };

const inOneLine = (a: Address): string => `${a.name}, ${a.street}, ${a.postalCode} ${a.city}, ${a.country}`;
