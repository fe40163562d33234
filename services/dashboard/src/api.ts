import type { Address, HistoryLine, Order, Page, Product, Stock } from "./types";

/** A refusal of the API: RFC 9457 problem+json. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly errors: { pointer: string; detail: string }[] = [],
    readonly retryAfterMs = 0,
  ) {
    super(detail);
  }
}

export interface Session { customer: string; operator: boolean; token: string; expiresAt: number }

/** Api calls order-api, inventory and shipping through the one origin that the gateway gives them. */
export class Api {
  constructor(private readonly token: string) {}

  products = () => this.all<Product>("/v1/products?limit=100");
  stock = () => this.all<Stock>("/v1/stock?limit=100");
  orders = () => this.call<Page<Order>>("GET", "/v1/orders?limit=50").then((page) => page.items);
  order = (id: string) => this.call<Order>("GET", `/v1/orders/${id}`);
  history = (id: string) => this.call<Page<HistoryLine>>("GET", `/v1/orders/${id}/history`).then((page) => page.items);
  cancel = (id: string) => this.call<Order>("POST", `/v1/orders/${id}/cancel`);

  /** place repeats safely: the same key never makes a second order. */
  place = (key: string, items: { sku: string; quantity: number }[], shippingAddress: Address, note: string) =>
    this.call<Order>("POST", "/v1/orders", { items, shippingAddress, note }, { "Idempotency-Key": key });

  changeAddress = (order: Order, shippingAddress: Partial<Address>) =>
    this.call<Order>("PATCH", `/v1/orders/${order.id}`, { shippingAddress }, {
      "If-Match": `"${order.revision}.${order.version}"`,
      "Content-Type": "application/merge-patch+json",
    });

  /** all follows the pages of a list to their end. */
  private async all<T>(path: string): Promise<T[]> {
    const items: T[] = [];
    for (let next: string | undefined; ; ) {
      const page: Page<T> = await this.call("GET", next ? `${path}&after=${encodeURIComponent(next)}` : path);
      items.push(...page.items);
      next = page.next;
      if (!next) return items;
    }
  }

  private call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    if (this.token) headers = { Authorization: `Bearer ${this.token}`, ...headers };
    return request(method, path, body, headers);
  }
}

/** signIn asks for a development token; a system without the development login answers 404. */
export async function signIn(customer: string, operator: boolean): Promise<Session> {
  const answer = await request<{ token: string; expiresAt: string }>("POST", "/dev/token", { customer, operator });
  return { customer, operator, token: answer.token, expiresAt: Date.parse(answer.expiresAt) };
}

async function request<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const init: RequestInit = { method, headers };
  if (body !== undefined) {
    init.headers = { "Content-Type": "application/json", ...headers };
    init.body = JSON.stringify(body);
  }
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new Problem(0, "unreachable", "Orderwire cannot be reached.");
  }
  if (answer.ok) return (await answer.json()) as T;
  const problem = await answer.json().catch(() => ({}));
  throw new Problem(
    answer.status,
    problem.code ?? "unknown",
    problem.detail ?? problem.title ?? `${method} ${path} was answered ${answer.status}`,
    problem.errors ?? [],
    1000 * Number(answer.headers.get("Retry-After") ?? 0),
  );
}
