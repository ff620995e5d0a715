import assert from "node:assert/strict";
import { splitDemand } from "../../pipeline/demand.ts";
import { type Plan, planSubject, sealPlan, segmentsOf } from "../../pipeline/plan.ts";
import { makePlan } from "../../pipeline/planner.ts";
import { drawnStructure } from "./_fixed_structure.ts";

const STRUCTURE = drawnStructure("a = x; b = a; c = b", ["c"], { a: ["a"], m: ["a b"] });

function plan(...paths: readonly string[]): Plan {
  return makePlan({
    graph: STRUCTURE.graph,
    demands: paths.map((path) => splitDemand(STRUCTURE.tree.get(path) ?? assert.fail(), path)),
    structureHash: "s",
    orderKeys: {},
  });
}

Deno.test("plans are values: equal for equal demands, frozen, their hash over all that they say", () => {
  assert.deepEqual(plan("a"), plan("a"));
  const { hash, ...rest } = plan("a");
  assert.equal(sealPlan(rest).hash, hash);
  assert.notEqual(sealPlan({ ...rest, outputs: [] }).hash, hash);
  assert.notEqual(sealPlan({ ...rest, because: [] }).hash, hash);
  assert.ok(Object.isFrozen(plan("a")));
});

Deno.test("planSubject() tells models and hooks apart", () => {
  assert.equal(plan("a").madeFor, planSubject("s", {}));
  assert.notEqual(planSubject("s", { a: "key" }), planSubject("s", {}));
  assert.notEqual(planSubject("t", {}), planSubject("s", {}));
});

Deno.test("segmentsOf() lists segments in execution order, those inside modules too", () => {
  const outer = splitDemand(STRUCTURE.tree.get("m") ?? assert.fail(), "");
  const inner = splitDemand(STRUCTURE.tree.get("a") ?? assert.fail(), "");
  const { steps } = makePlan({
    graph: STRUCTURE.graph,
    demands: [{ ...outer, isolation: "split" }, inner],
    structureHash: "s",
    orderKeys: {},
  });
  assert.deepEqual(steps.map(({ kind }) => kind), ["module", "segment"]);
  assert.deepEqual(segmentsOf(steps).map(({ index, nodes }) => [index, nodes]), [
    [0, [0]],
    [1, [1]],
    [2, [2]],
  ]);
});
