// What an editing function is given: the tensor with an ndarray view on it. It owns the rule that the
// function may write into what it gets, because that is a copy of its own.

import { copyTensor, type NdArray, ndarrayView, type Tensor } from "../../mod.ts";

/** A tensor with a strided view on its data. */
export interface Activation extends Tensor {
  /** The view; writing through it writes the activation. Made when it is first asked for. */
  readonly ndarray: NdArray;
}

/**
 * A private copy of a tensor, with its view.
 *
 * @example
 * ```ts
 * import { float32 } from "@hookline/hookline";
 * import { activationOf } from "@hookline/hookline/plugins/output-edit";
 * const activation = activationOf(float32([2], [1, 2]));
 * activation.ndarray.set(0, 9);
 * console.log(activation.data); // Float32Array(2) [ 9, 2 ]
 * ```
 */
export function activationOf(value: Tensor): Activation {
  const copy = copyTensor(value);
  let view: NdArray | null = null;
  return Object.freeze({
    dtype: copy.dtype,
    shape: copy.shape,
    data: copy.data,
    get ndarray(): NdArray {
      return view ??= ndarrayView(copy);
    },
  });
}

/** Tells a tensor from a dictionary of tensors: a tensor's `dtype` is text. */
export function isTensor(value: unknown): value is Tensor {
  return typeof value === "object" && value !== null &&
    typeof (value as { dtype?: unknown }).dtype === "string" && "shape" in value && "data" in value;
}
