import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { dispatch } from "../../hooks/dispatch.ts";
import { currentContext, withContext } from "../../hooks/forward_context.ts";
import { StateManager } from "../../hooks/state_manager.ts";
import { call, coded, hook, order, valueOf, x, y } from "./_test_hook.ts";

Deno.test("V21 StateManager.get() makes a state when it is first asked for, one per context", () => {
  const made: string[] = [];
  const states = new StateManager((context) => (made.push(context), { context }));
  assert.equal(states.peek(), undefined);
  assert.equal(states.get(), states.get());
  assert.equal(withContext("cond", () => states.get().context), "cond");
  assert.deepEqual([made, states.size], [["default", "cond"], 2]);
  assert.equal(states.peek()?.context, "default");
});

Deno.test("VD10 StateManager.reset() calls each state's own reset and keeps the current context", () => {
  const log: string[] = [];
  const states = new StateManager((context) => ({ reset: () => void log.push(context) }));
  for (const name of ["a", "b"]) withContext(name, () => states.get());
  states.get();
  withContext("b", () => {
    assert.equal(states.reset("a"), 1);
    assert.equal(states.reset("never"), 0);
    assert.equal(states.reset(), 2);
    assert.equal(currentContext(), "b");
  });
  assert.deepEqual([log, states.size], [["a", "b", "default"], 0]);
  new StateManager(() => 5).reset();
});

Deno.test("StateManager.reset() resets the others when one state's reset throws, and tells", () => {
  const log: string[] = [];
  const states = new StateManager((context) => ({
    reset: () => {
      log.push(context);
      if (context !== "b") throw new Error(context);
    },
  }));
  for (const name of ["a", "b"]) withContext(name, () => states.get());
  assert.throws(() => states.reset(), /^Error: a$/);
  assert.deepEqual([log, states.size], [["a", "b"], 0]);
  for (const name of ["a", "c"]) withContext(name, () => states.get());
  assert.throws(
    () => states.reset(),
    (error) => error instanceof AggregateError && error.errors.length === 2,
  );
});

Deno.test("StateManager.get() bounds the number of contexts, and reset makes room", () => {
  const states = new StateManager(() => ({}), { maxContexts: 2 });
  for (const name of ["a", "b", "a"]) withContext(name, () => states.get());
  assert.throws(() => withContext("c", () => states.get()), coded("STATE_CONTEXT_LIMIT", '"c"'));
  states.reset("a");
  withContext("c", () => states.get());
  const usual = new StateManager(() => ({}));
  for (let index = 0; index < 64; index++) withContext(`c${index}`, () => usual.get());
  assert.throws(() => usual.get(), coded("STATE_CONTEXT_LIMIT"));
  assert.throws(() => new StateManager(() => 0, { maxContexts: 0 }), coded("OPTION_INVALID"));
});

Deno.test("StateManager.get() asks for a context in strict mode", () => {
  const states = new StateManager(() => ({}), { strict: true });
  assert.throws(() => states.get(), coded("STATE_CONTEXT_MISSING"));
  withContext("default", () => states.get());
  assert.throws(() => withContext("", () => states.get()), coded("STATE_CONTEXT_MISSING"));
});

Deno.test("StateManager.get() keeps modules apart, and a factory that throws leaves nothing", () => {
  const states = new StateManager(() => ({ calls: 0 }));
  states.get({ path: "a" }).calls = 1;
  assert.equal(states.get({ path: "b" }).calls, 0);
  assert.equal(states.size, 2);
  let fail = true;
  const fragile = new StateManager(() => {
    if (fail) throw new Error("no");
    return 1;
  });
  assert.throws(() => fragile.get(), /no/);
  assert.equal(fragile.size, 0);
  fail = false;
  assert.equal(fragile.get(), 1);
});

Deno.test("VD11 row 8 StateManager.get() keeps the state of 64 interleaved forwards with different contexts apart", async () => {
  const states = new StateManager(() => ({ seen: [] as number[] }));
  const keeper = hook({
    name: "keeper",
    access: "edit",
    preForward: async (_call, inputs) => {
      states.get().seen.push(valueOf(inputs, "x"));
      await sleep(1);
    },
    postForward: async () => {
      await sleep(0);
      const sum = states.get().seen.reduce((total, value) => total + value, 0);
      return y(sum);
    },
  });
  const made = order(keeper);
  const run = (index: number) =>
    withContext(`c${index}`, async () => {
      const results: number[] = [];
      for (let repeat = 1; repeat <= 3; repeat++) {
        const outputs = await dispatch(
          made,
          call({ context: currentContext() }),
          x(index),
          async () => {
            await sleep(index % 3);
            return y(0);
          },
        );
        results.push(valueOf(outputs, "y"));
      }
      return results;
    });
  const all = await Promise.all(Array.from({ length: 64 }, (_, index) => run(index)));
  all.forEach((results, index) => assert.deepEqual(results, [index, 2 * index, 3 * index]));
  assert.equal(states.size, 64);
});
