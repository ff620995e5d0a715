// Tensors of one meaning in two element types: elements as float64 in chunks, so that no whole copy is
// made to compare, and casts from one float or integer type to another, so that a half-precision module
// can be fed with the values of a single-precision one. It knows no model.

import type { DType } from "../../tensor/dtype.ts";
import { allocate, type Tensor, type TensorData } from "../../tensor/tensor.ts";

/** What kind of numbers a dtype holds; values of two kinds are never partners. */
export type DTypeClass = "float" | "integer" | "bool" | "string" | "other";

interface FloatFormat {
  readonly exponentBits: number;
  readonly fractionBits: number;
  readonly bias: number;
  /** `"ieee"` has infinities, `"fn"` only NaN with all bits set, `"fnuz"` only NaN in the place of −0. */
  readonly special: "ieee" | "fn" | "fnuz";
}

/**
 * Formats that are held as bits. Source: IEEE 754 binary16; Micikevicius et al., FP8 Formats for Deep
 * Learning (2022); ONNX's `float8.md` for the `fnuz` ones.
 */
const FORMATS: Readonly<Partial<Record<DType, FloatFormat>>> = {
  float16: { exponentBits: 5, fractionBits: 10, bias: 15, special: "ieee" },
  bfloat16: { exponentBits: 8, fractionBits: 7, bias: 127, special: "ieee" },
  float8e4m3fn: { exponentBits: 4, fractionBits: 3, bias: 7, special: "fn" },
  float8e4m3fnuz: { exponentBits: 4, fractionBits: 3, bias: 8, special: "fnuz" },
  float8e5m2: { exponentBits: 5, fractionBits: 2, bias: 15, special: "ieee" },
  float8e5m2fnuz: { exponentBits: 5, fractionBits: 2, bias: 16, special: "fnuz" },
};

/** Bits of the fraction, and the smallest exponent of a normal number. */
const PRECISION: Readonly<Partial<Record<DType, readonly [number, number]>>> = {
  float64: [52, -1022],
  float32: [23, -126],
  ...Object.fromEntries(
    Object.entries(FORMATS).map(([dtype, { fractionBits, bias }]) => [
      dtype,
      [fractionBits, 1 - bias],
    ]),
  ),
};

const INTEGER = /^u?int(8|16|32|64)$/;

/** The kind of numbers that a dtype holds. */
export function dtypeClass(dtype: DType): DTypeClass {
  if (PRECISION[dtype] !== undefined) return "float";
  if (INTEGER.test(dtype)) return "integer";
  return dtype === "bool" || dtype === "string" ? dtype : "other";
}

/** Bits of a float's fraction and its smallest normal exponent; null for what is no float. */
export function floatPrecision(dtype: DType): readonly [number, number] | null {
  return PRECISION[dtype] ?? null;
}

/** The coarser of two dtypes: the float of fewer bits of fraction; the reference's for others. */
export function coarserDType(reference: DType, candidate: DType): DType {
  const [left, right] = [PRECISION[reference], PRECISION[candidate]];
  return left !== undefined && right !== undefined && right[0] < left[0] ? candidate : reference;
}

const TABLES = new Map<DType, Float64Array>();

/** What every bit pattern of a dtype means. */
function decodeTable(dtype: DType, format: FloatFormat): Float64Array {
  const known = TABLES.get(dtype);
  if (known !== undefined) return known;
  const { exponentBits, fractionBits, bias, special } = format;
  const table = new Float64Array(2 ** (1 + exponentBits + fractionBits));
  const half = table.length / 2;
  const full = 2 ** exponentBits - 1;
  for (let bits = 0; bits < half; bits++) {
    const exponent = bits >> fractionBits;
    const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
    const isSpecial = exponent === full && (special === "ieee" || bits === half - 1) &&
      special !== "fnuz";
    const magnitude = isSpecial
      ? special === "ieee" && fraction === 0 ? Infinity : NaN
      : exponent === 0
      ? fraction * 2 ** (1 - bias)
      : (1 + fraction) * 2 ** (exponent - bias);
    table[bits] = magnitude;
    table[bits + half] = -magnitude;
  }
  if (special === "fnuz") table[half] = NaN;
  TABLES.set(dtype, table);
  return table;
}

