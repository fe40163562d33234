import { type FormEvent, memo, useRef, useState } from "react";
import { AddressFields, addressIn } from "./AddressFields";
import type { Api, Problem } from "./api";
import { money } from "./format";
import type { Address, Order, Product, Stock } from "./types";

const DEMO_ADDRESS: Address = { name: "Demo Customer", street: "1 Long Lane", city: "Dublin", postalCode: "D02 X285", country: "IE" };
/** The most of one product in an order. */
const MOST = 1_000;

/** crypto.randomUUID is for https and localhost only. */
const randomKey = (): string => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

const NONE: Product[] = [];

interface Props {
  api: Api;
  /** undefined: not read yet. */
  products?: Product[];
  stock?: ReadonlyMap<string, Stock>;
  onPlaced(order: Order): void;
}

/** Shop lists the products with their stock as it is now, and places an order. */
export const Shop = memo(function Shop({ api, products = NONE, stock, onPlaced }: Props) {
  const [cart, setCart] = useState<Readonly<Record<string, number>>>({});
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  // One key for one order: a second click or a repeat after a lost answer is the same order.
  const key = useRef({ of: "", key: "" });

  // What has left the price list since it was chosen is not ordered.
  const items = products.filter((p) => (cart[p.sku] ?? 0) > 0).map((p) => ({ sku: p.sku, quantity: cart[p.sku]! }));
  const currency = products[0]?.unitPrice.currency;
  const total = products.reduce((sum, p) => sum + p.unitPrice.amount * (cart[p.sku] ?? 0), 0);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (busy) return;
    const form = new FormData(event.currentTarget);
    const address = addressIn(form);
    const note = String(form.get("note"));
    const of = JSON.stringify([items, address, note]);
    if (key.current.of !== of) key.current = { of, key: randomKey() };
    setBusy(true);
    try {
      onPlaced(await api.place(key.current.key, items, address, note));
      key.current = { of: "", key: "" };
      setCart({});
      setProblem(undefined);
    } catch (error) {
      setProblem(error as Problem);
    } finally {
      setBusy(false);
    }
  };

  return (
    <section aria-labelledby="shop" className="card">
      <h2 id="shop">Products</h2>
      <form onSubmit={(event) => void submit(event)}>
        <ul className="products">
          {products.map((p) => {
            const available = stock?.get(p.sku)?.available ?? 0;
            return (
              <li key={p.sku}>
                <label htmlFor={`q-${p.sku}`}>{p.name}</label>
                <span className="price">{money(p.unitPrice)}</span>
                <span id={`s-${p.sku}`} className={!stock || available > 0 ? "stock" : "stock none"} data-testid={`stock-${p.sku}`}>
                  {!stock ? "…" : available > 0 ? `${available} in stock` : "out of stock"}
                </span>
                <input
                  id={`q-${p.sku}`} aria-describedby={`s-${p.sku}`} type="number" inputMode="numeric" min={0} max={MOST} placeholder="0"
                  value={cart[p.sku] || ""} onChange={(e) => setCart({ ...cart, [p.sku]: Math.max(0, Math.trunc(Number(e.target.value))) })}
                />
              </li>
            );
          })}
        </ul>
        {products === NONE && <p className="soft">Reading…</p>}
        {products !== NONE && products.length === 0 && <p>No products yet. An operator adds them: <code>orderctl seed</code>.</p>}
        <details>
          <summary>Ship to</summary>
          <AddressFields address={DEMO_ADDRESS} />
          <label className="field">Note <input name="note" maxLength={1000} /></label>
        </details>
        <button disabled={items.length === 0} aria-busy={busy}>Place the order{currency && total > 0 && ` · ${money({ amount: total, currency })}`}</button>
        {problem && (
          <div role="alert" className="problem">
            {problem.message}
            {problem.errors.length > 0 && <ul>{problem.errors.map((e) => <li key={e.pointer + e.detail}><code>{e.pointer}</code> {e.detail}</li>)}</ul>}
          </div>
        )}
      </form>
    </section>
  );
});
