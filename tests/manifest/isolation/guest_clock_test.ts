import assert from "node:assert/strict";
import { guestClock, type TimedRequest } from "../../../manifest/isolation/guest_clock.ts";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Timed extends TimedRequest {
  readonly name: string;
}

function recorded(): {
  readonly clock: ReturnType<typeof guestClock<Timed>>;
  readonly late: string[];
} {
  const late: string[] = [];
  const clock = guestClock<Timed>((request) => {
    late.push(request.name);
    clock.stop();
  });
  return { clock, late };
}

Deno.test("guestClock() tells a request that is late, after its time and a grace, and not before", async () => {
  const { clock, late } = recorded();
  const start = performance.now();
  clock.run({ name: "slow", leftMs: 20 });
  while (late.length === 0) await pause(5);
  assert.ok(performance.now() - start >= 70, "it was late before its grace was over");
  assert.deepEqual(late, ["slow"]);
  assert.equal(clock.running, null);
});

Deno.test("guestClock() lets time run for one request at a time, and for none", async () => {
  const { clock, late } = recorded();
  const first = { name: "first", leftMs: 10_000 };
  const second = { name: "second", leftMs: 10_000 };
  clock.run(first);
  await pause(20);
  clock.run(second);
  assert.equal(clock.running, second);
  assert.ok(first.leftMs <= 9_981, `${first.leftMs}`);
  const left = first.leftMs;
  await pause(20);
  clock.run(null);
  assert.equal(first.leftMs, left, "its time went on while another one ran");
  assert.ok(second.leftMs <= 9_981, `${second.leftMs}`);
  await pause(20);
  assert.equal(clock.running, null);
  assert.deepEqual(late, []);
  clock.stop();
});

Deno.test("guestClock() rings in time for a short request after a long one, and not for one that ended", async () => {
  const { clock, late } = recorded();
  clock.run({ name: "ended", leftMs: 15 });
  clock.run({ name: "long", leftMs: 10_000 });
  await pause(120); // the alarm of the first one rang for nobody
  assert.deepEqual(late, []);
  clock.run({ name: "short", leftMs: 15 });
  while (late.length === 0) await pause(5);
  assert.deepEqual(late, ["short"]);
});

Deno.test("guestClock() that was stopped rings no more", async () => {
  const { clock, late } = recorded();
  clock.run({ name: "stopped", leftMs: 5 });
  clock.stop();
  await pause(80);
  assert.deepEqual(late, []);
});
