import { useCallback, useEffect, useRef, useState } from "react";
import type { Api, Session } from "./api";
import { merge, orderOf, type Orders } from "./orders";
import { PushClient, type Light } from "./push";
import type { Order, Product, Stock } from "./types";

/** Stock belongs to no order and has no events: it is read again after an event, at most this often, and now and then. */
const STOCK_AFTER_EVENT_MS = 400;
const STOCK_EVERY_MS = 5_000;

/** useLive keeps products, stock and orders as they are now. */
export function useLive(api: Api, session: Session) {
  const [orders, setOrders] = useState<Orders>(new Map());
  const [products, setProducts] = useState<Product[]>([]);
  const [stock, setStock] = useState<ReadonlyMap<string, Stock>>(new Map());
  const [light, setLight] = useState<{ light: Light; why?: string }>({ light: "connecting" });
  const stockTimer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const take = useCallback((order: Order) => setOrders((known) => merge(known, order)), []);

  useEffect(() => {
    let over = false;
    const failed = (error: unknown) => !over && setLight({ light: "offline", why: (error as Error).message });
    const readStock = () => {
      clearTimeout(stockTimer.current);
      stockTimer.current = undefined;
      api.stock().then((rows) => !over && setStock(new Map(rows.map((row) => [row.sku, row]))), failed);
    };
    const readProducts = () => void api.products().then((rows) => !over && setProducts(rows), failed);
    const readOrders = () => void api.orders().then((list) => !over && list.forEach(take), failed);

    const url = new URL("/v1/events", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const push = new PushClient(url.href, session.token, {
      event(event) {
        const order = orderOf(event);
        if (order) take(order);
        else stockTimer.current ??= setTimeout(readStock, STOCK_AFTER_EVENT_MS);
      },
      // The list is read once nothing can be missed any more; versions sort out which of list and event is newer.
      subscribed() {
        readProducts();
        readStock();
        readOrders();
      },
      gap: readOrders,
      light: (light, why) => !over && setLight({ light, why }),
    });
    push.start();
    const every = setInterval(() => document.visibilityState === "visible" && readStock(), STOCK_EVERY_MS);
    const online = () => push.retryNow();
    window.addEventListener("online", online);
    return () => {
      over = true;
      window.removeEventListener("online", online);
      clearInterval(every);
      clearTimeout(stockTimer.current);
      stockTimer.current = undefined;
      push.stop();
    };
  }, [api, session.token, take]);

  return { orders, products, stock, take, ...light };
}
