// How far two results of one output are apart, in bits and in numbers. It knows no model; what may
// differ is decided by the tolerance that the caller gives.

import { dtypeInfo } from "../tensor/dtype.ts";
import type { Tensor, TensorData } from "../tensor/tensor.ts";

/** How far one output is from its reference. */
export interface TensorDifference {
  /** Bits that differ; every bit of the larger one where dtype or shape differ. */
  readonly bitsDiffering: number;
  /**
   * Largest |candidate - reference|, accumulated in index order as float64. Two NaNs and two equal
   * infinities are 0 apart; a NaN or an infinity against anything else, or strings that differ, are
   * infinitely far apart.
   */
  readonly maxAbs: number;
  /** Largest finite |reference|. */
  readonly maxReference: number;
}

/** `|a - b| <= atol + rtol * max|b|`. */
export interface Tolerance {
  readonly atol: number;
  readonly rtol: number;
}

const FLOAT_TOLERANCES: Readonly<Record<string, Tolerance>> = {
  float32: { atol: 1e-5, rtol: 1e-5 },
  float64: { atol: 1e-5, rtol: 1e-5 },
  float16: { atol: 1e-2, rtol: 1e-2 },
  bfloat16: { atol: 1e-2, rtol: 1e-2 },
};

/** What may differ in an output of this dtype: nothing at all unless it is a float. */
export function toleranceOf(dtype: string, given: Partial<Tolerance>): Tolerance {
  const usual = FLOAT_TOLERANCES[dtype];
  if (usual === undefined) return { atol: 0, rtol: 0 };
  return { atol: given.atol ?? usual.atol, rtol: given.rtol ?? usual.rtol };
}

/** True when a difference is allowed. */
export function isWithin(difference: TensorDifference, tolerance: Tolerance): boolean {
  if (difference.bitsDiffering === 0) return true;
  return difference.maxAbs <= tolerance.atol + tolerance.rtol * difference.maxReference;
}

/** Compares one output with its reference. */
export function tensorDifference(reference: Tensor, candidate: Tensor): TensorDifference {
  if (!isSameForm(reference, candidate)) {
    return {
      bitsDiffering: Math.max(bitLength(reference), bitLength(candidate), 1),
      maxAbs: Infinity,
      maxReference: 0,
    };
  }
  if (reference.dtype === "string") {
    const bits = stringBits(reference.data as readonly string[], candidate.data as string[]);
    return { bitsDiffering: bits, maxAbs: bits === 0 ? 0 : Infinity, maxReference: 0 };
  }
  const bitsDiffering = differingBits(bytesOf(reference.data), bytesOf(candidate.data));
  if (bitsDiffering === 0) return { bitsDiffering, maxAbs: 0, maxReference: 0 };
  const left = numbersOf(reference);
  const right = numbersOf(candidate);
  let maxAbs = 0;
  let maxReference = 0;
  for (let index = 0; index < left.length; index++) {
    const wanted = Number(left[index]);
    const found = Number(right[index]);
    if (Number.isFinite(wanted)) maxReference = Math.max(maxReference, Math.abs(wanted));
    if (Object.is(wanted, found) || wanted === found) continue;
    const apart = Math.abs(found - wanted);
    maxAbs = Number.isFinite(apart) ? Math.max(maxAbs, apart) : Infinity;
  }
  return { bitsDiffering, maxAbs, maxReference };
}

function isSameForm(left: Tensor, right: Tensor): boolean {
  return left.dtype === right.dtype && left.data.length === right.data.length &&
    left.shape.length === right.shape.length &&
    left.shape.every((size, axis) => size === right.shape[axis]);
}

function bitLength(value: Tensor): number {
  return value.data.length * (dtypeInfo(value.dtype)?.bitWidth ?? 0);
}

function bytesOf(data: TensorData): Uint8Array {
  if (!ArrayBuffer.isView(data)) return new Uint8Array(0);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** The elements as numbers; half floats may be held as bits. */
function numbersOf(value: Tensor): ArrayLike<number | bigint> {
  const data = value.data as Exclude<TensorData, readonly string[]>;
  if (value.dtype === "float16" && data instanceof Uint16Array) {
    return Array.from(data, (bits) => halfFloat(bits));
  }
  if (value.dtype === "bfloat16" && data instanceof Uint16Array) {
    return new Float32Array(Uint32Array.from(data, (bits) => bits << 16).buffer);
  }
  return data;
}

function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = bits >> 10 & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Bits in which two byte arrays differ; what one has more counts in full. */
function differingBits(left: Uint8Array, right: Uint8Array): number {
  let bits = 8 * Math.abs(left.length - right.length);
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    let mixed = (left[index] as number) ^ (right[index] as number);
    for (; mixed !== 0; mixed &= mixed - 1) bits++;
  }
  return bits;
}

function stringBits(left: readonly string[], right: readonly string[]): number {
  const encoder = new TextEncoder();
  let bits = 0;
  for (let index = 0; index < left.length; index++) {
    const [wanted, found] = [left[index] as string, right[index] as string];
    if (wanted !== found) bits += differingBits(encoder.encode(wanted), encoder.encode(found));
  }
  return bits;
}
