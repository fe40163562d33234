import { useCallback, useEffect, useRef, useState } from "react";
import { Api, type Session } from "./api";
import { Lamp } from "./Lamp";
import { OrderList } from "./OrderList";
import { Shop } from "./Shop";
import { SignIn } from "./SignIn";
import { Story } from "./Story";
import type { Order } from "./types";
import { useLive } from "./useLive";

/** App is the page: whoever is signed in sees the shop, their orders and one order's story. */
export function App() {
  const [session, setSession] = useState<Session>();
  const [expired, setExpired] = useState("");
  return (
    <>
      <a className="skip" href="#orders">Skip to the orders</a>
      <SignIn session={session} expired={expired} onSession={setSession} />
      {/* Somebody else begins anew; a fresh token of the same person goes on. */}
      {session && <Board key={`${session.customer} ${session.operator}`} session={session} onExpired={setExpired} />}
    </>
  );
}

/** Board is what one person sees. */
function Board({ session, onExpired }: { session: Session; onExpired(token: string): void }) {
  const token = useRef(session.token);
  useEffect(() => { token.current = session.token; }, [session.token]);
  const [api] = useState(() => new Api(() => token.current));
  const live = useLive(api, session, useCallback(() => onExpired(token.current), [onExpired]));
  const { book } = live;
  const [selected, setSelected] = useState("");
  const select = useCallback((id: string) => {
    book.pin(id);
    setSelected(id);
  }, [book]);
  const close = () => {
    (document.getElementById(`order-${selected}`) ?? document.getElementById("orders"))?.focus();
    select("");
  };
  const placed = useCallback((order: Order) => {
    book.take(order);
    select(order.id);
  }, [book, select]);

  const order = book.get(selected);
  const missing = selected !== "" && !order; // gone with the list in a gap
  useEffect(() => {
    if (missing) api.order(selected).then(book.take, () => setSelected(""));
  }, [api, book, missing, selected]);

  return (
    <>
      <Lamp light={live.light} why={live.why} onRetry={live.retry} />
      {live.trouble.length > 0 && <div role="alert" className="problem">{live.trouble.map((t) => <p key={t}>{t}</p>)}</div>}
      <main className="board">
        <Shop api={api} products={live.products} stock={live.stock} onPlaced={placed} />
        <OrderList
          orders={live.orders} read={live.read} more={live.more} full={live.full}
          selected={selected} onSelect={select} operator={session.operator}
        />
        {order
          ? <Story key={order.id} api={api} order={order} onChanged={book.take} onClose={close} />
          : <p className="card empty">Choose an order to see its story.</p>}
      </main>
    </>
  );
}
