import assert from "node:assert/strict";
import { SessionPool } from "../../pipeline/session_pool.ts";
import type { EngineSession } from "../../sessions/engine.ts";
import { emptyTensorMap } from "../../tensor/tensor.ts";
import { expectCode } from "../sessions/expect_code.ts";

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
