// A tensor's elements over memory that is there already, without a copy.

import { internalError } from "../../errors/hookline_error.ts";
import type { DType } from "../../tensor/dtype.ts";
import { allocate, type TensorData } from "../../tensor/tensor.ts";

/** Elements in a buffer, from a place that suits their type. */
export function viewOf(
  dtype: DType,
  { buffer, byteOffset }: { readonly buffer: ArrayBuffer; readonly byteOffset: number },
  length: number,
): TensorData {
  const empty = allocate(dtype, 0);
  if (byteOffset % empty.BYTES_PER_ELEMENT !== 0) {
    throw internalError(`elements of ${dtype} cannot begin at byte ${byteOffset}`);
  }
  const View = empty.constructor as new (
    buffer: ArrayBuffer,
    byteOffset: number,
    length: number,
  ) => Exclude<TensorData, readonly string[]>;
  return new View(buffer, byteOffset, length);
}
