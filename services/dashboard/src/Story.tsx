import { type FormEvent, useEffect, useState } from "react";
import { type Api, Problem } from "./api";
import { clock, day, money, says, shortId } from "./format";
import { canCancel, canEdit } from "./orders";
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
  const [problem, setProblem] = useState<Problem>();

  // Every visible change raises the version, and only then is there a new line.
  useEffect(() => {
    let over = false;
    api.history(order.id).then((lines) => !over && setHistory(lines), (error: Problem) => !over && setProblem(error));
    return () => { over = true; };
  }, [api, order.id, order.version]);

  const act = (call: Promise<Order>) =>
    call.then((changed) => { setProblem(undefined); onChanged(changed); }, async (error: Problem) => {
      setProblem(error);
      // The order moved on meanwhile: show where it is.
      if (error.status === 409 || error.status === 412) onChanged(await api.order(order.id));
    });

  const moveTo = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const change: Partial<Address> = { street: String(form.get("street")), city: String(form.get("city")), postalCode: String(form.get("postalCode")) };
    void act(api.changeAddress(order, change));
  };

  const { shippingAddress: to, shipment } = order;
  return (
    <section aria-labelledby="story" className="card">
      <h2 id="story">Order <code>{shortId(order.id)}</code> <span className="status" data-status={order.status} data-testid="story-status" aria-live="polite">{order.status}</span></h2>
      <ul className="items">
        {order.items.map((i) => <li key={i.sku}>{i.quantity} × {i.name} <span className="price">{money(i.lineTotal)}</span></li>)}
      </ul>
      <dl>
        <dt>Total</dt><dd>{money(order.total)}</dd>
        <dt>To</dt><dd>{to.name}, {to.street}, {to.postalCode} {to.city}, {to.country}</dd>
        {order.note && <><dt>Note</dt><dd>{order.note}</dd></>}
        {shipment && <><dt>Shipment</dt><dd>{shipment.carrier} {shipment.service}{shipment.estimatedDelivery && `, about ${day(shipment.estimatedDelivery)}`}{shipment.trackingNumber && <>, <code>{shipment.trackingNumber}</code></>}</dd></>}
        {order.rejection && <><dt>Short</dt><dd>{order.rejection.items.map((i) => `${i.sku}: ${i.wanted} wanted, ${i.available} there`).join("; ")}</dd></>}
        {order.cancellation && <><dt>Cancellation</dt><dd>{order.cancellation.outcome}</dd></>}
        {order.addressChange && <><dt>New address</dt><dd>{order.addressChange.outcome}</dd></>}
        {order.failure && <><dt>Failed</dt><dd>{order.failure.reason}</dd></>}
      </dl>
      <ol className="timeline" aria-label="Timeline">
        {history.map((line) => (
          <li key={`${line.source} ${line.type} ${line.sequence}`} data-type={line.type}>
            <time dateTime={line.time}>{clock(line.time)}</time> {says(line)} <small>{line.source}</small>
          </li>
        ))}
      </ol>
      {canEdit(order) && (
        <details>
          <summary>Send it somewhere else</summary>
          <form onSubmit={moveTo} key={order.addressRevision}>
            <label className="field">Street <input name="street" defaultValue={to.street} required maxLength={200} /></label>
            <label className="field">City <input name="city" defaultValue={to.city} required maxLength={200} /></label>
            <label className="field">Postal code <input name="postalCode" defaultValue={to.postalCode} required maxLength={200} /></label>
            <button>Change the address</button>
          </form>
        </details>
      )}
      {problem && <p role="alert" className="problem">{problem.message}</p>}
      <p className="actions">
        {canCancel(order) && <button className="danger" onClick={() => void act(api.cancel(order.id))}>Cancel the order</button>}
        <button className="plain" onClick={onClose}>Close</button>
      </p>
    </section>
  );
}