/**
 * Writes elements as float64 into `into`, from `start` on, and returns how many. Integers beyond 2^53
 * lose their last digits; strings are not numbers.
 */
export function readNumbers(tensor: Tensor, start: number, into: Float64Array): number {
  const { dtype } = tensor;
  const data = tensor.data as Exclude<TensorData, readonly string[]>;
  const count = Math.min(into.length, data.length - start);
  const format = FORMATS[dtype];
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    for (let index = 0; index < count; index++) into[index] = Number(data[start + index]);
  } else if (format !== undefined && (data instanceof Uint16Array || data instanceof Uint8Array)) {
    const table = decodeTable(dtype, format);
    for (let index = 0; index < count; index++) {
      into[index] = table[data[start + index] as number] as number;
    }
  } else into.set(data.subarray(start, start + count) as Float32Array);
  return count;
}

const CHUNK = 4096;

/**
 * The tensor in another dtype of the same kind, rounded to nearest even; the tensor itself when it has
 * the dtype already. Null when the kinds differ, or an integer does not fit.
 */
export function castTensor(tensor: Tensor, dtype: DType): Tensor | null {
  if (tensor.dtype === dtype) return tensor;
  const kind = dtypeClass(dtype);
  if (kind !== dtypeClass(tensor.dtype)) return null;
  if (kind === "integer") return castIntegers(tensor, dtype);
  if (kind !== "float") return null;
  const format = FORMATS[dtype];
  const data = allocate(dtype, tensor.data.length);
  const chunk = new Float64Array(Math.min(CHUNK, data.length));
  for (let start = 0; start < data.length; start += CHUNK) {
    const count = readNumbers(tensor, start, chunk);
    const target = data.subarray(start, start + count) as Float32Array;
    if (format === undefined || !(data instanceof Uint16Array || data instanceof Uint8Array)) {
      target.set(chunk.subarray(0, count));
      continue;
    }
    for (let index = 0; index < count; index++) {
      target[index] = encodeBits(chunk[index] as number, format);
    }
  }
  return { dtype, shape: tensor.shape, data };
}

function castIntegers(tensor: Tensor, dtype: DType): Tensor | null {
  const data = allocate(dtype, tensor.data.length);
  const source = tensor.data as ArrayLike<number | bigint>;
  const isBig = data instanceof BigInt64Array || data instanceof BigUint64Array;
  for (let index = 0; index < source.length; index++) {
    const value = source[index] as number | bigint;
    if (isBig) data[index] = BigInt(value);
    else (data as Int32Array)[index] = Number(value);
    // Typed arrays wrap around; a value that does is another value.
    if (BigInt(data[index] as number | bigint) !== BigInt(value)) return null;
  }
  return { dtype, shape: tensor.shape, data };
}

/** Bits of a number in a format that is held as bits; too large is infinite, or NaN where nothing is. */
function encodeBits(value: number, format: FloatFormat): number {
  const { exponentBits, fractionBits, special } = format;
  const sign = value < 0 || Object.is(value, -0) ? 2 ** (exponentBits + fractionBits) : 0;
  const all = 2 ** exponentBits - 1;
  const nan = special === "fnuz"
    ? 2 ** (exponentBits + fractionBits)
    : special === "fn"
    ? 2 ** (exponentBits + fractionBits) - 1
    : all * 2 ** fractionBits + 2 ** (fractionBits - 1);
  if (Number.isNaN(value)) return nan;
  const limit = special === "ieee"
    ? all * 2 ** fractionBits
    : 2 ** (exponentBits + fractionBits) - (special === "fn" ? 1 : 0);
  const bits = finiteBits(Math.abs(value), format);
  if (bits >= limit) return special === "ieee" ? sign + limit : special === "fn" ? nan + sign : nan;
  return special === "fnuz" && bits === 0 ? 0 : bits + sign;
}

/** Bits of a magnitude, as if exponents had no end. */
function finiteBits(magnitude: number, { fractionBits, bias }: FloatFormat): number {
  if (magnitude === Infinity) return Infinity;
  const exponent = Math.max(1 - bias, Math.floor(Math.log2(magnitude || Number.MIN_VALUE)));
  const units = roundHalfEven(magnitude / 2 ** (exponent - fractionBits));
  // A carry out of the fraction lands in the exponent, where it belongs.
  return units + (exponent - 1 + bias) * 2 ** fractionBits;
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
