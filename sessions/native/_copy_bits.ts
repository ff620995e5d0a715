// Elements from one array to another, whatever kind the caller's array is.

import type { NumericData } from "./_tensor_value.ts";

/** Copies elements bit for bit, also where half floats come as their bits. */
export function copyBits(from: NumericData, to: NumericData): void {
  if (from.length === 0) return; // it may be detached
  if (from.constructor === to.constructor) to.set(from as never);
  else bits(to).set(bits(from));
}

function bits(data: NumericData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
