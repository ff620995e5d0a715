// Bisection on real sessions: small models in which the place of the fault is known.

import assert from "node:assert/strict";
import { bisect } from "../../../parity/repro/bisect.ts";
import { anchorValues } from "../../../parity/repro/anchors.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import type { ModelParts } from "../../support/build_model.ts";
import { floats, int64s, node, valueInfo } from "../../support/build_model.ts";
import { rampTensor } from "../../support/run_model.ts";
import { hostOf, operatorsOf, wholeCall } from "./_call_sides.ts";

const FEEDS = { x: rampTensor([2, 4]) };

/** Six layers of Add, each bias 1, but for those that are given. */
function sums(biases: Readonly<Record<number, number>> = {}): ModelParts {
  const layers = [0, 1, 2, 3, 4, 5];
  return {
    nodes: layers.map((index) =>
      node("Add", [index === 0 ? "x" : `h${index}`, `b${index}`], [
        index === 5 ? "y" : `h${index + 1}`,
      ])
    ),
    inputs: [valueInfo("x", "float32", [2, 4])],
    outputs: [valueInfo("y", "float32", [2, 4])],
    initializers: layers.map((index) => floats(`b${index}`, [4], () => biases[index] ?? 1)),
  };
}

Deno.test("bisect() finds the one node that errs", async () => {
  const [reference, candidate] = [hostOf(sums()), hostOf(sums({ 3: 1.5 }))];
  const found = await bisect(wholeCall(reference, candidate, FEEDS));
  assert.deepEqual(found?.nodes, [3]);
  assert.deepEqual(found?.inputs.map(({ name, reference }) => [name, reference]), [["h3", "h3"]]);
  assert.equal(found?.outputs[0]?.name, "h4");
  assert.ok(Math.abs((found?.outputs[0]?.error?.maxAbs ?? 0) - 0.5) < 1e-5);
  assert.equal(openSessions().length, 0);
});

Deno.test("bisect() takes the worst of several, though another comes first", async () => {
  const [reference, candidate] = [hostOf(sums()), hostOf(sums({ 1: 1.1, 4: 3 }))];
  const found = await bisect(wholeCall(reference, candidate, FEEDS));
  assert.deepEqual(found?.nodes, [4]);
});

Deno.test("bisect() gives null when nothing errs", async () => {
  assert.equal(await bisect(wholeCall(hostOf(sums()), hostOf(sums()), FEEDS)), null);
});

Deno.test("bisect() keeps together what only errs together", async () => {
  // Each of the two is off by 0.6 of what is tolerated; only their sum is too much.
  const tolerance = { rtol: 0, atol: 1 };
  const [reference, candidate] = [hostOf(sums()), hostOf(sums({ 2: 1.6, 3: 1.6 }))];
  const call = { ...wholeCall(reference, candidate, FEEDS), toleranceOf: () => tolerance };
  const found = await bisect(call);
  assert.deepEqual(found?.nodes, [2, 3]);
});

Deno.test("bisect() looks in the scope first and in the whole call when that shows nothing", async () => {
  const [reference, candidate] = [hostOf(sums()), hostOf(sums({ 1: 1.5, 4: 9 }))];
  const call = wholeCall(reference, candidate, FEEDS);
  assert.deepEqual((await bisect(call, { scope: [0, 1, 2] }))?.nodes, [1]);
  assert.deepEqual((await bisect(call, { scope: [0, 2] }))?.nodes, [4]);
});

Deno.test("bisect() stops at its limit with something that shows the error", async () => {
  const [reference, candidate] = [hostOf(sums()), hostOf(sums({ 3: 1.5 }))];
  const found = await bisect(wholeCall(reference, candidate, FEEDS), { runLimit: 3 });
  assert.ok(found !== null && found.nodes.includes(3) && found.runs <= 3);
});

Deno.test("bisect() finds the group of a quantised MatMul, and nothing more", async () => {
  const border = {
    inputs: [valueInfo("x", "float32", [2, 4])],
    outputs: [valueInfo("y", "float32", [2, 4])],
  };
  const reference = hostOf({
    ...border,
    nodes: [
      node("Tanh", ["x"], ["a"]),
      node("MatMul", ["a", "w"], ["product"]),
      node("Add", ["product", "b"], ["y"]),
    ],
    initializers: [floats("w", [4, 4], (index) => index / 15), floats("b", [4])],
  });
  const bytes = floats("q", [4, 4]);
  bytes.dataType = 2;
  bytes.rawData = Uint8Array.from({ length: 16 }, (_, index) => Math.round(index / 15 * 255));
  const candidate = hostOf({
    ...border,
    nodes: [
      node("Tanh", ["x"], ["t"]),
      node("DynamicQuantizeLinear", ["t"], ["u", "scale", "zero"]),
      node("MatMulInteger", ["u", "q", "zero"], ["sum"]),
      node("Cast", ["sum"], ["float"], { attributes: { to: 1 } }),
      node("Mul", ["scale", "step"], ["both"]),
      node("Mul", ["float", "both"], ["m"]),
      node("Add", ["m", "b"], ["y"]),
    ],
    initializers: [bytes, floats("step", [], () => 1 / 255), floats("b", [4])],
  });
  const found = await bisect(wholeCall(reference, candidate, FEEDS));
  assert.deepEqual(operatorsOf(candidate, found?.nodes ?? []), [
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "Cast",
    "Mul",
    "Mul",
  ]);
  assert.ok((found?.ratio ?? 0) > 1 && (found?.outputs[0]?.error?.cosine ?? 0) > 0.999);
});

