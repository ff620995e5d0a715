// A tensor's elements as float32, chunk by chunk. A float32 tensor is one chunk, the very array that the
// tensor holds; other dtypes pass through one small scratch array, so that no tensor is ever copied whole.

import type { DType, Tensor } from "../../mod.ts";

const SCRATCH_LENGTH = 16_384;

/** Dtypes whose arrays hold numbers that a Float32Array takes as they are. */
const PLAIN: readonly DType[] = [
  "float64",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "bool",
];
const OTHERS: readonly DType[] = ["float32", "float16", "bfloat16", "int64", "uint64"];

type NumberData = Exclude<Tensor["data"], readonly string[]>;

/** Gives tensors as float32 chunks. Each chunk is valid until the next one is asked for. */
export class FloatChunks {
  #scratch: Float32Array<ArrayBuffer> | null = null;

  /** Whether elements of this dtype are numbers that float32 can stand for. */
  static accepts(dtype: DType): boolean {
    return PLAIN.includes(dtype) || OTHERS.includes(dtype);
  }

  /** The chunks of a tensor of a dtype that is accepted, in index order; none when it is empty. */
  of(value: Tensor): Iterable<Float32Array> {
    const { dtype, data } = value;
    if (data.length === 0) return [];
    if (data instanceof Float32Array) return [data];
    return this.#converted(dtype, data as NumberData);
  }

  *#converted(dtype: DType, data: NumberData): Iterable<Float32Array> {
    this.#scratch ??= new Float32Array(SCRATCH_LENGTH);
    for (let start = 0; start < data.length; start += SCRATCH_LENGTH) {
      const part = data.subarray(start, start + SCRATCH_LENGTH);
      const chunk = this.#scratch.subarray(0, part.length);
      convert(dtype, part, chunk);
      yield chunk;
    }
  }
}

function convert(dtype: DType, from: NumberData, to: Float32Array<ArrayBuffer>): void {
  if (from instanceof BigInt64Array || from instanceof BigUint64Array) {
    for (let index = 0; index < to.length; index++) to[index] = Number(from[index]);
  } else if (dtype === "bfloat16") {
    // A bfloat16 is the upper half of a float32.
    const bits = new Uint32Array(to.buffer, to.byteOffset, to.length);
    for (let index = 0; index < to.length; index++) bits[index] = (from[index] as number) << 16;
  } else if (dtype === "float16" && from instanceof Uint16Array) {
    convertHalf(from, to);
  } else {
    to.set(from as ArrayLike<number>);
  }
}

/** Half floats from their bits, for runtimes without a Float16Array too. */
function convertHalf(from: Uint16Array, to: Float32Array): void {
  for (let index = 0; index < to.length; index++) {
    const bits = from[index] as number;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    const magnitude = exponent === 0
      ? fraction * 2 ** -24
      : exponent === 31
      ? fraction === 0 ? Infinity : NaN
      : (1 + fraction / 1024) * 2 ** (exponent - 15);
    to[index] = bits & 0x8000 ? -magnitude : magnitude;
  }
}
