import assert from "node:assert/strict";
import { splitDemand, tapDemand } from "../../pipeline/demand.ts";
import { type Plan, segmentsOf } from "../../pipeline/plan.ts";
import { makePlan, planDocument } from "../../pipeline/planner.ts";
import { float32 } from "../../tensor/tensor.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { floats, modelOf, node, valueInfo } from "../support/build_model.ts";
import { drawnStructure, FixedStructure, openStructure } from "./_fixed_structure.ts";
import { hook, scaleInputs, scaleOutputs } from "./_hooks.ts";
import { first } from "./_small_models.ts";

const STRUCTURE = drawnStructure("a = x; b = a; c = b; z = b", ["c", "z"], { a: ["a"], b: ["b"] });

function plan(make: typeof tapDemand, paths: readonly string[], outputs?: readonly string[]): Plan {
  return makePlan({
    graph: STRUCTURE.graph,
    demands: paths.map((path) => make(STRUCTURE.tree.get(path) ?? assert.fail(), `for ${path}`)),
    structureHash: "s",
    orderKeys: {},
    ...(outputs === undefined ? {} : { outputs }),
  });
}

Deno.test("makePlan() takes the cheapest kind that the demands allow", () => {
  assert.deepEqual(plan(tapDemand, []).kind, "whole");
  assert.deepEqual(plan(tapDemand, []).steps, []);
  const tapped = plan(tapDemand, ["a", "b"]);
  assert.equal(tapped.kind, "tapped");
  assert.deepEqual(tapped.because, ["for a", "for b"]);
  const [segment] = segmentsOf(tapped.steps);
  assert.deepEqual([segment?.isWhole, segment?.inputs, segment?.taps], [true, ["x"], ["a", "b"]]);
  const split = plan(splitDemand, ["a", "b"]);
  assert.equal(split.kind, "split");
  assert.deepEqual(segmentsOf(split.steps).map(({ inputs, outputs }) => [inputs, outputs]), [
    [["x"], ["a"]],
    [["a"], ["b"]],
    [["b"], ["c", "z"]],
  ]);
});

Deno.test("makePlan() leaves out what the wanted outputs do not need", () => {
  const some = plan(tapDemand, ["a"], ["c"]);
  assert.deepEqual(
    segmentsOf(some.steps).map(({ isWhole, nodes, outputs }) => [
      isWhole,
      nodes,
      outputs,
    ]),
    [[false, [0, 1, 2], ["a", "c"]]],
  );
  assert.match(some.because.at(-1) ?? "", /3 of 4 nodes run/);
  const none = plan(tapDemand, ["a"], []);
  assert.deepEqual(segmentsOf(none.steps).map(({ nodes }) => nodes), [[0]]);
  const all = plan(tapDemand, ["a"], ["c", "z"]);
  assert.equal(segmentsOf(all.steps)[0]?.isWhole, true);
});

Deno.test("planDocument() names what lies in each segment", () => {
  const modules = STRUCTURE.tree.modules;
  assert.deepEqual(planDocument(plan(tapDemand, []), modules).segments[0]?.modules, [""]);
  const document = planDocument(plan(splitDemand, ["a"]), modules);
  assert.deepEqual(document.segments.map(({ kind, modules, nodes }) => [kind, modules, nodes]), [
    ["part", ["a"], 1],
    ["part", ["b"], 3],
  ]);
  assert.equal(document.plan, "split");
});

/** `y = x + w`, with outputs that no node computes: an input, an initializer, a folded constant. */
function oddModel(): FixedStructure {
  const declare = (name: string) => valueInfo(name, "float32", [1]);
  return new FixedStructure(
    modelOf({
      nodes: [node("Neg", ["w"], ["k"]), node("Add", ["x", "w"], ["y"])],
      inputs: ["x", "idle"].map(declare),
      outputs: ["w", "x", "k", "y"].map(declare),
      initializers: [floats("w", [1], () => 5)],
    }),
    new Map([["", [["y"]]], ["m", [["y"]]]]),
  );
}

Deno.test("outputs that no node computes come out of every kind of plan", async () => {
  const feeds = { x: float32([1], [1]), idle: float32([1], [0]) };
  const skip = hook({
    name: "skip",
    access: "replace",
    newForward: () => ({ y: float32([1], [6]) }),
  });
  const watch = hook({ name: "watch", postForward: () => {} });
  for (const path of ["", "m"]) {
    for (const one of [null, watch, scaleOutputs("s", 1), scaleInputs("s", 1), skip]) {
      await using model = await openStructure(oddModel());
      if (one !== null) model.registry(path).register(one);
      const outputs = await model.run(feeds);
      const found = ["w", "x", "k", "y"].map((name) => first(outputs, name));
      assert.deepEqual(found, [5, 1, -5, 6], `${one?.name} on "${path}"`);
      assert.deepEqual(Object.keys(outputs), ["w", "x", "k", "y"]);
      assert.notEqual(outputs["x"]?.data, feeds.x.data, "results share no memory with feeds");
      const some = await model.run(feeds, { outputs: ["k", "x"] });
      assert.deepEqual(Object.keys(some), ["k", "x"]);
      assert.deepEqual([first(some, "k"), first(some, "x")], [-5, 1]);
    }
  }
});

Deno.test("a model that computes nothing can be hooked at its root", async () => {
  const declare = (name: string) => valueInfo(name, "float32", [1]);
  const structure = new FixedStructure(
    modelOf({
      nodes: [node("Neg", ["w"], ["k"])],
      inputs: [declare("x")],
      outputs: ["k", "w"].map(declare),
      initializers: [floats("w", [1], () => 5)],
    }),
    new Map([["", [[]]]]),
  );
  const log: string[] = [];
  for (
    const one of [
      hook({ name: "see", preForward: () => void log.push("pre"), postForward: () => {} }),
      scaleOutputs("edit", 2),
      hook({ name: "through", access: "replace", newForward: (_call, _in, run) => run() }),
    ]
  ) {
    await using model = await openStructure(structure);
    model.registry("").register(one);
    const outputs = await model.run({ x: float32([1], [1]) });
    assert.deepEqual([first(outputs, "k"), first(outputs, "w")], [-5, 5]);
  }
  assert.deepEqual(log, ["pre"]);
});

Deno.test("makePlan() refuses to cut at a call that a path leaves and re-enters", async () => {
  const structure = drawnStructure("a = x; b = a; c = a b", ["c"], { m: ["a c"] });
  const demand = splitDemand(structure.tree.get("m") ?? assert.fail(), "");
  const error = await expectCode(
    "MODULE_NOT_CUTTABLE",
    () => makePlan({ graph: structure.graph, demands: [demand], structureHash: "", orderKeys: {} }),
  );
  assert.equal(error.details["module"], "m");
});
