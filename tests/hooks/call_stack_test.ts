import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { insideHook, isThenable } from "../../hooks/call_stack.ts";
import { dispatch } from "../../hooks/dispatch.ts";
import type { HooklineError } from "../../errors/hookline_error.ts";
import { call, coded, forward, hook, order, valueOf, x, y } from "./_test_hook.ts";

Deno.test("dispatch() refuses a hook that runs its own module with itself, in every phase", async () => {
  for (const phase of ["preForward", "postForward", "newForward"] as const) {
    for (const wait of [false, true]) {
      const inner = async () => {
        if (wait) await sleep(0);
        await dispatch(made, call(), x(1), forward());
        return y(0);
      };
      const self = hook({
        name: "self",
        access: phase === "newForward" ? "replace" : "edit",
        [phase]: inner,
      });
      const made = order(self);
      await assert.rejects(dispatch(made, call(), x(1), forward()), (error: HooklineError) => {
        coded("HOOK_THROWN", "self", phase)(error);
        coded("HOOK_REENTRANT", "self", "encoder.layer.0")(error.cause);
        return true;
      });
    }
  }
});

Deno.test("dispatch() refuses to re-enter through the hook of another module", async () => {
  const outer = hook({
    name: "outer",
    preForward: () => dispatch(innerOrder, call(), x(1), forward()).then(() => {}),
  });
  const inner = hook({
    name: "inner",
    preForward: () => dispatch(outerOrder, call(), x(1), forward()).then(() => {}),
  });
  const outerOrder = order(outer);
  const innerOrder = order(inner);
  await assert.rejects(dispatch(outerOrder, call(), x(1), forward()), (error: HooklineError) => {
    coded("HOOK_REENTRANT", "outer")((error.cause as HooklineError).cause);
    return true;
  });
});

Deno.test("dispatch() allows concurrent calls of one module, nested other modules, and the original", async () => {
  const slow = hook({ name: "slow", access: "edit", preForward: () => sleep(1).then(() => {}) });
  const made = order(slow);
  const results = await Promise.all(
    [1, 2, 3].map((value) => dispatch(made, call(), x(value), forward())),
  );
  assert.deepEqual(results.map((outputs) => valueOf(outputs, "y")), [101, 102, 103]);
  const around = hook({
    name: "around",
    access: "replace",
    newForward: (_c, inputs) => dispatch(made, call(), inputs, forward()),
  });
  assert.equal(valueOf(await dispatch(order(around), call(), x(1), forward()), "y"), 101);
});

Deno.test("dispatch() allows a run that a hook left behind for later", async () => {
  const later = Promise.withResolvers<number>();
  let first = true;
  const leaving = hook({
    name: "leaving",
    preForward: () => {
      assert.ok(insideHook());
      if (!first) return;
      first = false;
      setTimeout(async () => {
        assert.ok(!insideHook());
        const outputs = await dispatch(made, call(), x(2), forward());
        later.resolve(valueOf(outputs, "y"));
      }, 0);
    },
  });
  const made = order(leaving);
  await dispatch(made, call(), x(1), forward());
  assert.equal(await later.promise, 102);
  assert.ok(!insideHook());
});

Deno.test("isThenable() tells promises and their likes from values", () => {
  assert.ok(isThenable(Promise.resolve()) && isThenable({ then: () => {} }));
  for (const value of [null, undefined, 1, {}, { then: 1 }, x(1)]) assert.ok(!isThenable(value));
});
