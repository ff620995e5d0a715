// Models of a few nodes with module names, for tests of one rule at a time.

import type { NodeProto } from "onnx-buf";
import { float32, type TensorMap } from "../../tensor/tensor.ts";
import { floats, modelBytes, node, valueInfo } from "../support/build_model.ts";

/**
 * `layers.0` to `layers.N-1`, each `v * (i + 2) + (i + 1)`: the Mul in `layers.i.scale`, the Add in the
 * layer itself. Input `x`, output `y`, both [n, 2].
 */
export function chainModel(layers = 3): Uint8Array<ArrayBuffer> {
  const nodes: NodeProto[] = [];
  let value = "x";
  for (let index = 0; index < layers; index++) {
    const [scaled, out] = [`s${index}`, index === layers - 1 ? "y" : `h${index}`];
    nodes.push(node("Mul", [value, `w${index}`], [scaled], { name: `/layers.${index}/scale/Mul` }));
    nodes.push(node("Add", [scaled, `b${index}`], [out], { name: `/layers.${index}/Add` }));
    value = out;
  }
  return modelBytes({
    nodes,
    inputs: [valueInfo("x", "float32", ["n", 2])],
    outputs: [valueInfo("y", "float32", ["n", 2])],
    initializers: Array.from({ length: layers }, (_, index) => [
      floats(`w${index}`, [2], () => index + 2),
      floats(`b${index}`, [2], () => index + 1),
    ]).flat(),
  });
}

/** What a chain computes, each layer's output changed by `edit`. */
export function chainOutput(
  x: number,
  layers = 3,
  edit: (layer: number, value: number) => number = (_layer, value) => value,
): number {
  let value = x;
  for (let index = 0; index < layers; index++) {
    value = edit(index, value * (index + 2) + index + 1);
  }
  return value;
}

/** Feeds of a chain: one row of two equal numbers. */
export function chainFeeds(x: number): TensorMap {
  return { x: float32([1, 2], [x, x]) };
}

/** The first element of an output. */
export function first(tensors: TensorMap, name = "y"): number {
  return (tensors[name]?.data as Float32Array)[0] as number;
}
