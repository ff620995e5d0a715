import assert from "node:assert/strict";
import { HookRegistry } from "../../hooks/hook_registry.ts";
import { ModuleFinder } from "../../pipeline/module_finder.ts";
import { segmentsOf } from "../../pipeline/plan.ts";
import { PlanMaker } from "../../pipeline/plan_maker.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { drawnStructure } from "./_fixed_structure.ts";
import { hook, scaleOutputs } from "./_hooks.ts";

const STRUCTURE = drawnStructure("a = x; b = a; c = b a", ["c"], {
  a: ["a"],
  b: ["b"],
  odd: ["a c"],
});

function maker() {
  const registries = new Map<string, HookRegistry>();
  const registry = (path: string) => {
    const made = new HookRegistry({ path, className: null, callCount: 1 });
    registries.set(path, made);
    return made;
  };
  return { registry, plans: new PlanMaker(STRUCTURE, new ModuleFinder(STRUCTURE), registries) };
}

Deno.test("PlanMaker plans for what stands in the registries at that moment", () => {
  const { registry, plans } = maker();
  const [a, b] = [registry("a"), registry("b")];
  assert.equal(plans.make({}).kind, "whole");
  using _ = a.register(hook({ name: "see", postForward: () => {} }));
  assert.equal(plans.make({}).kind, "tapped");
  const handle = b.register(scaleOutputs("edit", 2));
  const plan = plans.make({});
  assert.deepEqual([plan.kind, plan.order], ["split", { a: ["see"], b: ["edit"] }]);
  plans.requireCurrent(plan, undefined);
  handle[Symbol.dispose]();
  assert.equal(plans.make({}).kind, "tapped");
});

Deno.test("PlanMaker leaves out hooks that take no part", async () => {
  const { registry, plans } = maker();
  let takesPart = false;
  registry("a").register(
    Object.assign(scaleOutputs("edit", 2), { takesPart: () => takesPart }),
  );
  const without = plans.make({});
  assert.equal(without.kind, "whole");
  takesPart = true;
  assert.equal(plans.make({}).kind, "split");
  await expectCode("OPTION_INVALID", () => plans.requireCurrent(without, undefined));
});

Deno.test("PlanMaker taps and cuts on request, and joins that with what hooks ask", async () => {
  const { registry, plans } = maker();
  const tapped = plans.make({ tap: ["a", "b"] });
  assert.deepEqual(segmentsOf(tapped.steps).map(({ taps }) => taps), [["a", "b"]]);
  assert.deepEqual(tapped.because, ["a is tapped on request", "b is tapped on request"]);
  registry("a").register(hook({ name: "see", preForward: () => {} }));
  const split = plans.make({ split: "a" });
  assert.deepEqual(segmentsOf(split.steps).map(({ nodes }) => nodes), [[0], [1, 2]]);
  assert.deepEqual(split.because, [
    "see observes the inputs of a: tapped",
    "the graph is cut after a on request",
  ]);
  await expectCode("HOOK_MATCH_EMPTY", () => plans.make({ tap: "z" }));
  await expectCode("MODULE_NOT_CUTTABLE", () => plans.make({ split: "odd" }));
  await expectCode("FETCH_UNKNOWN", () => plans.make({ outputs: ["c", "d"] }));
});

Deno.test("PlanMaker refuses a hook whose required neighbour is missing", async () => {
  const { registry, plans } = maker();
  registry("a").register(hook({ name: "see", postForward: () => {}, requires: ["other"] }));
  await expectCode("HOOK_ORDER_UNKNOWN", () => plans.make({}));
});
