import type { CloudEvent } from "./types";

/** What the connection light shows. */
export type Light = "connecting" | "catching up" | "live" | "offline" | "refused";

export interface PushHandlers {
  event(event: CloudEvent): void;
  /**
   * The notifier is connected and this client misses nothing from now on: the moment to read a list. Unless the stream
   * goes on where it was (resumed), nobody has told what changed before.
   */
  subscribed(resumed: boolean): void;
  /** Events are gone from the log: read again what they would have told. */
  gap(): void;
  /** The token has ended although it was good before, or was refused some time ago: give a fresh one to refresh. */
  expired(): void;
  light(light: Light, why?: string): void;
}

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 10_000;
/** A token that was never good is asked for anew after so long: what it was refused for may be over. */
const ASK_AGAIN_MS = 30_000;
/** A connection is dead that is silent for so many heartbeats; how far they are apart, the notifier says. */
const SILENT_BEATS = 2.5;
const USUAL_BEAT_MS = 20_000;
/** Repeats in the log are near each other, so that a memory of the orders last heard of is enough. */
const REMEMBERED = 10_000;

const RESTART = 1012;
const BAD_MESSAGE = 4400;
const TOKEN = 4401;
const CURSOR_GONE = 4410;
const OPEN = 1; // WebSocket.OPEN

/** The data of the notifier's own messages that matters here. */
interface Told { mode?: string; heartbeatIntervalMs?: number; retryAfterMs?: number; detail?: string }

/**
 * PushClient listens to the notifier over a WebSocket and loses nothing: it keeps the cursor of the last message and
 * resumes after it, and it drops repeats by source, subject, topic and sequence. It comes back by itself, slower each
 * time, except where the same again would be refused again (44xx).
 */
export class PushClient {
  private socket: WebSocket | undefined;
  private cursor = "";
  private resumed = false; // this connection was asked for with a cursor
  private readonly seen = new Map<string, string>();
  private begun = ""; // the token that this connection began with
  private known = ""; // the token that the notifier has from it
  private proven = false; // the token was good once
  private retryMs = FIRST_RETRY_MS;
  private told: Told = {}; // why the notifier is about to close, and when to come back
  private beatMs = USUAL_BEAT_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;

  constructor(
    private readonly url: string,
    private token: string,
    private readonly handlers: PushHandlers,
  ) {}

  start(): void {
    this.handlers.light("connecting");
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.drop();
  }

  /** refresh gives a fresh token of the same person: in band while connected, and anew where the old one was refused. */
  refresh(token: string): void {
    if (this.stopped || token === this.token) return;
    this.token = token;
    this.proven = false;
    if (this.socket) this.tellToken();
    else this.retryNow();
  }

  /** retryNow is for a network that has come back, or somebody who will not wait for the timer. */
  retryNow(): void {
    if (this.stopped || this.socket) return;
    clearTimeout(this.timer);
    this.connect();
  }

  /** lost is for a network that has gone: the connection may look well for a long time. */
  lost(): void {
    if (this.stopped || !this.socket) return;
    this.drop();
    this.comeBack();
  }

  private connect(): void {
    const url = new URL(this.url);
    if (this.cursor) url.searchParams.set("after", this.cursor);
    this.resumed = this.cursor !== "";
    this.begun = this.known = this.token;
    this.told = {};
    const socket = new WebSocket(url, ["cloudevents.json", `bearer.${this.token}`]);
    this.socket = socket;
    this.watch();
    socket.onmessage = (message) => {
      if (this.socket !== socket) return;
      this.take(JSON.parse(String(message.data)) as CloudEvent);
      this.watch();
    };
    socket.onclose = (close) => {
      if (this.socket !== socket) return;
      this.drop();
      this.closed(close.code, close.reason);
    };
  }

  /** drop forgets the connection; what it still says is not heard. */
  private drop(): void {
    clearTimeout(this.watchdog);
    const socket = this.socket;
    this.socket = undefined;
    socket?.close(1000);
  }

  private take(event: CloudEvent): void {
    if (event.cursor) this.cursor = event.cursor;
    const data = (event.data ?? {}) as Told;
    switch (event.type) {
      case "notifier.subscribed":
        this.retryMs = FIRST_RETRY_MS;
        this.beatMs = data.heartbeatIntervalMs ?? USUAL_BEAT_MS;
        this.proven ||= this.known === this.token;
        this.tellToken();
        this.handlers.light(data.mode === "replay" ? "catching up" : "live");
        this.handlers.subscribed(this.resumed);
        return;
      case "notifier.caught-up":
        this.handlers.light("live");
        return;
      case "notifier.heartbeat": // after a refresh it says that the token was taken
        this.proven ||= this.known === this.token;
        return;
      case "notifier.gap":
        this.handlers.gap();
        return;
      case "notifier.draining":
      case "notifier.error":
        this.told = data;
        return;
    }
    // Messages of a later release's own are not for this one.
    if (event.type.startsWith("notifier.") || this.repeated(event)) return;
    this.handlers.event(event);
  }

  /** Kafka's log may hold a repeat; sequence numbers of ten digits compare as strings. */
  private repeated(event: CloudEvent): boolean {
    const lane = `${event.source} ${event.subject} ${event.topic}`;
    const sequence = event.sequence ?? "";
    const last = this.seen.get(lane);
    if (last !== undefined && sequence <= last) return true;
    this.seen.delete(lane); // the newest last
    this.seen.set(lane, sequence);
    if (this.seen.size > REMEMBERED) this.seen.delete(this.seen.keys().next().value!);
    return false;
  }

  /** tellToken says a fresh token over a connection that began with an older one. */
  private tellToken(): void {
    if (this.known === this.token || this.socket?.readyState !== OPEN) return;
    this.known = this.token;
    this.socket.send(JSON.stringify({
      specversion: "1.0", id: String(Date.now()), source: "dashboard", type: "notifier.refresh", data: { token: this.token },
    }));
  }

  private closed(code: number, reason: string): void {
    const asRefused = code >= 4400 && code < 4500;
    if (code === CURSOR_GONE || (code === BAD_MESSAGE && this.resumed)) {
      this.cursor = ""; // not the same again
    } else if (code === TOKEN && this.begun !== this.token && !this.proven) {
      // A fresh one has come meanwhile, or was on its way when the old one ended.
    } else if (asRefused && !this.told.retryAfterMs) {
      this.handlers.light("refused", this.told.detail ?? reason);
      if (code !== TOKEN) return;
      if (this.proven) this.handlers.expired();
      else this.timer = setTimeout(() => this.handlers.expired(), ASK_AGAIN_MS);
      return;
    }
    this.comeBack(code === RESTART ? "connecting" : "offline");
  }

  /** comeBack tries again, not before the notifier wants it. */
  private comeBack(light: Light = "offline"): void {
    this.handlers.light(light, this.told.detail);
    const wait = Math.max(this.retryMs * (0.5 + Math.random()), this.told.retryAfterMs ?? 0);
    this.retryMs = Math.min(2 * this.retryMs, LONGEST_RETRY_MS);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  private watch(): void {
    clearTimeout(this.watchdog);
    if (!this.socket) return;
    this.watchdog = setTimeout(() => this.lost(), SILENT_BEATS * this.beatMs);
  }
}
