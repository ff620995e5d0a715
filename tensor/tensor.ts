// A tensor is plain data: dtype, shape, and a JavaScript array that lies on the CPU. It knows no
// ONNX Runtime, no session, no file.

import { HooklineError } from "../errors/hookline_error.ts";
import { type DType, dtypeInfo } from "./dtype.ts";

/**
 * The array types that hold tensor elements. `float16` is a `Float16Array` where the runtime has one
 * (Deno, Node ≥ 24) and its bit patterns in a `Uint16Array` elsewhere; `bool` is a `Uint8Array` of 0
 * and 1; `int64` and `uint64` are the BigInt arrays; `string` is an array of strings; types without a
 * JavaScript array (`bfloat16`, the 8-bit floats) are their bit patterns.
 */
export type TensorData =
  | Float32Array
  | Float64Array
  | Float16Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigInt64Array
  | BigUint64Array
  | readonly string[];

/** An n-dimensional array on the CPU, row-major. */
export interface Tensor {
  /** Element type. */
  readonly dtype: DType;
  /** Dimension sizes; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** The elements, `shape` multiplied out in number. */
  readonly data: TensorData;
}

/** Tensors by value name. */
export type TensorMap = Readonly<Record<string, Tensor>>;

type ArrayMaker = (length: number) => Exclude<TensorData, readonly string[]>;

const hasFloat16 = typeof globalThis.Float16Array === "function";

const MAKERS: Readonly<Partial<Record<DType, ArrayMaker>>> = {
  float32: (length) => new Float32Array(length),
  float64: (length) => new Float64Array(length),
  float16: (length) => hasFloat16 ? new Float16Array(length) : new Uint16Array(length),
  uint8: (length) => new Uint8Array(length),
  bool: (length) => new Uint8Array(length),
  int8: (length) => new Int8Array(length),
  uint16: (length) => new Uint16Array(length),
  bfloat16: (length) => new Uint16Array(length),
  int16: (length) => new Int16Array(length),
  uint32: (length) => new Uint32Array(length),
  int32: (length) => new Int32Array(length),
  int64: (length) => new BigInt64Array(length),
  uint64: (length) => new BigUint64Array(length),
  float8e4m3fn: (length) => new Uint8Array(length),
  float8e4m3fnuz: (length) => new Uint8Array(length),
  float8e5m2: (length) => new Uint8Array(length),
  float8e5m2fnuz: (length) => new Uint8Array(length),
};

/** The number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}

/**
 * A zero-filled array for a numeric dtype.
 *
 * @throws {HooklineError} TENSOR_DTYPE when JavaScript has no array for the dtype.
 */
export function allocate(
  dtype: DType,
  length: number,
): Exclude<TensorData, readonly string[]> {
  const maker = MAKERS[dtype];
  if (maker === undefined) {
    throw new HooklineError("TENSOR_DTYPE", {
      message: `cannot allocate a "${dtype}" array: JavaScript has no array for it`,
      fix: "keep this dtype inside the model and cast it at the edge",
      details: { dtype },
    });
  }
  return maker(length);
}

/** True when `data` is an array that may hold elements of `dtype`. */
export function dataFits(dtype: DType, data: unknown): boolean {
  switch (dtype) {
    case "float32":
      return data instanceof Float32Array;
    case "string":
      return Array.isArray(data);
    case "float16":
      return data instanceof Uint16Array ||
        (hasFloat16 && data instanceof Float16Array);
    case "float64":
      return data instanceof Float64Array;
    case "int64":
      return data instanceof BigInt64Array;
    case "uint64":
      return data instanceof BigUint64Array;
    case "int32":
      return data instanceof Int32Array;
    case "uint32":
      return data instanceof Uint32Array;
    case "int16":
      return data instanceof Int16Array;
    case "uint16":
    case "bfloat16":
      return data instanceof Uint16Array;
    case "int8":
      return data instanceof Int8Array;
    case "uint8":
    case "bool":
    case "float8e4m3fn":
    case "float8e4m3fnuz":
    case "float8e5m2":
    case "float8e5m2fnuz":
      return data instanceof Uint8Array;
    default:
      return false;
  }
}

