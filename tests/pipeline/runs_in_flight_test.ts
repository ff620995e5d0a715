import assert from "node:assert/strict";
import { HookRegistry } from "../../hooks/hook_registry.ts";
import type { CompiledPlan } from "../../pipeline/compiled_plan.ts";
import { RunsInFlight } from "../../pipeline/runs_in_flight.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { hook } from "./_hooks.ts";

function compiledPlan(log: string[], order: Readonly<Record<string, readonly string[]>>) {
  return {
    plan: { order },
    hold() {
      log.push("hold");
      return Promise.resolve(null);
    },
    release() {
      log.push("release");
      return Promise.resolve();
    },
  } as unknown as CompiledPlan;
}

function registryWith(path: string, ...hooks: readonly ReturnType<typeof hook>[]) {
  const registry = new HookRegistry({ path, className: null, callCount: 1 });
  for (const one of hooks) registry.register(one);
  return registry;
}

Deno.test("RunsInFlight holds a run's hooks and sessions to its end", async () => {
  const log: string[] = [];
  const registry = registryWith("m", hook({ name: "a", postForward: () => {} }));
  const runs = new RunsInFlight("model");
  const registries = new Map([["m", registry]]);
  const run = runs.begin(compiledPlan(log, { m: ["a"], gone: ["b"] }), registries);
  assert.equal(registry.runningCalls, 1);
  await run.open();
  let isIdle = false;
  const idle = runs.idle().then(() => isIdle = true);
  await Promise.resolve();
  assert.equal(isIdle, false);
  await run.end();
  await idle;
  assert.deepEqual(log, ["hold", "release"]);
  assert.equal(registry.runningCalls, 0);
  await runs.idle();
});

Deno.test("RunsInFlight releases no sessions that a run did not open", async () => {
  const log: string[] = [];
  const run = new RunsInFlight("model").begin(compiledPlan(log, {}), new Map());
  await run.end();
  assert.deepEqual(log, []);
});

Deno.test("RunsInFlight lets go of all hooks when one cannot be held", async () => {
  const [good, bad] = [
    registryWith("a", hook({ name: "a", postForward: () => {} })),
    registryWith("b", hook({ name: "b", postForward: () => {}, requires: ["absent"] })),
  ];
  const runs = new RunsInFlight("model");
  await expectCode(
    "HOOK_ORDER_UNKNOWN",
    () => runs.begin(compiledPlan([], { a: ["a"], b: ["b"] }), new Map([["a", good], ["b", bad]])),
  );
  assert.equal(good.runningCalls, 0);
  await runs.idle();
});
