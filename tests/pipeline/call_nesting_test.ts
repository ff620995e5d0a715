import assert from "node:assert/strict";
import { CallNesting, contains, firstNode, outerFirst } from "../../pipeline/call_nesting.ts";
import { callsOf, splitDemand, tapDemand } from "../../pipeline/demand.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { drawnStructure, openStructure } from "./_fixed_structure.ts";
import { hook, logger, scaleInputs, scaleOutputs } from "./_hooks.ts";
import { float32 } from "../../tensor/tensor.ts";
import { first } from "./_small_models.ts";

const STRUCTURE = drawnStructure("a = x; b = a; c = b; d = c; e = d", ["e"], {
  low: ["a b c"],
  high: ["c d"],
  "low.same": ["a b c"],
  "low.in": ["b"],
  "low::Sum": ["a", "b", "c"],
});

function call(path: string, index = 0, make = tapDemand) {
  const module = STRUCTURE.tree.get(path) ?? assert.fail(path);
  return callsOf([make(module, "")])[index] ?? assert.fail();
}

Deno.test("contains() nests by nodes, and by paths where nodes are equal", () => {
  const [root, low, same, inner] = ["", "low", "low.same", "low.in"].map((path) => call(path));
  for (const [outside, inside] of [[root, low], [low, same], [same, inner], [root, inner]]) {
    assert.ok(outside !== undefined && inside !== undefined);
    assert.ok(contains(outside, inside), `${outside.demand.module.path}`);
    assert.ok(!contains(inside, outside));
  }
  assert.ok(low !== undefined && !contains(low, low));
  assert.ok(!contains(call("high"), call("low")) && !contains(call("low"), call("high")));
  // Operators lie in what has their nodes.
  assert.ok(contains(call("low.in"), call("low::Sum", 1)));
  assert.ok(!contains(call("low::Sum", 1), call("low.in")));
});

Deno.test("CallNesting lists the calls around a node and a call, outermost first", () => {
  const calls = ["low.in", "low", "", "low.same", "high"].map((path) => call(path));
  const nesting = new CallNesting(calls);
  const paths = (found: readonly ReturnType<typeof call>[]) =>
    found.map(({ demand }) => demand.module.path);
  assert.deepEqual(paths(nesting.aroundNode(1)), ["", "low", "low.same", "low.in"]);
  assert.deepEqual(paths(nesting.aroundNode(4)), [""]);
  assert.deepEqual(paths(nesting.aroundCall(calls[0] ?? assert.fail())), ["", "low", "low.same"]);
  assert.deepEqual(paths([...calls].sort(outerFirst)), ["", "low", "low.same", "high", "low.in"]);
  assert.equal(firstNode(call("high")), 2);
});

Deno.test("CallNesting refuses calls that overlap when both change or one runs alone", async () => {
  const alone = { ...call("high", 0, splitDemand) };
  const isolated = { ...alone, demand: { ...alone.demand, isolation: "replace" as const } };
  const refused = (left: ReturnType<typeof call>, right: ReturnType<typeof call>) =>
    expectCode("PLAN_CYCLE", () => new CallNesting([left, right]).requireNested([left, right]));
  const error = await refused(call("low", 0, splitDemand), call("high", 0, splitDemand));
  assert.deepEqual(error.details["modules"], ["low", "high"]);
  await refused(call("low"), isolated);
  await refused(call("low", 0, splitDemand), isolated);
  const watched = [call("low"), call("high", 0, splitDemand)];
  new CallNesting(watched).requireNested(watched);
});

Deno.test("modules that overlap are edited one at a time and watched together", async () => {
  await using model = await openStructure(STRUCTURE);
  const feeds = { x: float32([1], [1]) };
  const log: string[] = [];
  for (const path of ["low", "high"]) model.registry(path).register(logger("h", log));
  assert.equal(first(await model.run(feeds), "e"), 1);
  using _ = model.registry("low").register(scaleOutputs("double", 2));
  assert.equal(first(await model.run(feeds), "e"), 2);
  {
    using _second = model.registry("high").register(scaleOutputs("double", 2));
    await expectCode("PLAN_CYCLE", () => model.run(feeds));
  }
  using _alone = model.registry("high").register(scaleInputs("double", 2));
  await expectCode("PLAN_CYCLE", () => model.run(feeds));
  await model.registry("high").remove("double");
  assert.equal(first(await model.run(feeds), "e"), 2, "what was refused left nothing behind");
  model.registry("high").register(hook({ name: "see", postForward: () => {} }));
  assert.equal(first(await model.run(feeds), "e"), 2);
});
