// Stored bytes to typed arrays and back, in either byte order. Every decoder copies through here, so
// that no tensor keeps a file's buffer alive and misaligned data cost nothing more than the copy.

import { HooklineError } from "../errors/hookline_error.ts";
import { type DType, dtypeInfo } from "../tensor/dtype.ts";
import { allocate, type Tensor, tensorFault } from "../tensor/tensor.ts";

/** The typed arrays that hold numeric elements. */
export type NumericData = ReturnType<typeof allocate>;

/** Bytes per element of a numeric dtype that has a JavaScript array. */
export function elementByteLength(dtype: DType): number {
  return (dtypeInfo(dtype)?.bitWidth ?? 0) / 8;
}

function hostIsLittleEndian(): boolean {
  return new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
}

function swapBytes(bytes: Uint8Array, width: number): void {
  for (let start = 0; start < bytes.length; start += width) {
    bytes.subarray(start, start + width).reverse();
  }
}

/** A new array with the elements that `bytes` store; `bytes` must hold exactly `count` elements. */
export function decodeElements(
  dtype: DType,
  count: number,
  bytes: Uint8Array,
  bigEndian = false,
): NumericData {
  const data = allocate(dtype, count);
  const target = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  target.set(bytes);
  if (bigEndian === hostIsLittleEndian()) {
    swapBytes(target, elementByteLength(dtype));
  }
  return data;
}

/**
 * The little-endian bytes of a numeric tensor; a view of its data where the host is little-endian.
 */
export function encodeElements(value: Tensor): Uint8Array {
  const data = value.data as NumericData;
  const view = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (hostIsLittleEndian()) return view;
  const swapped = view.slice();
  swapBytes(swapped, elementByteLength(value.dtype));
  return swapped;
}

/** True when every byte is 0 or 1, the only bytes that a bool tensor may hold. */
export function areBools(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte <= 1);
}

/**
 * Checks a tensor that somebody else made before it is written or hashed.
 *
 * @throws {HooklineError} FEED_DATA when dtype, shape and data do not fit together.
 */
export function requireSound(value: Tensor, name: string | null): void {
  const fault = tensorFault(value);
  if (fault === null) return;
  const subject = name === null ? "a tensor" : `tensor "${name}"`;
  throw new HooklineError("FEED_DATA", {
    message: `cannot encode ${subject}: it ${fault}`,
    fix:
      "give an array of the dtype's own kind with as many elements as the shape multiplies out to",
    details: name === null ? {} : { tensor: name },
  });
}
