// A small model in the shape of a diffusion transformer: an embedded timestep modulates every block, and
// each block adds to a stream of hidden states.

import { float32, type Model, type TensorMap, traceStep } from "@hookline/hookline";
import { floats, modelBytes, node, valueInfo } from "../../support/build_model.ts";

export const BLOCKS = 5;
const WIDTH = 16;
const TOKENS = 6;

function weight(name: string, seed: number): ReturnType<typeof floats> {
  return floats(name, [WIDTH, WIDTH], (index) => Math.sin((index + 1) * (seed + 1)) / 6);
}

/** The model's bytes: inputs `x` [1, tokens, width] and `t` [1, 1, width], output `y` like `x`. */
export function ditBytes(): Uint8Array {
  const nodes = [
    node("MatMul", ["t", "time.weight"], ["/time/MatMul_output_0"], { name: "/time/MatMul" }),
    node("Sigmoid", ["/time/MatMul_output_0"], ["/time/Sigmoid_output_0"], {
      name: "/time/Sigmoid",
    }),
  ];
  const initializers = [weight("time.weight", 40)];
  let hidden = "x";
  for (let block = 0; block < BLOCKS; block++) {
    const scope = `/blocks.${block}`;
    const value = (what: string): string => `${scope}/${what}_output_0`;
    initializers.push(weight(`blocks.${block}.weight`, block));
    nodes.push(
      node("Mul", [hidden, "/time/Sigmoid_output_0"], [value("Mul")], { name: `${scope}/Mul` }),
      node("MatMul", [value("Mul"), `blocks.${block}.weight`], [value("MatMul")], {
        name: `${scope}/MatMul`,
      }),
      node("Tanh", [value("MatMul")], [value("Tanh")], { name: `${scope}/Tanh` }),
      node("Add", [hidden, value("Tanh")], [value("Add")], { name: `${scope}/Add` }),
    );
    hidden = value("Add");
  }
  nodes.push(node("Identity", [hidden], ["y"], { name: "/out/Identity" }));
  return modelBytes({
    nodes,
    initializers,
    inputs: [
      valueInfo("x", "float32", [1, "tokens", WIDTH]),
      valueInfo("t", "float32", [1, 1, WIDTH]),
    ],
    outputs: [valueInfo("y", "float32", [1, "tokens", WIDTH])],
  });
}

/** The sample after a denoising loop of `steps`: x ← x − y / steps. */
export async function denoise(model: Model, steps: number, seed = 1): Promise<Float32Array> {
  let x = Float32Array.from({ length: TOKENS * WIDTH }, (_, index) => Math.sin(index * seed + 1));
  for (let step = 0; step < steps; step++) {
    const time = 1 - step / steps;
    const feeds: TensorMap = {
      x: float32([1, TOKENS, WIDTH], x),
      t: float32([1, 1, WIDTH], new Float32Array(WIDTH).fill(time)),
    };
    const { y } = await traceStep(step, () => model.run(feeds));
    const change = y?.data as Float32Array;
    x = x.map((value, index) => value - (change[index] ?? 0) / steps);
  }
  return x;
}

/** The largest difference between two samples. */
export function maxDifference(left: Float32Array, right: Float32Array): number {
  return left.reduce(
    (most, value, index) => Math.max(most, Math.abs(value - (right[index] ?? NaN))),
    0,
  );
}
