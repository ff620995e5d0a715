import assert from "node:assert/strict";
import type { GraphProto, NodeProto } from "onnx-buf";
import { ModelGraph } from "../../../graph/model_graph.ts";
import { anchorValues } from "../../../parity/repro/anchors.ts";
import { floats, int64s, modelOf, type ModelParts, node } from "../../support/build_model.ts";

function sideOf(parts: ModelParts) {
  const graph = new ModelGraph(modelOf(parts).graph as GraphProto, { label: "test" });
  return { graph, nodes: graph.nodes.filter((one) => !one.isConstant).map(({ index }) => index) };
}

/** Partners of every value, given those of the border. */
function partners(
  reference: ModelParts,
  candidate: ModelParts,
  border: Readonly<Record<string, string>>,
): Record<string, string> {
  const found = anchorValues({
    reference: sideOf(reference),
    candidate: sideOf(candidate),
    partners: new Map(Object.entries(border)),
  });
  return Object.fromEntries([...found].map(([value, { reference: name }]) => [value, name]));
}

const WEIGHTS = ["w", "bias", "p"].map((name) => floats(name, [4, 4]));

Deno.test("anchorValues() pairs values by wiring where every name differs", () => {
  const chain = (names: readonly string[]): NodeProto[] => {
    const [x = "", a = "", b = "", c = "", y = ""] = names;
    return [
      node("MatMul", [x, "w"], [a]),
      node("Add", [a, "bias"], [b]),
      node("Relu", [b], [c]),
      node("MatMul", [c, "p"], [y]),
    ];
  };
  const rest = { initializers: WEIGHTS };
  const found = partners(
    { ...rest, nodes: chain(["x", "a", "b", "c", "y"]), inputs: ["x"], outputs: ["y"] },
    { ...rest, nodes: chain(["X", "1", "2", "3", "Y"]), inputs: ["X"], outputs: ["Y"] },
    { X: "x", Y: "y" },
  );
  assert.deepEqual(found, { X: "x", Y: "y", 1: "a", 2: "b", 3: "c" });
});

Deno.test("anchorValues() looks through Identity and casts between floats, not to integers", () => {
  const reference = {
    nodes: [node("Relu", ["x"], ["a"]), node("Neg", ["a"], ["y"])],
    inputs: ["x"],
    outputs: ["y"],
  };
  const candidate = (to: number): ModelParts => ({
    nodes: [
      node("Cast", ["x"], ["half"], { attributes: { to } }),
      node("Relu", ["half"], ["A"]),
      node("Identity", ["A"], ["copy"]),
      node("Neg", ["copy"], ["y"]),
    ],
    inputs: ["x"],
    outputs: ["y"],
  });
  assert.equal(partners(reference, candidate(10), { x: "x" })["A"], "a");
  assert.equal(partners(reference, candidate(7), { x: "x" })["A"], undefined);
});

Deno.test("anchorValues() tells three projections of one input apart by what uses them", () => {
  const attention = (
    [q, k, v]: readonly [string, string, string],
    order: readonly number[],
  ): ModelParts => {
    const projections = [
      node("MatMul", ["x", q], [`${q}x`]),
      node("MatMul", ["x", k], [`${k}x`]),
      node("MatMul", ["x", v], [`${v}x`]),
    ];
    return {
      nodes: [
        ...order.map((index) => projections[index] as NodeProto),
        node("Transpose", [`${k}x`], ["kt"]),
        node("MatMul", [`${q}x`, "kt"], ["scores"]),
        node("Softmax", ["scores"], ["probabilities"]),
        node("MatMul", ["probabilities", `${v}x`], ["y"]),
      ],
      inputs: ["x"],
      outputs: ["y"],
      initializers: [q, k, v].map((name) => floats(name, [4, 4])),
    };
  };
  const found = partners(
    attention(["q", "k", "v"], [0, 1, 2]),
    attention(["c1", "c2", "c3"], [2, 1, 0]),
    { x: "x", y: "y" },
  );
  assert.equal(found["c1x"], "qx");
  assert.equal(found["c2x"], "kx");
  assert.equal(found["c3x"], "vx");
});

