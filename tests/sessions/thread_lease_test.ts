import assert from "node:assert/strict";
import { ThreadLease, type ThreadLocks } from "../../sessions/thread_lease.ts";

/** Web locks that count who asked and who has it. */
function countingLocks(): { readonly locks: ThreadLocks; asked: number; held: number } {
  const state = {
    asked: 0,
    held: 0,
    locks: {
      async request(_name: string, _options: object, work: () => Promise<void>): Promise<void> {
        state.asked++;
        await Promise.resolve();
        state.held++;
        await work();
        state.held--;
      },
    },
  };
  return state;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

Deno.test("ThreadLease asks once for calls that follow one another, and gives back behind them", async () => {
  const state = countingLocks();
  const lease = new ThreadLease(state.locks, "lease of a test");
  for (let call = 0; call < 3; call++) {
    await lease.enter(undefined);
    assert.deepEqual([state.asked, state.held, lease.isHeld], [1, 1, true]);
    lease.leave();
  }
  await turn();
  assert.deepEqual([state.asked, state.held, lease.isHeld], [1, 0, false]);
  await lease.enter(undefined);
  await turn();
  assert.deepEqual([state.asked, state.held], [2, 1]);
  lease.leave();
  await turn();
  assert.equal(state.held, 0);
});

Deno.test("ThreadLease lets others in between calls that follow one another for long", async () => {
  const state = countingLocks();
  const lease = new ThreadLease(state.locks, "lease of a test");
  await lease.enter(undefined);
  const start = performance.now();
  while (performance.now() - start < 6);
  lease.leave();
  assert.equal(lease.isHeld, false);
  await lease.enter(undefined);
  assert.equal(state.asked, 2);
  lease.leave();
  await turn();
});

Deno.test("ThreadLease holds nothing after a request that failed", async () => {
  const STOP = new Error("stop");
  const lease = new ThreadLease({ request: () => Promise.reject(STOP) }, "lease of a test");
  await assert.rejects(lease.enter(undefined), (error) => error === STOP);
  assert.equal(lease.isHeld, false);
});
