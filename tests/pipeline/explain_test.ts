import assert from "node:assert/strict";
import { explainPlan } from "../../pipeline/explain.ts";
import { openModel } from "../../pipeline/open_model.ts";
import type { PlanDocument } from "../../pipeline/planner.ts";
import { floats, modelBytes, node, valueInfo } from "../support/build_model.ts";

const CONTEXT = {
  engine: "napi",
  engineReason: "napi was asked for",
  provider: "cpu was asked for",
};
const DOCUMENT: PlanDocument = {
  plan: "split",
  planHash: "0123456789abcdef",
  segments: [
    { kind: "part", modules: ["a", "b", "c", "d", "e"], nodes: 9, taps: ["v"], because: "" },
    { kind: "part", modules: [], nodes: 3, taps: [], because: "" },
  ],
  order: { a: ["x", "y"] },
  because: ["x edits the outputs of a: cut after it"],
  mayEndFusions: [],
};

Deno.test("explainPlan() says what runs, then why, then the order, engine and hash", () => {
  assert.deepEqual(explainPlan(DOCUMENT, CONTEXT).split("\n"), [
    "split: 2 segments",
    "  x edits the outputs of a: cut after it",
    "  segment 0: a, b, c and 2 more, 1 tap",
    "  segment 1: 3 nodes",
    "  order at a: x, y",
    "engine napi: napi was asked for",
    "provider: cpu was asked for",
    "plan 0123456789ab",
  ]);
});

/** A residual Add that ONNX Runtime fuses with the LayerNormalization after it. */
function residual(): Uint8Array {
  return modelBytes({
    nodes: [
      node("MatMul", ["x", "w"], ["/block/MatMul_output_0"], { name: "/block/MatMul" }),
      node("Add", ["x", "/block/MatMul_output_0"], ["/block/Add_output_0"], { name: "/block/Add" }),
      node("LayerNormalization", ["/block/Add_output_0", "s"], ["y"], {
        name: "/norm/LayerNormalization",
      }),
    ],
    initializers: [floats("w", [4, 4]), floats("s", [4], () => 1)],
    inputs: [valueInfo("x", "float32", [1, 4])],
    outputs: [valueInfo("y", "float32", [1, 4])],
  });
}

Deno.test("model.explain() warns of a tap where ONNX Runtime may fuse, and only where it may", async () => {
  for (const optimization of ["all", "disabled"] as const) {
    await using model = await openModel(residual(), { provider: "cpu", optimization });
    const { mayEndFusions } = model.explainDocument({ tap: "block" });
    const text = model.explain({ tap: "block" });
    if (optimization === "all") {
      assert.deepEqual(mayEndFusions, [{
        value: "/block/Add_output_0",
        operators: "Add → LayerNormalization",
      }]);
      assert.match(
        text,
        /1 tap or cut stands where ONNX Runtime may fuse \(Add → LayerNormalization\)/,
      );
    } else {
      assert.deepEqual(mayEndFusions, []);
      assert.doesNotMatch(text, /fuse/);
    }
    assert.doesNotMatch(model.explain({ tap: "norm" }), /fuse/);
  }
});
