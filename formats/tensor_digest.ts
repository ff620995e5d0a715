// A tensor's fingerprint, so that two runs can be compared without keeping their tensors.

import { createHash } from "node:crypto";
import type { Tensor } from "../tensor/tensor.ts";
import { encodeElements, requireSound } from "./_raw_elements.ts";

const CHUNK_BYTES = 64 * 1024 * 1024;

/**
 * The SHA-256 of a tensor's elements as 64 lower-case hex digits: their little-endian bytes, row-major;
 * for strings, each element's UTF-8 byte count as a 64-bit little-endian number and then its UTF-8.
 *
 * Dtype and shape do not enter, so compare them beside it. NaNs of different bits differ, as do 0 and
 * -0.
 *
 * @throws {HooklineError} FEED_DATA when dtype, shape and data do not fit together.
 *
 * @example
 * ```ts
 * import { float32, tensorDigest } from "@hookline/hookline";
 * console.log(tensorDigest(float32([0], [])).slice(0, 8)); // e3b0c442
 * ```
 */
export function tensorDigest(value: Tensor): string {
  requireSound(value, null);
  const hash = createHash("sha256");
  if (value.dtype === "string") {
    for (const text of value.data as readonly string[]) {
      const bytes = new TextEncoder().encode(text);
      const length = new DataView(new ArrayBuffer(8));
      length.setBigUint64(0, BigInt(bytes.length), true);
      hash.update(new Uint8Array(length.buffer)).update(bytes);
    }
    return hash.digest("hex");
  }
  const bytes = encodeElements(value);
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    hash.update(bytes.subarray(start, start + CHUNK_BYTES));
  }
  return hash.digest("hex");
}
