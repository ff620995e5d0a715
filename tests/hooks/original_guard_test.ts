import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { dispatch, type Forward } from "../../hooks/dispatch.ts";
import type { ModelHook, OriginalForward } from "../../hooks/model_hook.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import { call, coded, forward, hook, logger, order, valueOf, x, y } from "./_test_hook.ts";

function replacer(
  use: (original: OriginalForward, inputs: TensorMap) => TensorMap | Promise<TensorMap>,
  maxOriginalCalls = 1,
): ModelHook {
  return hook({
    name: "r",
    access: "replace",
    maxOriginalCalls,
    newForward: (_call, inputs, original) => use(original, inputs),
  });
}

const run = (one: ModelHook, original: Forward = forward()) =>
  dispatch(order(one), call(), x(1), original);

Deno.test("original() runs the forward with the hook's inputs, or with those that it is given", async () => {
  assert.equal(valueOf(await run(replacer((original) => original())), "y"), 101);
  assert.equal(valueOf(await run(replacer((original) => original(x(5)))), "y"), 105);
});

Deno.test("original() checks the inputs that it is given", async () => {
  await assert.rejects(
    run(replacer((original) => original(y(1)))),
    coded("HOOK_RESULT", '"y"', "original's inputs"),
  );
});

Deno.test("original() refuses a further call than maxOriginalCalls, also when the hook hides it", async () => {
  const twice = async (original: OriginalForward) => {
    await original();
    return await original();
  };
  await assert.rejects(run(replacer(twice)), coded("HOOK_ORIGINAL_MISUSED", "more than 1"));
  assert.equal(valueOf(await run(replacer(twice, 2)), "y"), 101);
  const hiding = async (original: OriginalForward) => {
    const outputs = await original();
    await original().catch(() => {});
    return outputs;
  };
  await assert.rejects(run(replacer(hiding)), coded("HOOK_ORIGINAL_MISUSED"));
});

Deno.test("original() that is not awaited is refused, after it has ended", async () => {
  for (const fails of [false, true]) {
    const log: string[] = [];
    const original = async () => {
      await sleep(2);
      log.push("ended");
      if (fails) throw new Error("late");
      return y(0);
    };
    const careless = replacer((start) => {
      start();
      return y(1);
    });
    const made = order(careless, logger("a", log));
    await assert.rejects(dispatch(made, call(), x(1), original), (error) => {
      if (!fails) return coded("HOOK_ORIGINAL_MISUSED", "before original() had ended")(error);
      assert.ok(error instanceof AggregateError);
      assert.equal(error.errors[1].message, "late");
      return coded("HOOK_ORIGINAL_MISUSED")(error.cause);
    });
    assert.equal(log.join(), "pre a,ended,unwind a");
  }
});

Deno.test("original() refuses to run after newForward has returned", async () => {
  let kept: OriginalForward | undefined;
  await run(replacer((original) => {
    kept = original;
    return y(1);
  }));
  await assert.rejects(
    async () => await kept?.(),
    coded("HOOK_ORIGINAL_MISUSED", "after newForward"),
  );
});

Deno.test("original()'s own failure reaches the caller as it is, and the hook's is wrapped", async () => {
  const failure = new Error("session");
  const fail = () => Promise.reject(failure);
  await assert.rejects(run(replacer((original) => original()), fail), (error) => error === failure);
  const rewrapping = replacer((original) =>
    original().catch((cause) => Promise.reject(new Error("mine", { cause })))
  );
  await assert.rejects(run(rewrapping, fail), coded("HOOK_THROWN", "mine", "newForward"));
  const falling = replacer((original) => original().catch(() => y(7)));
  assert.equal(valueOf(await run(falling, fail), "y"), 7);
});

Deno.test("original() still running when newForward throws is waited for, and its failure joins", async () => {
  const late = new Error("late");
  const thrown = replacer((original) => {
    original();
    throw new Error("first");
  });
  await assert.rejects(run(thrown, () => sleep(1).then(() => Promise.reject(late))), (error) => {
    assert.ok(error instanceof AggregateError);
    assert.equal(error.errors[1], late);
    return coded("HOOK_THROWN", "first")(error.cause);
  });
});
