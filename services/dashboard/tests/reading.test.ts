import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Reading } from "../src/reading";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("one request at a time, and one more for all that was asked meanwhile", async () => {
  const answers: (() => void)[] = [];
  const reading = new Reading(() => new Promise<void>((answer) => answers.push(answer)), vi.fn());
  reading.now();
  reading.now();
  reading.now();
  expect(answers).toHaveLength(1);
  answers[0]!();
  await vi.advanceTimersByTimeAsync(0);
  expect(answers).toHaveLength(2);
  answers[1]!();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(answers).toHaveLength(2);
});

test("a failure is told, tried again, and forgotten once it is well", async () => {
  const told: string[] = [];
  let broken = true;
  const reading = new Reading(async () => { if (broken) throw new Error("away"); }, (why) => told.push(why));
  reading.now();
  await vi.advanceTimersByTimeAsync(0);
  expect(told).toEqual(["away"]);
  broken = false;
  await vi.advanceTimersByTimeAsync(3_000);
  expect(told).toEqual(["away", ""]);
});

test("a server that names a time is not asked before", async () => {
  const read = vi.fn(async () => { throw Object.assign(new Error("busy"), { retryAfterMs: 20_000 }); });
  new Reading(read, vi.fn()).now();
  await vi.advanceTimersByTimeAsync(19_000);
  expect(read).toHaveBeenCalledOnce();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(read).toHaveBeenCalledTimes(2);
});

test("many wishes are one reading, at the earliest of their times", async () => {
  const read = vi.fn(async () => undefined);
  const reading = new Reading(read, vi.fn());
  reading.within(3_000);
  reading.within(400);
  reading.within(1_000);
  await vi.advanceTimersByTimeAsync(399);
  expect(read).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(read).toHaveBeenCalledOnce();
});

test("after stop nothing is read and nothing told", async () => {
  const told = vi.fn();
  let fail = (_: Error) => {};
  const reading = new Reading(() => new Promise<void>((_, reject) => { fail = reject; }), told);
  reading.now();
  reading.stop();
  fail(new Error("too late"));
  reading.within(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).not.toHaveBeenCalled();
});
