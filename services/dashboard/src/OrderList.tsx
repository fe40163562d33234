import { clock, money, shortId } from "./format";
import { newestFirst, type Orders } from "./orders";

interface Props {
  orders: Orders;
  selected: string;
  operator: boolean;
  onSelect(id: string): void;
}

/** OrderList shows the orders that the signed-in person may see, newest first; their status changes by itself. */
export function OrderList({ orders, selected, operator, onSelect }: Props) {
  const list = newestFirst(orders);
  return (
    <section aria-labelledby="orders" className="card">
      <h2 id="orders">{operator ? "All orders" : "My orders"}</h2>
      {list.length === 0 && <p>None yet.</p>}
      <ul className="orders">
        {list.map((order) => (
          <li key={order.id}>
            <button className="row" aria-pressed={order.id === selected} onClick={() => onSelect(order.id)} data-testid={`order-${order.id}`}>
              <span><code>{shortId(order.id)}</code>{operator && ` ${order.customerId}`}</span>
              <span>{clock(order.createdAt)}</span>
              <span>{money(order.total)}</span>
              <span className="status" data-status={order.status}>{order.status}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
