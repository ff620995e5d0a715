// The one place that imports ndarray, which carries no types of its own. A view adds indexing, slicing
// and transposing to a tensor's data; it copies nothing and knows no hook.

import ndarray from "ndarray";
import { HooklineError } from "../errors/hookline_error.ts";
import type { Tensor, TensorData } from "./tensor.ts";

/**
 * A strided view on a tensor's data, of the npm package `ndarray`: what `ndarray-ops` and its relatives
 * take. Elements are numbers, or bigints for `int64` and `uint64`.
 */
export interface NdArray {
  /** The data below the view, shared with the tensor. */
  readonly data: Exclude<TensorData, readonly string[]>;
  /** Dimension sizes. */
  readonly shape: readonly number[];
  /** How far apart, in elements, neighbours of each dimension lie. */
  readonly stride: readonly number[];
  /** Where the first element lies in `data`. */
  readonly offset: number;
  /** ndarray's name for the array type, such as `float32`. */
  readonly dtype: string;
  /** The number of elements. */
  readonly size: number;
  /** The number of dimensions. */
  readonly dimension: number;
  /** The element at an index, one number a dimension. */
  get(...index: readonly number[]): number | bigint;
  /** Writes an element and returns it: `set(i, j, value)`. It writes into the tensor's own data. */
  set(...indexAndValue: readonly (number | bigint)[]): number | bigint;
  /** Where an element lies in `data`. */
  index(...index: readonly number[]): number;
  /** The part from an index on; null leaves a dimension whole. */
  lo(...start: readonly (number | null)[]): NdArray;
  /** The part of these sizes from the start; null leaves a dimension whole. */
  hi(...size: readonly (number | null)[]): NdArray;
  /** Every n-th element along each dimension; a negative step reverses. */
  step(...steps: readonly (number | null)[]): NdArray;
  /** The dimensions in another order. */
  transpose(...axes: readonly number[]): NdArray;
  /** The part at a fixed index of some dimensions, which disappear; null keeps a dimension. */
  pick(...index: readonly (number | null)[]): NdArray;
}

const makeView = ndarray as unknown as (data: TensorData, shape: number[]) => NdArray;

/**
 * A view on a tensor's own data: writing through it writes the tensor.
 *
 * @throws {HooklineError} TENSOR_DTYPE for a `string` tensor, which has no numbers.
 *
 * @example
 * ```ts
 * import { float32, ndarrayView } from "@hookline/hookline";
 * const view = ndarrayView(float32([2, 3], [0, 1, 2, 3, 4, 5]));
 * console.log(view.get(1, 2), view.transpose(1, 0).shape); // 5 [ 3, 2 ]
 * ```
 */
export function ndarrayView(tensor: Tensor): NdArray {
  if (!ArrayBuffer.isView(tensor.data)) {
    throw new HooklineError("TENSOR_DTYPE", {
      message: `cannot view a "${tensor.dtype}" tensor as an ndarray`,
      fix: "read string tensors by their elements",
      details: { dtype: tensor.dtype },
    });
  }
  return makeView(tensor.data, [...tensor.shape]);
}
