import assert from "node:assert/strict";
import { openModel } from "../../pipeline/open_model.ts";
import { float32, type Tensor } from "../../tensor/tensor.ts";
import { OPERATORS } from "../../testing/operators.ts";
import { modelBytes, node, valueInfo } from "../support/build_model.ts";

const A = float32([2, 3], [1, -2, 3, 0.5, 2, 9]);
const ROW = float32([3], [2, 4, 8]);
const SQUARE = float32([3, 2], [1, 2, 3, 4, 5, 6]);

/** Operators and inputs that show their shapes and signs. */
const CASES: Readonly<Record<string, readonly Tensor[]>> = {
  Abs: [A],
  Add: [A, ROW],
  Div: [A, ROW],
  Exp: [A],
  Gemm: [A, SQUARE, float32([2], [1, -1])],
  Identity: [A],
  MatMul: [float32([1, 2, 3], [...A.data as Float32Array]), SQUARE],
  Mul: [ROW, A],
  Neg: [A],
  Relu: [A],
  Sigmoid: [A],
  Softmax: [A],
  Sqrt: [ROW],
  Sub: [float32([2, 1], [1, 2]), ROW],
  Tanh: [A],
};

Deno.test("every operator of the fake engine gives what ONNX Runtime gives", async () => {
  assert.deepEqual(Object.keys(CASES), Object.keys(OPERATORS).sort());
  for (const [name, inputs] of Object.entries(CASES)) {
    const names = inputs.map((_, index) => `in${index}`);
    const bytes = modelBytes({
      nodes: [node(name, names, ["out"])],
      inputs: inputs.map(({ shape }, index) => valueInfo(`in${index}`, "float32", shape)),
      outputs: [valueInfo("out")],
    });
    await using model = await openModel(bytes, { provider: "cpu", optimization: "disabled" });
    const feeds = Object.fromEntries(inputs.map((tensor, index) => [`in${index}`, tensor]));
    const wanted = (await model.run(feeds))["out"];
    const [found] = OPERATORS[name]?.(inputs, {}) ?? [];
    assert.deepEqual(found?.shape, wanted?.shape, name);
    (found?.data as Float32Array).forEach((value, index) => {
      const other = (wanted?.data as Float32Array)[index] as number;
      assert.ok(Math.abs(value - other) <= 1e-6 * Math.max(1, Math.abs(other)), `${name} ${index}`);
    });
  }
});

Deno.test("operators refuse shapes that do not fit", () => {
  assert.throws(() => OPERATORS["Add"]?.([A, SQUARE], {}), /do not fit/);
  assert.throws(() => OPERATORS["MatMul"]?.([A, A], {}), /cannot multiply/);
  assert.throws(() => OPERATORS["Gemm"]?.([A, SQUARE], { transA: 1 }), /transA/);
});

Deno.test("Gemm takes transB, alpha and beta", () => {
  const turned = float32([2, 3], [1, 3, 5, 2, 4, 6]);
  const c = float32([2], [1, -1]);
  const [plain] = OPERATORS["Gemm"]?.([A, SQUARE], {}) ?? [];
  const [found] = OPERATORS["Gemm"]?.([A, turned, c], { transB: 1, alpha: 2, beta: 10 }) ?? [];
  const wanted = Array.from(
    plain?.data as Float32Array,
    (value, index) => value * 2 + (index % 2 === 0 ? 10 : -10),
  );
  assert.deepEqual([...found?.data as Float32Array], wanted);
});
