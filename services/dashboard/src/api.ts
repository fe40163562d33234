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

/** Who is signed in, and until when (in milliseconds, Infinity when nobody knows). */
export interface Session { customer: string; operator: boolean; token: string; expiresAt: number }

/** Api calls the services through the one origin that the gateway gives them, with the token of the moment. */
export class Api {
  constructor(private readonly token: () => string) {}

  products = () => this.all<Product>("/v1/products?limit=100");
  stock = () => this.all<Stock>("/v1/stock?limit=100");
  /** orders gives a page, newest first; `after` is the `next` of the page before. */
  orders = (after?: string) => this.call<Page<Order>>("GET", pageOf("/v1/orders?limit=50", after));
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
      const page: Page<T> = await this.call("GET", pageOf(path, next));
      items.push(...page.items);
      next = page.next;
      if (!next) return items;
    }
  }

  private call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    return request(method, path, body, { Authorization: `Bearer ${this.token()}`, ...headers });
  }
}

const pageOf = (path: string, after?: string): string => (after ? `${path}&after=${encodeURIComponent(after)}` : path);

/** signIn asks for a development token; a system without the development login answers 404. */
export async function signIn(customer: string, operator: boolean): Promise<Session> {
  const answer = await request<{ token: string; expiresAt: string }>("POST", "/dev/token", { customer, operator });
  return { customer, operator, token: answer.token, expiresAt: Date.parse(answer.expiresAt) };
}

/** sessionOf reads what a token says of itself; whether it is true, the services find out. */
export function sessionOf(token: string): Session {
  try {
    const [, claims] = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token)!;
    const bytes = Uint8Array.from(atob(claims!.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const { sub, roles, exp } = JSON.parse(new TextDecoder().decode(bytes)) as { sub: string; roles?: string[]; exp?: number };
    return { customer: sub, operator: roles?.includes("operator") ?? false, token, expiresAt: 1000 * (exp ?? Infinity) };
  } catch {
    throw new Problem(0, "no_token", "That is no token: a JWT has three parts with dots between them.");
  }
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
