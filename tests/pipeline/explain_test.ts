import assert from "node:assert/strict";
import { explainPlan } from "../../pipeline/explain.ts";
import { openModel } from "../../pipeline/open_model.ts";
import type { PlanDocument } from "../../pipeline/planner.ts";
import { hook, scaleInputs, scaleOutputs } from "./_hooks.ts";
import { chainModel } from "./_small_models.ts";

const CONTEXT = { engine: "napi", provider: "provider cpu: as asked" };

function document(parts: Partial<PlanDocument>): PlanDocument {
  return {
    plan: "split",
    planHash: "0123456789abcdef",
    segments: [],
    order: {},
    because: [],
    ...parts,
  };
}

function segment(modules: readonly string[], taps: readonly string[] = [], nodes = 3) {
  return { kind: "part" as const, modules, nodes, taps, because: "" };
}

Deno.test("explainPlan() says what runs, why, in which order, on what", () => {
  const text = explainPlan(
    document({
      segments: [segment(["a", "b", "c", "d", "e"]), segment([], ["v"]), segment([""])],
      order: { m: ["x", "y"], "": ["one"] },
      because: ["x edits the outputs of m: cut after it"],
    }),
    CONTEXT,
  );
  assert.deepEqual(text.split("\n"), [
    "split: 3 segments",
    "  x edits the outputs of m: cut after it",
    "  segment 0: a, b, c and 2 more",
    "  segment 1: 3 nodes, 1 tap",
    "  segment 2: the whole model",
    "  order at m: x, y",
    "engine napi; provider cpu: as asked",
    "plan 0123456789ab",
  ]);
});

Deno.test("explainPlan() counts in words that fit", () => {
  const first = (parts: Partial<PlanDocument>) =>
    explainPlan(document(parts), CONTEXT).split("\n")[0];
  assert.equal(first({ plan: "whole" }), "whole: no hooks, the file runs untouched in one session");
  assert.equal(
    first({ plan: "tapped", segments: [segment([], ["a"])] }),
    "tapped: one session with 1 further output",
  );
  assert.equal(
    first({ plan: "tapped", segments: [segment([], [])] }),
    "tapped: one session with 0 further outputs",
  );
  assert.equal(first({ segments: [segment([])] }), "split: 1 segment");
});

Deno.test("model.explain() names each hook and what follows from it", async () => {
  await using model = await openModel(chainModel(), { provider: "cpu" });
  const lines = () => model.explain().split("\n").map((line) => line.trim());
  const cases = [
    [
      "layers.0",
      hook({ name: "see", preForward: () => {}, postForward: () => {} }),
      "see observes the inputs and outputs of layers.0: tapped",
    ],
    [
      "layers.0",
      hook({ name: "count", preForward: () => {}, readsInputs: false }),
      "count observes the calls of layers.0: nothing is tapped",
    ],
    ["layers.0", scaleInputs("in", 2), "in edits the inputs of layers.0: cut around it"],
    ["", scaleOutputs("out", 2), "out edits the outputs of the whole model: cut after it"],
    [
      "layers.1",
      hook({ name: "mine", access: "replace", newForward: (_call, _inputs, run) => run() }),
      "mine replaces the forward of layers.1: cut around it",
    ],
    [
      "layers.1",
      hook({ name: "stay", access: "residency" }),
      "stay decides where the weights of layers.1 lie: cut around it",
    ],
  ] as const;
  for (const [path, one, line] of cases) {
    using _ = model.registry(path).register(one);
    assert.ok(lines().includes(line), `${line} in\n${model.explain()}`);
  }
});
