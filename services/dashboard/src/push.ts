import type { CloudEvent } from "./types";

/** What the connection light shows. */
export type Light = "connecting" | "catching up" | "live" | "offline" | "refused";

export interface PushHandlers {
  event(event: CloudEvent): void;
  /** The notifier is connected and this client misses nothing from now on: the moment to read a list. */
  subscribed(): void;
  /** Events are gone from the log: read again what they would have told. */
  gap(): void;
  light(light: Light, why?: string): void;
}

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 10_000;
/** The notifier says something at least every 20 s; a connection that is silent much longer is dead. */
const SILENCE_MS = 50_000;

/**
 * PushClient listens to the notifier over a WebSocket and loses nothing: it keeps the cursor of the last message and
 * resumes after it, and it drops repeats by source, subject, topic and sequence.
 */
export class PushClient {
  private socket: WebSocket | undefined;
  private cursor = "";
  private readonly seen = new Map<string, string>();
  private retryMs = FIRST_RETRY_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;

  constructor(
    private readonly url: string,
    private readonly token: string,
    private readonly handlers: PushHandlers,
  ) {}

  start(): void {
    this.handlers.light("connecting");
    const url = new URL(this.url);
    if (this.cursor) url.searchParams.set("after", this.cursor);
    const socket = new WebSocket(url, ["cloudevents.json", `bearer.${this.token}`]);
    this.socket = socket;
    this.watch(socket);
    socket.onmessage = (message) => {
      this.watch(socket);
      this.take(JSON.parse(String(message.data)) as CloudEvent);
    };
    socket.onclose = (close) => {
      if (this.socket === socket) this.closed(close.code, close.reason);
    };
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.watchdog);
    const socket = this.socket;
    this.socket = undefined;
    socket?.close(1000);
  }

  /** retryNow is for a network that has come back: no need to wait for the timer. */
  retryNow(): void {
    if (this.stopped || this.timer === undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.start();
  }

  private take(event: CloudEvent): void {
    if (event.cursor) this.cursor = event.cursor;
    switch (event.type) {
      case "notifier.subscribed":
        this.retryMs = FIRST_RETRY_MS;
        this.handlers.light((event.data as { mode?: string } | undefined)?.mode === "replay" ? "catching up" : "live");
        this.handlers.subscribed();
        return;
      case "notifier.caught-up":
        this.handlers.light("live");
        return;
      case "notifier.gap":
        this.handlers.gap();
        return;
    }
    if (event.type.startsWith("notifier.") || this.repeated(event)) return;
    this.handlers.event(event);
  }

  /** Kafka's log may hold a repeat; sequence numbers of ten digits compare as strings. */
  private repeated(event: CloudEvent): boolean {
    const lane = `${event.source} ${event.subject} ${event.topic}`;
    const sequence = event.sequence ?? "";
    const last = this.seen.get(lane);
    if (last !== undefined && sequence <= last) return true;
    this.seen.set(lane, sequence);
    return false;
  }

  private closed(code: number, reason: string): void {
    clearTimeout(this.watchdog);
    if (this.stopped) return;
    // 44xx: the same again will be refused again. 4410: the cursor is gone, start afresh. 4429: wait for a place.
    if (code === 4410) {
      this.cursor = "";
      this.handlers.gap();
    } else if (code >= 4400 && code < 4500 && code !== 4429) {
      this.handlers.light("refused", reason);
      return;
    }
    this.handlers.light("offline");
    const wait = this.retryMs * (0.5 + Math.random());
    this.retryMs = Math.min(2 * this.retryMs, LONGEST_RETRY_MS);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.start();
    }, wait);
  }

  private watch(socket: WebSocket): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      if (this.socket !== socket) return;
      this.socket = undefined;
      socket.close();
      this.closed(1006, "silent");
    }, SILENCE_MS);
  }
}
