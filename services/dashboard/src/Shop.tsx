import { type FormEvent, useRef, useState } from "react";
import { type Api, Problem } from "./api";
import { money } from "./format";
import type { Address, Order, Product, Stock } from "./types";

const DEMO_ADDRESS: Address = { name: "Demo Customer", street: "1 Long Lane", city: "Dublin", postalCode: "D02 X285", country: "IE" };
const ADDRESS_FIELDS: [keyof Address, string, string][] = [
  ["name", "Name", "name"], ["street", "Street", "street-address"], ["city", "City", "address-level2"],
  ["postalCode", "Postal code", "postal-code"], ["country", "Country (two letters)", "country"],
];

interface Props {
  api: Api;
  products: Product[];
  stock: ReadonlyMap<string, Stock>;
  onPlaced(order: Order): void;
}

/** Shop lists the products with their stock as it is now, and places an order. */
export function Shop({ api, products, stock, onPlaced }: Props) {
  const [cart, setCart] = useState<Readonly<Record<string, number>>>({});
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  // One key for one order: a second click or a repeat after a lost answer is the same order.
  const key = useRef({ of: "", key: "" });

  const items = Object.entries(cart).filter(([, quantity]) => quantity > 0).map(([sku, quantity]) => ({ sku, quantity }));
  const currency = products[0]?.unitPrice.currency;
  const total = products.reduce((sum, p) => sum + p.unitPrice.amount * (cart[p.sku] ?? 0), 0);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const address = Object.fromEntries(ADDRESS_FIELDS.map(([field]) => [field, String(form.get(field))])) as unknown as Address;
    const note = String(form.get("note"));
    const of = JSON.stringify([items, address, note]);
    if (key.current.of !== of) key.current = { of, key: crypto.randomUUID() };
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
            const available = stock.get(p.sku)?.available ?? 0;
            return (
              <li key={p.sku}>
                <label htmlFor={`q-${p.sku}`}>{p.name}</label>
                <span className="price">{money(p.unitPrice)}</span>
                <span className={available > 0 ? "stock" : "stock none"} data-testid={`stock-${p.sku}`}>{available} in stock</span>
                <input
                  id={`q-${p.sku}`} type="number" inputMode="numeric" min={0} max={1000} value={cart[p.sku] ?? 0}
                  onChange={(e) => setCart({ ...cart, [p.sku]: Math.max(0, Math.trunc(Number(e.target.value))) })}
                />
              </li>
            );
          })}
        </ul>
        {products.length === 0 && <p>No products yet. An operator adds them: <code>orderctl seed</code>.</p>}
        <details>
          <summary>Ship to</summary>
          {ADDRESS_FIELDS.map(([field, label, autoComplete]) => (
            <label key={field} className="field">{label}
              <input name={field} defaultValue={DEMO_ADDRESS[field]} required maxLength={field === "country" ? 2 : 200} autoComplete={autoComplete} />
            </label>
          ))}
          <label className="field">Note <input name="note" maxLength={1000} /></label>
        </details>
        <button disabled={busy || items.length === 0}>Place the order{currency && total > 0 && ` · ${money({ amount: total, currency })}`}</button>
        {problem && (
          <div role="alert" className="problem">
            {problem.message}
            {problem.errors.length > 0 && <ul>{problem.errors.map((e) => <li key={e.pointer + e.detail}><code>{e.pointer}</code> {e.detail}</li>)}</ul>}
          </div>
        )}
      </form>
    </section>
  );
}
