// A model of many modules in a row, of any width: each multiplies by a weight and adds a bias, so every
// module's output is as large as the input. For comparisons whose activations matter more than their
// weights.

import type { TensorProto } from "onnx-buf";
import { floats, modelBytes, node, valueInfo } from "../../support/build_model.ts";

/** Parts of a chain. */
export interface ChainOptions {
  /** Modules, each with two nodes. */
  readonly blocks: number;
  /** Elements of every activation. */
  readonly width: number;
  /** The block whose weight is another one, or none. */
  readonly altered?: number;
  /** The path that the blocks lie in: `blocks` when left out. */
  readonly prefix?: string;
}

/** The encoded model: input `x`, output `y`, modules `blocks.0`, `blocks.1`, …. */
export function chainModel(
  { blocks, width, altered, prefix = "blocks" }: ChainOptions,
): Uint8Array<ArrayBuffer> {
  const initializers: TensorProto[] = [];
  const nodes = [];
  let value = "x";
  for (let block = 0; block < blocks; block++) {
    const path = `${prefix}.${block}`;
    const factor = block === altered ? 1.5 : 1.0625;
    initializers.push(floats(`${path}.weight`, [1], () => factor));
    initializers.push(floats(`${path}.bias`, [1], () => block / 64));
    const scaled = `/${path}/Mul_output_0`;
    const next = block === blocks - 1 ? "y" : `/${path}/Add_output_0`;
    nodes.push(
      node("Mul", [value, `${path}.weight`], [scaled], { name: `/${path}/Mul` }),
      node("Add", [scaled, `${path}.bias`], [next], { name: `/${path}/Add` }),
    );
    value = next;
  }
  return modelBytes({
    inputs: [valueInfo("x", "float32", [1, width])],
    outputs: [valueInfo("y", "float32", [1, width])],
    nodes,
    initializers,
  });
}
