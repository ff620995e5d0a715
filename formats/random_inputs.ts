// Inputs made up from a model's own signature, for trying a model without data. Every tensor depends
// on the seed, its own name and its shape alone, never on the other inputs or the platform.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { DType } from "../tensor/dtype.ts";
import {
  allocate,
  emptyTensorMap,
  tensor,
  type TensorData,
  type TensorMap,
} from "../tensor/tensor.ts";
import { exactElementCount } from "./_file_fault.ts";
import type { NumericData } from "./_raw_elements.ts";
import { type DeclaredInput, declaredTensors } from "./tensor_inputs.ts";

const ELEMENT_LIMIT = 2 ** 31;

/** How many random bits a float takes, so that each value is exact in its type and below 1. */
const FLOAT_BITS: Readonly<Partial<Record<DType, number>>> = {
  float64: 24,
  float32: 24,
  float16: 11,
  bfloat16: 8,
};

/**
 * Makes up a tensor for each input, the same on every machine for the same seed.
 *
 * Floats are uniform in [-1, 1) on a grid that the type holds exactly (steps of 2^-23; 2^-10 for
 * `float16`, 2^-7 for `bfloat16`). Integers and bools are 0 or 1, and 1 at the start of the last axis:
 * they serve as token ids, as attention masks (no row is all zero), as positions and as counts.
 * Strings are single letters. Optional inputs are left out.
 *
 * @param seed A safe integer.
 * @param declared The model's inputs.
 * @param dims The size of each symbolic dimension by its name; a dimension without a name is called
 * `INPUT[AXIS]`, as in `x[0]`.
 * @returns The tensors in the order of `declared`; the object has no prototype.
 * @throws {HooklineError} OPTION_INVALID when the seed is no safe integer, when dimensions are not
 * given (all are listed), unknown or no counts, when a shape is not declared or has over 2^31 elements;
 * TENSOR_DTYPE for a dtype that nothing can be made up for (8-bit and 4-bit floats, complex).
 *
 * @example
 * ```ts
 * import { randomInputs } from "@hookline/hookline";
 * const declared = [{ name: "x", dtype: "float32", shape: ["batch", 3] }] as const;
 * const { x } = randomInputs(7, declared, { batch: 2 });
 * console.log(x?.shape); // [ 2, 3 ]
 * ```
 */
export function randomInputs(
  seed: number,
  declared: readonly DeclaredInput[],
  dims: Readonly<Record<string, number>> = {},
): TensorMap {
  if (!Number.isSafeInteger(seed)) {
    throw invalid(`the seed ${seed} is no safe integer`, "give an integer", {});
  }
  const inputs = declaredTensors(declared).filter((input) => input.optional !== true);
  const shapes = resolveShapes(inputs, dims);
  const result = emptyTensorMap();
  inputs.forEach(({ name, dtype }, index) => {
    const shape = shapes[index] ?? [];
    const next = wordGenerator(seed, name);
    result[name] = tensor(dtype, shape, randomData(dtype, shape, next, name));
  });
  return result;
}

