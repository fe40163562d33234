import { useMemo, useState } from "react";
import { Api, type Session } from "./api";
import { OrderList } from "./OrderList";
import { Shop } from "./Shop";
import { SignIn } from "./SignIn";
import { Story } from "./Story";
import { useLive } from "./useLive";

/** App is the page: whoever is signed in sees the shop, their orders and one order's story. */
export function App() {
  const [session, setSession] = useState<Session>();
  return (
    <>
      <a className="skip" href="#main">Skip to the orders</a>
      <SignIn session={session} onSession={setSession} />
      {session && <Board key={session.token} session={session} />}
    </>
  );
}

function Board({ session }: { session: Session }) {
  const api = useMemo(() => new Api(session.token), [session.token]);
  const live = useLive(api, session);
  const [selected, select] = useState("");
  const order = live.orders.get(selected);
  return (
    <>
      <p className="light" role="status" data-light={live.light}>
        <span className="lamp" aria-hidden="true" />
        {live.light}
        {live.why && ` — ${live.why}`}
      </p>
      <main id="main" className="board">
        <Shop api={api} products={live.products} stock={live.stock} onPlaced={(placed) => { live.take(placed); select(placed.id); }} />
        <OrderList orders={live.orders} selected={selected} onSelect={select} operator={session.operator} />
        {order && <Story key={order.id} api={api} order={order} onChanged={live.take} onClose={() => select("")} />}
      </main>
    </>
  );
}
