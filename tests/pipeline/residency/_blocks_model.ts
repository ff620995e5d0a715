// A transformer of a few equal blocks in a file of its own, and what plain sessions make of it.

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  writeTransformer,
  type WriteTransformerOptions,
} from "../../../bench/transformer_model.ts";
import { temporaryFolder } from "../../../host/temporary_folder.ts";
import { float32, type Tensor, type TensorMap } from "../../../tensor/tensor.ts";

/** A model file with a folder around it, removed when disposed. */
export interface BlocksModel extends Disposable {
  readonly folder: string;
  readonly path: string;
  readonly feeds: TensorMap;
}

/** Writes a transformer of `blocks.0` to `blocks.3`, 3 tokens to be fed. */
export function blocksModel(options: WriteTransformerOptions = {}): BlocksModel {
  const folder = mkdtempSync(join(temporaryFolder(), "hookline-residency-"));
  const path = join(folder, "model.onnx");
  const shape = { blocks: 4, width: 32, heads: 2, ...options };
  writeTransformer(path, shape);
  return {
    folder,
    path,
    feeds: tokens(shape.width),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Feeds of three tokens. */
export function tokens(width: number, seed = 1): TensorMap {
  const data = Float32Array.from({ length: 3 * width }, (_, index) => Math.sin(seed + index));
  return { x: float32([1, 3, width], data) };
}

/** The largest difference between two tensors. */
export function difference(left: Tensor | undefined, right: Tensor | undefined): number {
  const one = left?.data as Float32Array;
  const other = right?.data as Float32Array;
  if (one.length !== other.length) return Infinity;
  return one.reduce(
    (most, value, index) => Math.max(most, Math.abs(value - (other[index] ?? NaN))),
    0,
  );
}
