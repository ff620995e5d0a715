// Arithmetic on the elements of a tensor. It owns the rule that makes an edit equal to the same node in
// the graph bit for bit: every constant is rounded to the tensor's dtype first, each operation is done
// in float64, and its result is rounded to the dtype once. For float32, float16 and bfloat16 that is the
// correctly rounded result, because float64 has more than twice their digits.

import { copyTensor, type DType, type Tensor, tensor, type TensorData } from "../../../mod.ts";
import { fault } from "../_fault.ts";
import { type Region, regionOffsets } from "./region.ts";

type FloatArray = Float32Array;

/** What is done to elements, and where. */
export interface ElementTask {
  /** The verb in errors: "scale". */
  readonly what: string;
  /** Which elements; all when left out. */
  readonly at?: Region | undefined;
}

const FLOATS: readonly DType[] = ["float32", "float64", "float16", "bfloat16"];

function requireFloat(value: Tensor, what: string): void {
  const isBits = value.dtype === "float16" && value.data instanceof Uint16Array;
  if (FLOATS.includes(value.dtype) && !isBits) return;
  throw fault("TENSOR_DTYPE", {
    message: `cannot ${what} a ${value.dtype} activation: wanted is a float dtype`,
    fix: isBits
      ? "run on Node 24 or Deno, which have Float16Array"
      : 'edit another module, or use the edits "zero" and "patch", which take every dtype',
    details: { dtype: value.dtype },
  });
}

/** A number as the dtype holds it. */
export function roundTo(dtype: DType, value: number): number {
  if (dtype === "float32") return Math.fround(value);
  if (dtype === "float16") return Math.f16round(value);
  if (dtype !== "bfloat16") return value;
  const codec = bfloat16();
  return codec.read(codec.write(value));
}

/** Reads and writes bfloat16 bit patterns. */
interface Bfloat16 {
  read(bits: number): number;
  write(value: number): number;
}

function bfloat16(): Bfloat16 {
  const float = new Float32Array(1);
  const word = new Uint32Array(float.buffer);
  return {
    read(bits) {
      word[0] = bits << 16;
      return float[0] as number;
    },
    // To nearest even in one step: rounding to float32 in between could round twice.
    write(value) {
      float[0] = value;
      const near = word[0] as number;
      const low = near >>> 16;
      if (Number.isNaN(value)) return low | 0x40;
      const rest = near & 0xffff;
      if (rest !== 0x8000) return (low + (rest > 0x8000 ? 1 : 0)) & 0xffff;
      const error = Math.abs(value) - Math.abs(float[0] as number);
      const up = error > 0 || (error === 0 && (low & 1) === 1);
      return (low + (up ? 1 : 0)) & 0xffff;
    },
  };
}

/** Reads the elements of a float tensor as numbers, by offset. */
export function readElement(value: Tensor): (offset: number) => number {
  const data = value.data as FloatArray;
  if (value.dtype !== "bfloat16") return (offset) => data[offset] as number;
  const codec = bfloat16();
  return (offset) => codec.read(data[offset] as number);
}

/**
 * A new tensor with `change` done to the chosen elements; the others keep their bits, NaN payloads
 * included.
 *
 * @throws {HooklineError} TENSOR_DTYPE when the tensor holds no floats.
 */
export function mapElements(
  value: Tensor,
  task: ElementTask,
  change: (element: number, offset: number) => number,
): Tensor {
  requireFloat(value, task.what);
  const copy = copyTensor(value);
  const data = copy.data as FloatArray;
  const offsets = regionOffsets(value.shape, task.at);
  const count = offsets?.length ?? data.length;
  if (value.dtype === "bfloat16") {
    const codec = bfloat16();
    for (let index = 0; index < count; index++) {
      const offset = offsets === null ? index : offsets[index] as number;
      data[offset] = codec.write(change(codec.read(data[offset] as number), offset));
    }
  } else if (offsets === null) {
    for (let offset = 0; offset < count; offset++) {
      data[offset] = change(data[offset] as number, offset);
    }
  } else {
    for (const offset of offsets) data[offset] = change(data[offset] as number, offset);
  }
  return copy;
}

/** A new tensor of any dtype whose chosen elements are `source`'s at `place(offset)`, bit for bit. */
export function copyElements(
  value: Tensor,
  { source, place, at }: {
    readonly source: Tensor;
    readonly place: (offset: number) => number;
    readonly at?: Region | undefined;
  },
): Tensor {
  const data = copyData(value.data);
  const from = asBits(source.data);
  const to = asBits(data);
  const offsets = regionOffsets(value.shape, at);
  const count = offsets?.length ?? to.length;
  for (let index = 0; index < count; index++) {
    const offset = offsets === null ? index : offsets[index] as number;
    to[offset] = from[place(offset)] as number;
  }
  return tensor(value.dtype, value.shape, data);
}

function copyData(data: TensorData): TensorData {
  return ArrayBuffer.isView(data) ? data.slice() as TensorData : [...data];
}

/** Floats as integers of the same width, so that copying keeps the bits of a NaN. */
function asBits(data: TensorData): Uint8Array {
  const widths: Record<number, new (b: ArrayBufferLike, o: number, n: number) => unknown> = {
    1: Uint8Array,
    2: Uint16Array,
    4: Uint32Array,
    8: BigUint64Array,
  };
  const view = ArrayBuffer.isView(data) ? widths[data.BYTES_PER_ELEMENT] : undefined;
  if (view === undefined || !ArrayBuffer.isView(data)) return data as unknown as Uint8Array;
  return new view(data.buffer, data.byteOffset, data.length) as Uint8Array;
}
