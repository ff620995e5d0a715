// Tensors written by hand as JSON. Either a value says its own dtype, or the caller says which dtype
// the model declares; nothing is guessed and nothing is rounded away in silence.

import { type DType, dtypeInfo } from "../tensor/dtype.ts";
import {
  allocate,
  emptyTensorMap,
  type Tensor,
  tensor,
  type TensorData,
} from "../tensor/tensor.ts";
import { exactElementCount, fileFault, quoted } from "./_file_fault.ts";
import type { NumericData } from "./_raw_elements.ts";
import { parseStrictJson } from "./_strict_json.ts";
import { fromJsonBigint, fromJsonNumber } from "./json_numbers.ts";

const RANK_LIMIT = 64;

const INTEGER_BITS: Readonly<Partial<Record<DType, readonly [number, boolean]>>> = {
  uint8: [8, false],
  int8: [8, true],
  uint16: [16, false],
  int16: [16, true],
  uint32: [32, false],
  int32: [32, true],
  uint64: [64, false],
  int64: [64, true],
};

/**
 * Reads tensors from JSON: an object whose values are tensors by name.
 *
 * A value is `{"dtype": "int64", "shape": [1, 3], "data": [101, 7592, 102]}`, where `data` may be flat
 * or nested and `shape` may be left out of nested data; or the nested arrays alone,
 * `[[101, 7592, 102]]`, whose dtype is what `dtypes` says of the name. A number alone is a scalar.
 * Floats (also `bfloat16`, rounded to nearest even) are numbers or the strings `"NaN"`, `"Infinity"`,
 * `"-Infinity"`; 64-bit integers are numbers up to 2^53 or decimal strings; bools are true, false, 1 or
 * 0. Other dtypes (the 8-bit floats, complex) have no JSON form. A `Tensor` passed through `toJson` is
 * of this form, except `bfloat16` and the 8-bit floats, whose data there are bit patterns.
 *
 * @param bytes The whole file, UTF-8.
 * @param label What to call the file in an error.
 * @param dtypes The dtype of each name that may come without one, usually from the model's inputs.
 * @returns The tensors by name; the object has no prototype.
 * @throws {HooklineError} FILE_FORMAT when the text is no such JSON: not JSON, a name twice, ragged
 * arrays, a number that does not fit the dtype, a dtype that is neither given nor declared.
 *
 * @example
 * ```ts
 * import { decodeJsonTensors } from "@hookline/hookline";
 * const bytes = new TextEncoder().encode('{"ids": [[101, 102]]}');
 * const { ids } = decodeJsonTensors(bytes, "inputs.json", { ids: "int64" });
 * console.log(ids?.shape); // [ 1, 2 ]
 * ```
 */
export function decodeJsonTensors(
  bytes: Uint8Array,
  label: string,
  dtypes: Readonly<Record<string, DType>> = {},
): Record<string, Tensor> {
  const parsed = parseStrictJson(bytes, "json", label);
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw fileFault("json", label, {
      found: Array.isArray(parsed) ? "an array" : "a single value",
      wanted: "an object of tensors by name",
      fix: 'write {"NAME": [[1, 2], [3, 4]]}',
    });
  }
  const tensors = emptyTensorMap();
  for (const [name, value] of Object.entries(parsed)) {
    const declared = Object.hasOwn(dtypes, name) ? dtypes[name] : undefined;
    tensors[name] = decodeJsonTensor(value, name, label, declared);
  }
  return tensors;
}

function decodeJsonTensor(
  value: unknown,
  name: string,
  label: string,
  declared: DType | undefined,
): Tensor {
  const fail = (found: string, wanted: string, fix: string) =>
    fileFault("json", label, {
      found: `${found} for tensor ${quoted(name)}`,
      wanted,
      fix,
      details: { tensor: name },
    });
  const isObject = typeof value === "object" && value !== null &&
    !Array.isArray(value);
  const described = isObject ? value as Readonly<Record<string, unknown>> : { data: value };
  for (const key of Object.keys(described)) {
    if (key !== "dtype" && key !== "shape" && key !== "data") {
      throw fail(
        `the key ${quoted(key)}`,
        "dtype, shape and data alone",
        "remove the key",
      );
    }
  }
  const dtype = Object.hasOwn(described, "dtype") ? described.dtype : declared;
  if (typeof dtype !== "string" || dtypeInfo(dtype) === undefined) {
    throw fail(
      dtype === undefined ? "no dtype" : "an unknown dtype",
      "one of ONNX's dtypes, or the name of one of the model's inputs",
      'give {"dtype": "float32", "shape": […], "data": […]}, or check the spelling of the name',
    );
  }
  if (!Object.hasOwn(described, "data")) {
    throw fail("no data", "data", 'add "data": […]');
  }
  const nested = flatten(described.data);
  if (typeof nested === "string") {
    throw fail(nested, "arrays of equal length", "fill the short rows");
  }
  const shape = shapeOf(described.shape, nested);
  if (shape === null) {
    throw fail(
      `${nested.values.length} elements and a shape that does not hold them`,
      "a shape of counts that multiplies out to the number of elements",
      "correct the shape, or leave it out and nest the data",
    );
  }
  const elements = decodeJsonElements(dtype as DType, nested.values);
  if (typeof elements === "number") {
    throw fail(
      `element ${elements} of a form or size that ${dtype} does not have`,
      WANTED_ELEMENT[dtype as DType] ?? "an integer within the dtype's range",
      "correct the element, or give another dtype",
    );
  }
  if (elements === null) {
    throw fail(
      `the dtype ${dtype}`,
      "a dtype that has a JSON form",
      "give this tensor as .npy or .safetensors",
    );
  }
  return tensor(dtype as DType, shape, elements);
}