/** The length that the engine knows: an array may claim another one, and native code would believe it. */
const ownLength = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  "length",
)?.get as (this: ArrayBufferView) => number;

/** A tensor's faults in words, or null when dtype, shape and data fit together. */
export function tensorFault(value: Tensor): string | null {
  if (typeof value !== "object" || value === null) return "is not a tensor";
  const { dtype, shape, data } = value;
  if (dtypeInfo(dtype) === undefined) {
    return `has the unknown dtype "${String(dtype)}"`;
  }
  if (!Array.isArray(shape)) return "has no shape array";
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      return `has the impossible dimension ${String(size)}`;
    }
  }
  const isArray = ArrayBuffer.isView(data) || dtype === "string";
  if (!isArray || !dataFits(dtype, data)) {
    return `has data of type ${
      (data as object | undefined)?.constructor?.name ?? typeof data
    } for dtype ${dtype}`;
  }
  const wanted = elementCount(shape);
  const found = ArrayBuffer.isView(data) ? ownLength.call(data) : data.length;
  if (found !== wanted) {
    return `has ${found} elements, its shape [${shape.join(", ")}] wants ${wanted}`;
  }
  if (ArrayBuffer.isView(data) && !(data.buffer instanceof ArrayBuffer)) {
    return "lies in a SharedArrayBuffer, which ONNX Runtime refuses";
  }
  return null;
}

/**
 * Makes a tensor and checks that dtype, shape and data fit.
 *
 * @throws {HooklineError} FEED_DATA when they do not.
 *
 * @example
 * ```ts
 * import { tensor } from "@hookline/hookline";
 * const ids = tensor("int64", [1, 3], BigInt64Array.of(101n, 7592n, 102n));
 * console.log(ids.shape); // [ 1, 3 ]
 * ```
 */
export function tensor(
  dtype: DType,
  shape: readonly number[],
  data: TensorData,
): Tensor {
  const made: Tensor = Object.freeze({
    dtype,
    shape: Object.freeze([...shape]),
    data,
  });
  const fault = tensorFault(made);
  if (fault !== null) {
    throw new HooklineError("FEED_DATA", {
      message: `cannot make a tensor: it ${fault}`,
      fix:
        "give an array of the dtype's own kind with as many elements as the shape multiplies out to",
      details: { dtype: String(dtype), shape: [...shape] },
    });
  }
  return made;
}

/** A `float32` tensor from numbers or an existing `Float32Array` (which is not copied). */
export function float32(
  shape: readonly number[],
  data: Float32Array | readonly number[],
): Tensor {
  return tensor(
    "float32",
    shape,
    data instanceof Float32Array ? data : Float32Array.from(data),
  );
}

/** The bytes of a numeric tensor, as a view: changing one changes the other. */
export function tensorBytes(value: Tensor): Uint8Array {
  if (!ArrayBuffer.isView(value.data)) {
    throw new HooklineError("TENSOR_DTYPE", {
      message: `cannot view a "${value.dtype}" tensor as bytes`,
      fix: "handle string tensors by their elements",
      details: { dtype: value.dtype },
    });
  }
  return new Uint8Array(
    value.data.buffer,
    value.data.byteOffset,
    value.data.byteLength,
  );
}

/** A deep copy whose data no longer share memory with the original. */
export function copyTensor(value: Tensor): Tensor {
  const data = ArrayBuffer.isView(value.data) ? value.data.slice() as TensorData : [...value.data];
  return Object.freeze({ dtype: value.dtype, shape: value.shape, data });
}

/** An empty map whose keys cannot collide with `Object.prototype` (a value may be named `__proto__`). */
export function emptyTensorMap(): Record<string, Tensor> {
  return Object.create(null) as Record<string, Tensor>;
}