function invalid(
  reason: string,
  fix: string,
  details: HooklineError["details"],
): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot make up inputs: ${reason}`,
    fix,
    details,
  });
}

function resolveShapes(
  inputs: readonly DeclaredInput[],
  dims: Readonly<Record<string, number>>,
): number[][] {
  const known = new Set<string>();
  const missing = new Set<string>();
  const shapes = inputs.map(({ name, shape }) => {
    if (shape === null) {
      throw invalid(
        `the model declares no shape for "${name}"`,
        `give "${name}" from a file`,
        { input: name },
      );
    }
    return shape.map((size, axis) => {
      if (typeof size === "number" && size >= 0) return size;
      const key = typeof size === "string" && size !== "" ? size : `${name}[${axis}]`;
      known.add(key);
      if (Object.hasOwn(dims, key)) return dims[key] ?? 0;
      missing.add(key);
      return 0;
    });
  });
  for (const [key, size] of Object.entries(dims)) {
    if (!known.has(key)) {
      const nearest = nearestNames(key, known);
      throw invalid(
        `no input has a dimension "${key}"`,
        nearest.length > 0 ? `did you mean ${nearest.join(", ")}?` : "leave it out",
        { dim: key, nearest, dims: [...known] },
      );
    }
    if (exactElementCount([size]) === null) {
      throw invalid(
        `the dimension "${key}" is ${size}`,
        "give an integer from 0",
        { dim: key },
      );
    }
  }
  if (missing.size > 0) {
    const names = [...missing];
    throw invalid(
      `the sizes of ${names.map((key) => `"${key}"`).join(", ")} are not given`,
      `give ${names.map((key) => `--dim ${key}=SIZE`).join(" ")}`,
      { missing: names },
    );
  }
  shapes.forEach((shape, index) => {
    const count = exactElementCount(shape);
    if (count === null || count > ELEMENT_LIMIT) {
      throw invalid(
        `"${inputs[index]?.name}" would have the shape [${shape.join(", ")}]`,
        "give smaller dimensions: at most 2^31 elements",
        { input: inputs[index]?.name ?? "" },
      );
    }
  });
  return shapes;
}

function randomData(
  dtype: DType,
  shape: readonly number[],
  next: () => number,
  name: string,
): TensorData {
  const count = exactElementCount(shape) ?? 0;
  const rowLength = shape.at(-1) ?? 1;
  if (dtype === "string") {
    return Array.from(
      { length: count },
      () => String.fromCharCode(97 + (next() >>> 28)),
    );
  }
  const bits = FLOAT_BITS[dtype];
  if (bits === undefined && !/^(bool|u?int(8|16|32|64))$/.test(dtype)) {
    throw new HooklineError("TENSOR_DTYPE", {
      message: `cannot make up input "${name}": its dtype is ${dtype}`,
      fix: `give "${name}" from a file`,
      details: { input: name, dtype },
    });
  }
  const data = allocate(dtype, count) as { [index: number]: unknown };
  if (bits === undefined) {
    const [zero, one] = dtype.endsWith("64") ? [0n, 1n] : [0, 1];
    for (let index = 0; index < count; index++) {
      const bit = next() >>> 31;
      data[index] = bit === 1 || index % rowLength === 0 ? one : zero;
    }
    return data as NumericData;
  }
  const half = 2 ** (bits - 1);
  for (let index = 0; index < count; index++) {
    const value = (next() >>> (32 - bits)) / half - 1;
    data[index] = dtype === "bfloat16" ? truncatedBits(value) : value;
  }
  return data as NumericData;
}

/** The upper half of the float32 pattern: exact for values of at most 8 significant bits. */
function truncatedBits(value: number): number {
  return (new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0) >>> 16;
}

/**
 * 32-bit words of xoshiro128**, seeded by splitmix64 from the seed and the FNV-1a hash of the name.
 * Sources, all in the public domain: https://prng.di.unimi.it/xoshiro128starstar.c,
 * https://prng.di.unimi.it/splitmix64.c, http://www.isthe.com/chongo/tech/comp/fnv/
 */
function wordGenerator(seed: number, name: string): () => number {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  let counter = BigInt.asUintN(64, BigInt(seed) ^ hash);
  const splitmix = (): bigint => {
    counter = BigInt.asUintN(64, counter + 0x9e3779b97f4a7c15n);
    let mixed = counter;
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n);
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
    return mixed ^ (mixed >> 31n);
  };
  const [low, high] = [splitmix(), splitmix()];
  let s0 = Number(low & 0xffffffffn) | 0;
  let s1 = Number(low >> 32n) | 0;
  let s2 = Number(high & 0xffffffffn) | 0;
  let s3 = Number(high >> 32n) | 0;
  const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by));
  return () => {
    const result = Math.imul(rotate(Math.imul(s1, 5), 7), 9) >>> 0;
    const shifted = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= shifted;
    s3 = rotate(s3, 11);
    return result;
  };
}