interface Nested {
  readonly shape: readonly number[];
  readonly values: readonly unknown[];
}

/** The leaves of rectangular nested arrays, or what is wrong with them. */
function flatten(data: unknown): Nested | string {
  const shape: number[] = [];
  let level: readonly unknown[] = [data];
  while (level.some(Array.isArray)) {
    if (!level.every(Array.isArray)) return "arrays beside single values";
    const lengths = new Set(level.map((row) => row.length));
    if (lengths.size > 1) return "ragged arrays";
    if (shape.length === RANK_LIMIT) return "arrays nested deeper than 64";
    shape.push(level[0]?.length ?? 0);
    level = level.flat();
  }
  return { shape, values: level };
}

function shapeOf(given: unknown, nested: Nested): readonly number[] | null {
  if (given === undefined) return nested.shape;
  if (!Array.isArray(given)) return null;
  if (exactElementCount(given) !== nested.values.length) return null;
  const flat = nested.shape.length <= 1;
  const same = given.length === nested.shape.length &&
    given.every((size, axis) => size === nested.shape[axis]);
  return flat || same ? given as number[] : null;
}

const FLOAT_WANTED = 'a number in range, "NaN", "Infinity" or "-Infinity"';
const WANTED_ELEMENT: Readonly<Partial<Record<DType, string>>> = {
  float16: FLOAT_WANTED,
  bfloat16: FLOAT_WANTED,
  float32: FLOAT_WANTED,
  float64: FLOAT_WANTED,
  bool: "true, false, 1 or 0",
  string: "a string",
  int64: "an integer up to 2^53, or a decimal string",
  uint64: "an integer from 0 to 2^53, or a decimal string",
};

/**
 * The elements; the index of the first that does not fit; or null for a dtype without a JSON form.
 */
function decodeJsonElements(
  dtype: DType,
  values: readonly unknown[],
): TensorData | number | null {
  if (dtype === "string") {
    const wrong = values.findIndex((value) => typeof value !== "string");
    return wrong < 0 ? values as readonly string[] : wrong;
  }
  const integer = INTEGER_BITS[dtype];
  const isFloat = WANTED_ELEMENT[dtype] === FLOAT_WANTED;
  if (integer === undefined && !isFloat && dtype !== "bool") return null;
  const data = allocate(dtype, values.length) as { [index: number]: unknown };
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    const element = dtype === "bool"
      ? value === true || value === 1 ? 1 : value === false || value === 0 ? 0 : undefined
      : integer !== undefined
      ? integerElement(value, integer)
      : floatElement(value, dtype);
    if (element === undefined) return index;
    data[index] = element;
  }
  return data as NumericData;
}

function integerElement(
  value: unknown,
  [bits, signed]: readonly [number, boolean],
): number | bigint | undefined {
  if (bits < 64 && typeof value !== "number") return undefined;
  const exact = fromJsonBigint(value);
  if (exact === undefined) return undefined;
  const wrapped = signed ? BigInt.asIntN(bits, exact) : BigInt.asUintN(bits, exact);
  if (wrapped !== exact) return undefined;
  return bits === 64 ? exact : Number(exact);
}

/** The nearest value of the dtype; undefined when a finite number would become an infinity. */
function floatElement(value: unknown, dtype: DType): number | undefined {
  const number = fromJsonNumber(value);
  if (number === undefined) return undefined;
  if (dtype === "bfloat16") {
    const bits = bfloat16Bits(number);
    return Number.isFinite(number) && (bits & 0x7fff) === 0x7f80 ? undefined : bits;
  }
  const rounded = dtype === "float32"
    ? Math.fround(number)
    : dtype === "float16" && typeof Math.f16round === "function"
    ? Math.f16round(number)
    : number;
  return Number.isFinite(number) && !Number.isFinite(rounded) ? undefined : rounded;
}

/** The bit pattern of a number as bfloat16, rounded to nearest even from its float32 value. */
function bfloat16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}