Deno.test("anchorValues() tells slices of one value apart by their constants, in any order", () => {
  const halves = (names: readonly [string, string], order: readonly number[]): ModelParts => {
    const slices = [
      node("Slice", ["x", `${names[0]}0`, `${names[0]}1`], [names[0]]),
      node("Slice", ["x", `${names[1]}0`, `${names[1]}1`], [names[1]]),
    ];
    return {
      nodes: order.map((index) => slices[index] as NodeProto),
      inputs: ["x"],
      outputs: [...names],
      initializers: [
        int64s(`${names[0]}0`, [0]),
        int64s(`${names[0]}1`, [2]),
        int64s(`${names[1]}0`, [2]),
        int64s(`${names[1]}1`, [4]),
      ],
    };
  };
  const found = partners(halves(["low", "high"], [0, 1]), halves(["A", "B"], [1, 0]), { x: "x" });
  assert.deepEqual([found["A"], found["B"]], ["low", "high"]);
});

Deno.test("anchorValues() finds both ends of a quantised MatMul", () => {
  const reference = {
    nodes: [
      node("Relu", ["x"], ["a"]),
      node("MatMul", ["a", "w"], ["product"]),
      node("Add", ["product", "bias"], ["y"]),
    ],
    inputs: ["x"],
    outputs: ["y"],
    initializers: WEIGHTS,
  };
  const candidate = {
    nodes: [
      node("Relu", ["x"], ["A"]),
      node("DynamicQuantizeLinear", ["A"], ["quantized", "scale", "zero"]),
      node("MatMulInteger", ["quantized", "w", "zero"], ["sum"]),
      node("Cast", ["sum"], ["float"], { attributes: { to: 1 } }),
      node("Mul", ["float", "scale"], ["dequantized"]),
      node("Add", ["bias", "dequantized"], ["y"]),
    ],
    inputs: ["x"],
    outputs: ["y"],
    initializers: WEIGHTS,
  };
  assert.deepEqual(partners(reference, candidate, { x: "x", y: "y" }), {
    x: "x",
    y: "y",
    A: "a",
    dequantized: "product",
  });
});

Deno.test("anchorValues() does not pair sums that add in another order", () => {
  const sums = (first: readonly string[], second: readonly string[]): ModelParts => ({
    nodes: [node("Add", first, ["inner"]), node("Add", second, ["y"])],
    inputs: ["a", "b", "c"],
    outputs: ["y"],
  });
  const border = { a: "a", b: "b", c: "c", y: "y" };
  const swapped = partners(
    sums(["a", "b"], ["inner", "c"]),
    sums(["b", "a"], ["c", "inner"]),
    border,
  );
  assert.equal(swapped["inner"], "inner");
  const found = anchorValues({
    reference: sideOf(sums(["a", "b"], ["inner", "c"])),
    candidate: sideOf(sums(["b", "c"], ["a", "inner"])),
    partners: new Map(Object.entries(border)),
  });
  // One name is all that they share: it is kept as a guess, to be verified.
  assert.deepEqual(found.get("inner"), { reference: "inner", by: "name" });
});

Deno.test("anchorValues() pairs a node whose attribute was altered", () => {
  const model = (axis: number): ModelParts => ({
    nodes: [
      node("Relu", ["x"], ["a"]),
      node("Softmax", ["a"], ["b"], { attributes: { axis } }),
      node("Neg", ["b"], ["y"]),
    ],
    inputs: ["x"],
    outputs: ["y"],
  });
  assert.equal(partners(model(1), model(0), { x: "x" })["b"], "b");
});

Deno.test("anchorValues() pairs what an operator too many computes with what it was given", () => {
  const plain = {
    nodes: [node("Relu", ["x"], ["y"])],
    inputs: ["x"],
    outputs: ["y"],
  };
  const more = {
    nodes: [
      node("Sin", ["x"], ["extra"]),
      node("Relu", ["extra"], ["y"]),
    ],
    inputs: ["x"],
    outputs: ["y"],
  };
  const found = partners(plain, more, { x: "x", y: "y" });
  assert.equal(found["extra"], "x");
});
