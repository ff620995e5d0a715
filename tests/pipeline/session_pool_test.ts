import assert from "node:assert/strict";
import { SessionPool } from "../../pipeline/session_pool.ts";
import type { EngineSession } from "../../sessions/engine.ts";
import { emptyTensorMap } from "../../tensor/tensor.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { skippable } from "../skippable.ts";
import { inChild } from "../support/child.ts";

class FakeSession implements EngineSession {
  readonly inputs = [];
  readonly outputs = [];
  released = false;
  readonly #log: string[];
  readonly #name: string;
  readonly #failure: Error | undefined;

  constructor(name: string, log: string[], failure?: Error) {
    this.#name = name;
    this.#log = log;
    this.#failure = failure;
  }

  run() {
    return Promise.resolve(emptyTensorMap());
  }

  async release(): Promise<void> {
    this.released = true;
    await Promise.resolve();
    this.#log.push(`released ${this.#name}`);
    if (this.#failure !== undefined) throw this.#failure;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

function poolWith(idleByteBudget: number) {
  const log: string[] = [];
  const pool = new SessionPool(idleByteBudget);
  const lease = (name: string, byteLength = 10, failure?: Error) =>
    pool.lease(name, byteLength, () => {
      log.push(`opened ${name}`);
      return Promise.resolve(new FakeSession(name, log, failure));
    });
  return { log, pool, lease };
}

Deno.test("SessionPool opens a session once for all who lease it at the same time", async () => {
  const { log, pool, lease } = poolWith(0);
  const [one, two] = await Promise.all([lease("a"), lease("a")]);
  assert.equal(one.session, two.session);
  await one.release();
  await one.release();
  assert.deepEqual(log, ["opened a"], "a second release of one lease does not count");
  await two.release();
  assert.deepEqual(log, ["opened a", "released a"]);
  assert.equal(pool.size, 0);
});

Deno.test("SessionPool keeps idle sessions within its budget, the last used longest", async () => {
  const { log, pool, lease } = poolWith(20);
  for (const name of ["a", "b", "c"]) await (await lease(name)).release();
  assert.deepEqual(log, ["opened a", "opened b", "opened c", "released a"]);
  await (await lease("b")).release();
  await (await lease("d")).release();
  assert.deepEqual(log.slice(4), ["opened d", "released c"]);
  await pool.close();
  assert.deepEqual(log.slice(6).sort(), ["released b", "released d"]);
});

Deno.test("SessionPool never closes a leased session for the budget", async () => {
  const { log, lease, pool } = poolWith(0);
  const held = await lease("a", 1e9);
  await (await lease("b")).release();
  assert.deepEqual(log, ["opened a", "opened b", "released b"]);
  await held.release();
  await pool.close();
});

Deno.test("SessionPool forgets a session whose opening failed", async () => {
  const { log, pool, lease } = poolWith(100);
  const failure = new Error("refused");
  const failing = () => pool.lease("a", 10, () => Promise.reject(failure));
  const results = await Promise.allSettled([failing(), failing()]);
  assert.deepEqual(results.map((one) => one.status === "rejected" && one.reason), [
    failure,
    failure,
  ]);
  assert.equal(pool.size, 0);
  await (await lease("a")).release();
  assert.deepEqual(log, ["opened a"]);
  await pool.close();
});

Deno.test("SessionPool.close() waits for openings and closings under way, and opens no more", async () => {
  const { log, pool, lease } = poolWith(0);
  const opening = Promise.withResolvers<EngineSession>();
  const late = pool.lease("late", 10, () => opening.promise);
  const ended = (await lease("a")).release(); // not awaited
  const closed = pool.close();
  opening.resolve(new FakeSession("late", log));
  await closed;
  assert.deepEqual(log, ["opened a", "released a", "released late"]);
  await ended;
  await (await late).release();
  await expectCode("MODEL_CLOSED", () => lease("b"));
});

Deno.test("SessionPool.close() throws what releasing failed with, after all were released", async () => {
  const { log, pool, lease } = poolWith(100);
  const failure = new Error("stuck");
  await (await lease("a", 10, failure)).release();
  await (await lease("b")).release();
  await assert.rejects(pool.close(), (error) => error === failure);
  assert.deepEqual(log.slice(2), ["released a", "released b"]);
});

Deno.test("SessionPool spares a session that is leased again while another one closes", async () => {
  const { promise: closing, resolve: closed } = Promise.withResolvers<void>();
  const log: string[] = [];
  const pool = new SessionPool(15);
  class Slow extends FakeSession {
    override async release(): Promise<void> {
      await closing;
      await super.release();
    }
  }
  const lease = (name: string, byteLength: number) =>
    pool.lease(name, byteLength, () => {
      log.push(`opened ${name}`);
      return Promise.resolve(name === "a" ? new Slow(name, log) : new FakeSession(name, log));
    });
  await (await lease("a", 10)).release();
  const c = await lease("c", 20);
  const trim = c.release(); // both are over the budget now, and "a" takes its time to close
  const again = await lease("c", 20);
  closed();
  await trim;
  assert.equal(again.session.released, false, "the session in use was not closed");
  await again.release();
  await pool.close();
  assert.equal(pool.size, 0);
  assert.equal(
    log.filter((line) => line === "released c").length,
    log.filter((line) => line === "opened c").length,
    "every session that was opened was closed, once",
  );
});

Deno.test("SessionPool has the heap trimmed when it closes, once, and behind large sessions alone", async () => {
  for (const [sizes, expected] of [[[8, 7], 0], [[8, 8], 1], [[40], 1], [[], 0]] as const) {
    const log: string[] = [];
    const pool = new SessionPool(10 * 2 ** 20, () => {
      log.push("trimmed");
      return Promise.resolve();
    });
    for (const [index, size] of sizes.entries()) {
      const open = () => Promise.resolve(new FakeSession(`${index}`, log));
      const lease = await pool.lease(`${index}`, size * 2 ** 20, open);
      await lease.release(); // what exceeds the budget is closed here already
    }
    await pool.close();
    await pool.close();
    const trims = log.filter((line) => line === "trimmed");
    assert.equal(trims.length, expected, JSON.stringify(sizes));
    if (expected > 0) assert.equal(log.at(-1), "trimmed");
  }
});

Deno.test("SessionPool lets a lease rest: its session is idle, and may be taken up while it is open", async () => {
  const { log, lease, pool } = poolWith(20);
  const note = (name: string) => () => void log.push(`evicted ${name}`);
  const [one, two, other] = [await lease("a"), await lease("b"), await lease("a")];
  await one.rest(note("a"));
  await two.rest(note("b"));
  assert.ok(one.resume());
  assert.deepEqual([pool.size, log.length], [2, 2]);
  await other.release();
  await (await lease("c")).release();
  assert.equal(log.length, 3, "one session is in use and two fit");
  await (await lease("d")).release();
  assert.deepEqual(log.slice(4), ["evicted b", "released b"]);
  assert.equal(two.resume(), false);
  assert.ok(one.resume(), "it did not rest");
  await one.rest(note("a again"));
  await one.release();
  await pool.close();
  assert.ok(!log.includes("evicted a again"), "nobody hears of a lease that was returned");
});

Deno.test("SessionPool tells all who let a session rest before it closes", async () => {
  const { log, lease, pool } = poolWith(Infinity);
  for (const name of ["first", "second"]) {
    await (await lease("a")).rest(() => void log.push(name));
  }
  await pool.close();
  assert.deepEqual(log, ["opened a", "first", "second", "released a"]);
});

const hasGlibc = Deno.build.target.endsWith("linux-gnu");

Deno.test({
  ...skippable(
    "a model that was closed leaves less than its weights in memory, whole or split",
    hasGlibc ? undefined : "the C library is not glibc",
  ),
  fn() {
    const text = inChild(new URL("./close_memory_script.ts", import.meta.url), ["-A"]);
    for (const held of JSON.parse(text) as number[]) assert.ok(held < 1, text);
  },
});
