import assert from "node:assert/strict";
import { admitHook } from "../../hooks/admission.ts";
import { oneError, thrownInCall, thrownOutsideCall, withFailures } from "../../hooks/hook_fault.ts";
import { call, hook, MODULE } from "./_test_hook.ts";

const facts = admitHook(hook({ name: "trace" }), "m", { plugin: "activation-trace" });

Deno.test("thrownInCall() carries plugin, hook, phase, module, call and cause", () => {
  const cause = new Error("inner");
  const where = call({ runId: 3, callIndex: 1, step: 4, context: "cond" });
  const error = thrownInCall(facts, "postForward", { call: where, cause });
  assert.equal(error.cause, cause);
  assert.deepEqual(error.details, {
    plugin: "activation-trace",
    hook: "trace",
    phase: "postForward",
    module: "encoder.layer.0",
    runId: 3,
    callIndex: 1,
    step: 4,
    context: "cond",
  });
  assert.match(error.message, /hook "trace" of plugin "activation-trace" threw in postForward/);
});

Deno.test("thrownOutsideCall() keeps what is no Error as its cause", () => {
  const error = thrownOutsideCall(facts, "onDetach", { module: MODULE, cause: "text" });
  assert.deepEqual([error.code, error.cause], ["HOOK_THROWN", "text"]);
  assert.match(error.message, /text$/);
});

Deno.test("withFailures() keeps the primary first and joins the failures of outer modules", () => {
  const [primary, second, third] = [new Error("1"), new Error("2"), new Error("3")];
  assert.equal(withFailures(primary, []), primary);
  const inner = withFailures(primary, [second]);
  const outer = withFailures(inner, [third]);
  assert.ok(outer instanceof AggregateError);
  assert.deepEqual([outer.errors, outer.cause], [[primary, second, third], primary]);
});

Deno.test("oneError() is the failure itself when it is alone", () => {
  const failure = new Error("1");
  assert.equal(oneError([failure], "to reset"), failure);
  assert.ok(oneError([failure, failure], "to reset") instanceof AggregateError);
});

Deno.test("thrownInCall() survives a thrown value that cannot be looked at", () => {
  const fail = (): never => {
    throw new Error("trap");
  };
  const traps = new Proxy({}, { get: fail, getPrototypeOf: fail });
  for (const cause of [Object.create(null), { toString: fail }, traps] as const) {
    const error = thrownInCall(facts, "preForward", { call: call(), cause });
    assert.deepEqual([error.code, error.details["hook"], error.details["module"]], [
      "HOOK_THROWN",
      "trace",
      "encoder.layer.0",
    ]);
    assert.ok(error.cause === cause);
    assert.match(error.message, /cannot be written as text/);
  }
});