Deno.test("bisect() finds a NaN where it begins", async () => {
  const model = (operator: string): ModelParts => ({
    nodes: [
      node("Sub", ["x", "two"], ["a"]),
      node(operator, ["a"], ["b"]),
      node("Abs", ["b"], ["y"]),
    ],
    inputs: [valueInfo("x", "float32", [2, 4])],
    outputs: [valueInfo("y", "float32", [2, 4])],
    initializers: [floats("two", [], () => 2)],
  });
  const [reference, candidate] = [hostOf(model("Neg")), hostOf(model("Sqrt"))];
  const found = await bisect(wholeCall(reference, candidate, FEEDS));
  assert.deepEqual(operatorsOf(candidate, found?.nodes ?? []), ["Sqrt"]);
  assert.equal(found?.outputs[0]?.error?.nanCandidate, 8);
});

Deno.test("bisect() finds a node that cannot run on the reference's values", async () => {
  const model = (sizes: readonly number[]): ModelParts => ({
    nodes: [
      node("Relu", ["x"], ["a"]),
      node("Reshape", ["a", "sizes"], ["b"]),
      node("Relu", ["b"], ["y"]),
    ],
    inputs: [valueInfo("x", "float32", ["n", "m"])],
    outputs: [valueInfo("y", "float32")],
    initializers: [int64s("sizes", sizes)],
  });
  const [reference, candidate] = [hostOf(model([4, 2])), hostOf(model([3, 2]))];
  const found = await bisect(wholeCall(reference, candidate, FEEDS));
  assert.deepEqual(operatorsOf(candidate, found?.nodes ?? []), ["Reshape"]);
  assert.equal(found?.ratio, Infinity);
  assert.match(found?.problem ?? "", /cannot (run|open)/);
});

Deno.test("bisect() feeds half-precision nodes with the reference's values in half precision", async () => {
  const model = (bias: number, isHalf: boolean): ModelParts => {
    const to = { attributes: { to: 10 } };
    const back = { attributes: { to: 1 } };
    return {
      nodes: [
        ...isHalf ? [node("Cast", ["x"], ["x16"], to), node("Cast", ["b"], ["b16"], to)] : [],
        node("Mul", isHalf ? ["x16", "x16"] : ["x", "x"], ["a"]),
        node("Add", isHalf ? ["a", "b16"] : ["a", "b"], ["s"]),
        ...isHalf ? [node("Cast", ["s"], ["y"], back)] : [node("Identity", ["s"], ["y"])],
      ],
      inputs: [valueInfo("x", "float32", [2, 4])],
      outputs: [valueInfo("y", "float32", [2, 4])],
      initializers: [floats("b", [4], () => bias)],
    };
  };
  const tolerance = { rtol: 1e-2, atol: 1e-2 };
  const [reference, candidate] = [hostOf(model(1, false)), hostOf(model(2, true))];
  const call = { ...wholeCall(reference, candidate, FEEDS), toleranceOf: () => tolerance };
  const found = await bisect(call);
  assert.deepEqual(operatorsOf(candidate, found?.nodes ?? []), ["Add"]);
  assert.deepEqual(found?.inputs.map(({ value }) => value.dtype), ["float16"]);
});

Deno.test("bisect() does not believe a shared name whose values do not resemble each other", async () => {
  // "t" is another value in each: fed to the Abs of the candidate, the reference's would look wrong.
  const reference = hostOf({
    nodes: [node("Sin", ["x"], ["t"]), node("Mul", ["t", "x"], ["y"])],
    inputs: [valueInfo("x", "float32", [2, 4])],
    outputs: [valueInfo("y", "float32", [2, 4])],
  });
  const candidate = hostOf({
    nodes: [
      node("Neg", ["x"], ["minus"]),
      node("Sin", ["minus"], ["sine"]),
      node("Neg", ["x"], ["t"]),
      node("Mul", ["sine", "t"], ["product"]),
      node("Abs", ["product"], ["y"]),
    ],
    inputs: [valueInfo("x", "float32", [2, 4])],
    outputs: [valueInfo("y", "float32", [2, 4])],
  });
  const call = wholeCall(reference, candidate, FEEDS);
  const [left, right] = [reference.structure.graph, candidate.structure.graph];
  const anchors = anchorValues({
    reference: { graph: left, nodes: call.reference.nodes },
    candidate: { graph: right, nodes: call.candidate.nodes },
    partners: call.partners,
  });
  assert.equal(anchors.get("t")?.by, "name");
  assert.equal(await bisect(call), null, "sin(x)·x is even: the two agree");
});
