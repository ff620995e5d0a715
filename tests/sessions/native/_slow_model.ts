// A model that computes for long enough to be watched, cancelled and overtaken: a chain of products.

import { float32, type TensorMap } from "../../../tensor/tensor.ts";
import { buildModel } from "../tiny_models.ts";

const WIDTH = 384;

/** `y = x · x · …`, one product a step. */
export function slowModel(steps: number): Uint8Array<ArrayBuffer> {
  const value = (index: number) => index === 0 ? "x" : index === steps ? "y" : `v${index}`;
  return buildModel({
    inputs: [{ name: "x", dtype: "float32", shape: [WIDTH, WIDTH] }],
    outputs: [{ name: "y", dtype: "float32", shape: [WIDTH, WIDTH] }],
    nodes: Array.from({ length: steps }, (_, index) => ({
      op: "MatMul",
      inputs: [value(index), "x"],
      outputs: [value(index + 1)],
    })),
  });
}

/** The identity matrix: every product is `x` again. */
export function slowFeeds(): TensorMap {
  const data = new Float32Array(WIDTH * WIDTH);
  for (let index = 0; index < WIDTH; index++) data[index * (WIDTH + 1)] = 1;
  return { x: float32([WIDTH, WIDTH], data) };
}
