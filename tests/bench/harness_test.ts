import assert from "node:assert/strict";
import { race, raceReopened } from "../../bench/harness.ts";

/** A clock that contestants advance themselves. */
class FakeClock {
  #now = 0;

  readonly now = (): number => this.#now;

  take(milliseconds: number): void {
    this.#now += milliseconds;
  }
}

Deno.test("race() runs the contestants in turn, round after round", async () => {
  const ran: string[] = [];
  const contestant = (name: string) => ({ name, run: () => void ran.push(name) });
  await race([contestant("a"), contestant("b")], { rounds: 2, warmup: 1 });
  assert.equal(ran.join(" "), "a b a b a b");
});

Deno.test("race() leaves the warm-up out and keeps round order", async () => {
  const clock = new FakeClock();
  let call = 0;
  const found = await race([{ name: "a", run: () => clock.take(++call) }], {
    rounds: 3,
    warmup: 2,
    now: clock.now,
  });
  assert.deepEqual(found.samples("a"), [3, 4, 5]);
  assert.equal(found.rounds, 3);
});

Deno.test("race() awaits promises and divides a sample by its repeats", async () => {
  const clock = new FakeClock();
  const run = async () => {
    await Promise.resolve();
    clock.take(6);
  };
  const found = await race([{ name: "a", run }], {
    rounds: 1,
    warmup: 0,
    repeat: 4,
    now: clock.now,
  });
  assert.deepEqual(found.samples("a"), [6]);
});

Deno.test("race.series() combines the samples of one round", async () => {
  const clock = new FakeClock();
  let round = 0;
  const found = await race([
    { name: "ours", run: () => clock.take(++round * 10) },
    { name: "peer", run: () => clock.take(round) },
  ], { rounds: 2, warmup: 0, now: clock.now });
  assert.deepEqual(found.series(["ours", "peer"], (ours = NaN, peer = NaN) => ours - peer), [
    9,
    18,
  ]);
});

Deno.test("race() refuses equal names, no rounds, and an unknown name", async () => {
  const same = { name: "a", run: () => {} };
  await assert.rejects(race([same, same], { rounds: 1 }), RangeError);
  await assert.rejects(race([same], { rounds: 0 }), RangeError);
  const found = await race([same], { rounds: 1 });
  assert.throws(() => found.samples("b"), RangeError);
});

Deno.test("race() passes a contestant's error on", async () => {
  const failing = { name: "a", run: () => Promise.reject(new Error("no")) };
  await assert.rejects(race([failing], { rounds: 1 }), { message: "no" });
});

Deno.test("raceReopened() opens anew, turns the order around, and closes each before the next", async () => {
  const log: string[] = [];
  const open = (opening: number) => {
    log.push(`open${opening}`);
    const contestant = (name: string) => ({ name, run: () => void log.push(name) });
    return Promise.resolve({
      contestants: [contestant("a"), contestant("b")],
      [Symbol.asyncDispose]: () => Promise.resolve(void log.push(`close${opening}`)),
    });
  };
  const found = await raceReopened(open, { rounds: 3, warmup: 0, openings: 2 });
  assert.equal(log.join(" "), "open0 a b a b close0 open1 b a b a close1");
  assert.equal(found.rounds, 4);
  assert.equal(found.groupLength, 2);
  assert.equal(found.samples("a").length, 4);
});

Deno.test("raceReopened() opens no more often than there are rounds", async () => {
  let count = 0;
  const open = () => {
    count++;
    return Promise.resolve({
      contestants: [{ name: "a", run: () => {} }],
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  };
  await raceReopened(open, { rounds: 2, openings: 8 });
  assert.equal(count, 2);
});
