// What is known of a tensor before a call: enough to have its memory ready.

import { type DType, dtypeInfo, storedByteLength } from "../../tensor/dtype.ts";
import { elementCount, type Tensor } from "../../tensor/tensor.ts";

/** Tensors up to this size are copied, which takes less than making and freeing a value over them. */
const COPIED_BYTES = 65_536;

/** A tensor of a call as far as it is known beforehand. */
export interface CallTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly length: number;
}

/** The description of a tensor; its shape is copied. */
export function callTensor(
  name: string,
  { dtype, shape }: Pick<Tensor, "dtype" | "shape">,
): CallTensor {
  return { name, dtype, shape: Object.freeze([...shape]), length: elementCount(shape) };
}

/** Its elements' bytes; 0 for strings. */
export function byteLengthOf({ dtype, length }: CallTensor): number {
  const info = dtypeInfo(dtype);
  return info === undefined ? 0 : storedByteLength(info, length);
}

/** Whether it is numeric and small enough to be copied into, or out of, memory that stays. */
export function isCopied(tensor: CallTensor): boolean {
  return tensor.dtype !== "string" && byteLengthOf(tensor) <= COPIED_BYTES;
}
