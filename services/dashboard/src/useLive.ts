import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { Api, Session } from "./api";
import { OrderBook, orderOf } from "./orders";
import { PushClient, type Light } from "./push";
import { Reading } from "./reading";
import type { Product, Stock } from "./types";

/** Stock belongs to no order and has no events: it is read again soon after an event, and now and then. */
const STOCK_AFTER_EVENT_MS = 400;
const STOCK_EVERY_MS = 5_000;
const PRODUCTS_EVERY_MS = 60_000;

/** useLive keeps products, stock and orders of one person as they are now; a fresh token changes nothing of that. */
export function useLive(api: Api, session: Session, onExpired: () => void) {
  const [book] = useState(() => new OrderBook());
  const [products, setProducts] = useState<Product[]>();
  const [stock, setStock] = useState<ReadonlyMap<string, Stock>>();
  const [light, setLight] = useState<{ light: Light; why?: string }>({ light: "connecting" });
  const [trouble, setTrouble] = useState<Readonly<Record<string, string>>>({});
  const [older, setOlder] = useState<{ after?: string; known: boolean }>({ known: false });
  const push = useRef<PushClient>(undefined);
  const beginning = useRef(0); // another one whenever the list begins anew: an answer to what was asked before is out of date
  const token = useRef(session.token);
  const expired = useRef(onExpired);
  const orders = useSyncExternalStore(book.subscribe, book.newest);

  useEffect(() => {
    expired.current = onExpired;
    token.current = session.token;
    push.current?.refresh(session.token);
  }, [session.token, onExpired]);

  useEffect(() => {
    let over = false;
    let begun = -1; // the beginning from which the list goes on
    const reading = (name: string, read: () => Promise<void>) =>
      new Reading(read, (why) => setTrouble((all) => (all[name] === why ? all : { ...all, [name]: why })));
    const readings = {
      stock: reading("The stock", async () => {
        const rows = await api.stock();
        if (!over) setStock(new Map(rows.map((row) => [row.sku, row])));
      }),
      products: reading("The list of products", async () => {
        const rows = await api.products();
        if (!over) setProducts(rows);
      }),
      orders: reading("The list of orders", async () => {
        const asked = beginning.current;
        const page = await api.orders();
        if (over || asked !== beginning.current) return;
        book.take(...page.items);
        if (asked === begun) return;
        book.settle();
        setOlder({ after: page.next, known: true });
        begun = ++beginning.current; // older orders that are on their way belong to the list that was
      }),
    };

    /** anew is for changes that nobody has told: the orders that are read next are all that counts. */
    const anew = () => {
      beginning.current++;
      book.doubt();
    };
    const readAll = () => Object.values(readings).forEach((r) => r.now());

    const url = new URL("/v1/events", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const client = new PushClient(url.href, token.current, {
      event(event) {
        const order = orderOf(event);
        if (order) book.take(order);
        else readings.stock.within(STOCK_AFTER_EVENT_MS);
      },
      // Lists are read once nothing can be missed any more; versions sort out which of list and event is newer.
      subscribed(resumed) {
        if (!resumed) anew();
        readAll();
      },
      gap() {
        anew();
        readings.orders.now();
      },
      expired: () => expired.current(),
      light: (light, why) => !over && setLight({ light, why }),
    });
    push.current = client;
    client.start();
    readAll(); // also where the notifier is away

    const visible = () => document.visibilityState === "visible";
    const every = [
      setInterval(() => visible() && readings.stock.now(), STOCK_EVERY_MS),
      setInterval(() => visible() && readings.products.now(), PRODUCTS_EVERY_MS),
    ];
    const online = () => client.retryNow();
    const offline = () => client.lost();
    const looked = () => {
      if (visible()) readings.stock.now();
    };
    window.addEventListener("online", online);
    window.addEventListener("offline", offline);
    document.addEventListener("visibilitychange", looked);
    return () => {
      over = true;
      window.removeEventListener("online", online);
      window.removeEventListener("offline", offline);
      document.removeEventListener("visibilitychange", looked);
      every.forEach(clearInterval);
      Object.values(readings).forEach((r) => r.stop());
      client.stop();
    };
  }, [api, book]);

  /** more reads older orders, until there is one that was not known. */
  const more = useCallback(async () => {
    const asked = beginning.current;
    for (let { after } = older; after; ) {
      const page = await api.orders(after);
      if (asked !== beginning.current) return;
      const news = book.take(...page.items);
      after = page.next;
      setOlder({ after, known: true });
      if (news) return;
    }
  }, [api, book, older]);

  const retry = useCallback(() => push.current?.retryNow(), []);

  return {
    orders, book, products, stock, retry,
    read: older.known, full: book.full, more: older.after && !book.full ? more : undefined,
    trouble: Object.entries(trouble).filter(([, why]) => why).map(([what, why]) => `${what} cannot be read: ${why}`),
    ...light,
  };
}
