import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { deflate } from "node:zlib";
import {
  currentContext,
  currentStep,
  hasContext,
  traceStep,
  withContext,
} from "../../hooks/forward_context.ts";
import { coded } from "./_test_hook.ts";

Deno.test('V21 currentContext() is "default" outside a scope and for an empty name', () => {
  assert.equal(currentContext(), "default");
  withContext("cond", () => {
    assert.equal(currentContext(), "cond");
    for (const none of ["", null]) {
      withContext(
        none,
        () => assert.deepEqual([currentContext(), hasContext()], ["default", false]),
      );
    }
    withContext("default", () => assert.equal(hasContext(), true));
    assert.equal(currentContext(), "cond");
  });
});

Deno.test("withContext() and traceStep() nest, keep each other, and end when their function throws", () => {
  assert.equal(currentStep(), null);
  withContext("cond", () =>
    traceStep(3, () => {
      withContext(
        "uncond",
        () => assert.deepEqual([currentContext(), currentStep()], ["uncond", 3]),
      );
      assert.throws(() => traceStep(4, () => assert.fail("out")), /out/);
      assert.deepEqual([currentContext(), currentStep()], ["cond", 3]);
    }));
  assert.deepEqual([currentContext(), currentStep()], ["default", null]);
});

Deno.test("withContext() gives back what its function returns, also a promise", async () => {
  assert.equal(withContext("a", () => 7), 7);
  assert.equal(await withContext("a", () => Promise.resolve(currentContext())), "a");
  await assert.rejects(withContext("a", () => Promise.reject(new Error("x"))), /x/);
  assert.equal(currentContext(), "default");
});

Deno.test("withContext() and traceStep() refuse what is no name or whole number", () => {
  for (const bad of [undefined, 3, {}, "a".repeat(201), "a\nb"]) {
    assert.throws(() => withContext(bad as string, () => 0), coded("STATE_CONTEXT_INVALID"));
  }
  for (const bad of [1.5, NaN, Infinity, "1", null]) {
    assert.throws(() => traceStep(bad as number, () => 0), coded("STATE_CONTEXT_INVALID"));
  }
  assert.equal(traceStep(-1, currentStep), -1);
  assert.ok(Object.is(traceStep(-0, currentStep), 0));
});

Deno.test("currentContext() survives await, timers, setImmediate and native callbacks", async () => {
  const seen: string[] = [];
  const note = () => seen.push(`${currentContext()} ${currentStep()}`);
  await withContext("cond", () =>
    traceStep(2, async () => {
      await Promise.resolve();
      note();
      await sleep(1);
      note();
      await new Promise<void>((done) => setImmediate(() => (note(), done())));
      await new Promise<void>((done) => deflate("text", () => (note(), done())));
      await crypto.subtle.digest("SHA-256", new Uint8Array(4));
      note();
    }));
  assert.deepEqual(seen, Array(5).fill("cond 2"));
});
