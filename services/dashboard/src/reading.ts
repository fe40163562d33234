/** What is read again after it failed, at the soonest. */
const AFTER_FAILURE_MS = 3_000;

/**
 * Reading reads one thing again and again: whenever it is asked to, one request at a time, so that no older answer
 * replaces a newer one, and again after a failure. `failed` is told why, and "" once it is well.
 */
export class Reading {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private due = 0;
  private running = false;
  private wanted = false;
  private stopped = false;

  constructor(
    private readonly read: () => Promise<void>,
    private readonly failed: (why: string) => void,
  ) {}

  now(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    void this.run();
  }

  /** within reads at the end of so many milliseconds at the latest; many wishes meanwhile are one. */
  within(ms: number): void {
    const due = Date.now() + ms;
    if (this.stopped || (this.timer !== undefined && this.due <= due)) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(() => this.now(), ms);
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private async run(): Promise<void> {
    if (this.stopped) return;
    this.wanted = true;
    if (this.running) return;
    this.running = true;
    while (this.wanted && !this.stopped) {
      this.wanted = false;
      try {
        await this.read();
        if (!this.stopped) this.failed("");
      } catch (error) {
        if (this.stopped) break;
        this.failed((error as Error).message);
        this.within(Math.max(AFTER_FAILURE_MS, (error as { retryAfterMs?: number }).retryAfterMs ?? 0));
      }
    }
    this.running = false;
  }
}
