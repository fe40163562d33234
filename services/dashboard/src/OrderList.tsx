import { memo, useState } from "react";
import type { Problem } from "./api";
import { money, shortId, when } from "./format";
import type { Order } from "./types";

/** So many rows are drawn at first, and so many more at each wish. */
const ROWS = 50;

interface Props {
  orders: readonly Order[]; // newest first
  read: boolean; // there has been an answer
  more?: () => Promise<void>; // reads older ones, where there are any
  full: boolean; // older ones are not kept
  selected: string;
  operator: boolean;
  onSelect(id: string): void;
}

/** OrderList shows the orders that the signed-in person may see, newest first; their status changes by itself. */
export function OrderList({ orders, read, more, full, selected, operator, onSelect }: Props) {
  const [rows, setRows] = useState(ROWS);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");

  const show = async () => {
    if (busy) return;
    setBusy(true);
    try {
      if (orders.length < rows + ROWS) await more?.();
      setRows(rows + ROWS);
      setProblem("");
    } catch (error) {
      setProblem((error as Problem).message);
    } finally {
      setBusy(false);
    }
  };

  return (
    <section aria-labelledby="orders" className="card">
      <h2 id="orders" tabIndex={-1}>{operator ? "All orders" : "My orders"}</h2>
      {orders.length === 0 && <p className="soft">{read ? "None yet. Choose how many of a product, then place the order." : "Reading…"}</p>}
      <ul className="orders">
        {orders.slice(0, rows).map((order) => (
          <Row key={order.id} order={order} selected={order.id === selected} operator={operator} onSelect={onSelect} />
        ))}
      </ul>
      {(more || orders.length > rows) && <button className="plain" aria-busy={busy} onClick={() => void show()}>Show older orders</button>}
      {full && orders.length <= rows && <p className="soft">This page keeps the newest {orders.length} orders; the API has them all.</p>}
      {problem && <p role="alert" className="problem">{problem}</p>}
    </section>
  );
}

/** Row is drawn again only when its order changes, however many others do. */
const Row = memo(function Row({ order, selected, operator, onSelect }: { order: Order; selected: boolean } & Pick<Props, "operator" | "onSelect">) {
  return (
    <li>
      <button id={`order-${order.id}`} className="row" aria-pressed={selected} onClick={() => onSelect(order.id)} data-testid={`order-${order.id}`}>
        <span>
          <code>{shortId(order.id)}</code>{operator && <small> {order.customerId}</small>}<br />
          <small><time dateTime={order.createdAt}>{when(order.createdAt)}</time></small>
        </span>
        <span className="price">{money(order.total)}</span>
        <span className="status" data-status={order.status}>{order.status}</span>
      </button>
    </li>
  );
});
