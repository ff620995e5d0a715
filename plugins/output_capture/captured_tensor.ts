// A captured value and where it came from. It is a tensor like any other and shares memory with nothing.

import { type DType, type NdArray, ndarrayView, type Tensor, type TensorData } from "../../mod.ts";
import type { CaptureSlot } from "./capture_slot.ts";

/** Where a captured value came from and what it is, without the value. */
export interface CaptureRecord {
  /** The key that it was captured for. */
  readonly key: string;
  /** Its position in the key's list. */
  readonly position: number;
  /** The path of the sub-model whose key it is; `""` for the model itself. */
  readonly level: string;
  /** The module's path. */
  readonly module: string;
  /** Which call of the module. */
  readonly callIndex: number;
  /** Output or input. */
  readonly of: "output" | "input";
  /** Its position among the module's outputs or inputs. */
  readonly index: number;
  /** The value's name in the file. */
  readonly value: string;
  /** `KEY/MODULE`, as files name it. */
  readonly name: string;
  /** Element type. */
  readonly dtype: DType;
  /** Dimension sizes, after slicing. */
  readonly shape: readonly number[];
}

/**
 * A captured value: a tensor with its origin.
 *
 * @example
 * ```ts
 * import type { CapturedTensor } from "@hookline/hookline/plugins/output-capture";
 * const mean = ({ data }: CapturedTensor) =>
 *   (data as Float32Array).reduce((sum, value) => sum + value, 0) / data.length;
 * console.log(mean.length); // 1
 * ```
 */
export class CapturedTensor implements Tensor {
  /** Element type. */
  readonly dtype: DType;
  /** Dimension sizes, after slicing. */
  readonly shape: readonly number[];
  /** The elements: a copy, whatever becomes of the model's buffers. */
  readonly data: TensorData;
  /** Where the value came from. */
  readonly record: CaptureRecord;

  /** Made by a capture. */
  constructor(value: Tensor, record: CaptureRecord) {
    this.dtype = value.dtype;
    this.shape = value.shape;
    this.data = value.data;
    this.record = record;
    Object.freeze(this);
  }

  /** The path of the module that it came from. */
  get module(): string {
    return this.record.module;
  }

  /**
   * A strided view on the data, of the npm package `ndarray`: `view.get(0, 1, 2)`, `view.pick(0)`.
   *
   * @throws {HooklineError} TENSOR_DTYPE for strings.
   */
  get view(): NdArray {
    return ndarrayView(this);
  }
}

/** What is recorded of a value beside its elements. */
export function recordOf(
  place: { readonly key: string; readonly position: number; readonly level: string },
  slot: CaptureSlot,
  value: Tensor,
): CaptureRecord {
  const { module, callIndex, of, index, label } = slot;
  const owner = place.level === "" ? "" : `${place.level}/`;
  return Object.freeze({
    ...place,
    module,
    callIndex,
    of,
    index,
    value: slot.value,
    name: `${owner}${place.key}/${label}`,
    dtype: value.dtype,
    shape: Object.freeze([...value.shape]),
  });
}
