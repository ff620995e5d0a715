import assert from "node:assert/strict";
import { type ForwardCall, hookPhases, ModelHook } from "../../hooks/model_hook.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import { call, hook, order, x, y } from "./_test_hook.ts";
import { dispatch } from "../../hooks/dispatch.ts";

class Plain extends ModelHook {
  override readonly name = "plain";
  override readonly access = "edit";
  override postForward(_call: ForwardCall, outputs: TensorMap): TensorMap {
    return outputs;
  }
}

Deno.test("V2 V3 V5 F1 hookPhases() leaves out what a class does not implement", () => {
  assert.deepEqual(hookPhases(new Plain()), ["postForward"]);
});

Deno.test("V4 hookPhases() sees a method whether the class or the instance holds it, which is bettered here", () => {
  const made = hook({ name: "own", access: "replace", newForward: () => y(1) });
  assert.deepEqual(hookPhases(made), ["newForward"]);
});

Deno.test("hookPhases() lists all phases in the order of a hook's life", () => {
  const phases = [
    "onAttach",
    "preForward",
    "newForward",
    "postForward",
    "onUnwind",
    "resetState",
    "onDetach",
  ] as const;
  const methods = Object.fromEntries(phases.toReversed().map((phase) => [phase, () => y(0)]));
  assert.deepEqual(hookPhases(hook({ name: "all", ...methods })), phases);
});

Deno.test("V2 V3 dispatch() passes values through a hook that returns nothing or what it got", async () => {
  const silent = hook({ name: "silent", access: "edit", preForward: () => {} });
  const echo = new Plain();
  const result = y(3);
  const outputs = await dispatch(order(silent, echo), call(), x(1), () => result);
  assert.equal(outputs["y"], result["y"]);
});
