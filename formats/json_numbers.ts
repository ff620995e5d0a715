// How this project writes numbers in JSON, and reads them back. JSON has neither NaN nor infinities
// nor 64-bit integers; each has exactly one spelling here.

import { internalError } from "../errors/hookline_error.ts";

/** What {@linkcode toJson} returns: a value that `JSON.stringify` writes without loss. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

const DEPTH_LIMIT = 256;

/**
 * The value as plain JSON, by the rule for every JSON document that Hookline writes.
 *
 * NaN and infinities become the strings `"NaN"`, `"Infinity"`, `"-Infinity"`; a bigint becomes a
 * number when it is a safe integer and a decimal string otherwise; typed arrays become arrays; a
 * property that is undefined is left out; an object with `toJSON` gives that; everything else is kept,
 * keys in their own order. `-0` prints as `0`, as `JSON.stringify` has it. Nothing is changed in
 * place, and equal values give equal text.
 *
 * @throws {HooklineError} INTERNAL for a value that JSON has no form for (a function, a symbol, a Map
 * or Set, undefined inside an array) or that nests deeper than 256, as a cycle does.
 *
 * @example
 * ```ts
 * import { toJson } from "@hookline/hookline";
 * console.log(JSON.stringify(toJson({ max: NaN, count: 3n }))); // {"max":"NaN","count":3}
 * ```
 */
export function toJson(value: unknown): JsonValue {
  return convert(value, 0);
}

function convert(value: unknown, depth: number): JsonValue {
  if (depth > DEPTH_LIMIT) {
    throw internalError("a value for JSON nests too deep or contains itself");
  }
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "bigint":
      return value >= Number.MIN_SAFE_INTEGER &&
          value <= Number.MAX_SAFE_INTEGER
        ? Number(value)
        : String(value);
    case "string":
    case "boolean":
      return value;
    case "object":
      return value === null ? null : convertObject(value, depth);
    default:
      throw internalError(`a value for JSON is of type ${typeof value}`);
  }
}

function convertObject(value: object, depth: number): JsonValue {
  if (Array.isArray(value)) {
    return Array.from(value, (item: unknown) => convert(item, depth + 1));
  }
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    return Array.from(
      value as unknown as ArrayLike<number | bigint>,
      (item) => convert(item, depth + 1),
    );
  }
  if ("toJSON" in value && typeof value.toJSON === "function") {
    return convert((value as { toJSON(): unknown }).toJSON(), depth + 1);
  }
  if (
    value instanceof Map || value instanceof Set || value instanceof DataView ||
    value instanceof ArrayBuffer
  ) {
    throw internalError(`a value for JSON is a ${value.constructor.name}`);
  }
  // fromEntries defines properties, so that a key "__proto__" stays a key.
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => [key, convert(item, depth + 1)]),
  );
}

/**
 * A number as {@linkcode toJson} wrote it: a number, or one of the three strings. Undefined for
 * anything else; the caller knows the field and words the error.
 *
 * @example
 * ```ts
 * import { fromJsonNumber } from "@hookline/hookline";
 * console.log(fromJsonNumber("-Infinity"), fromJsonNumber("7")); // -Infinity undefined
 * ```
 */
export function fromJsonNumber(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  switch (value) {
    case "NaN":
      return NaN;
    case "Infinity":
      return Infinity;
    case "-Infinity":
      return -Infinity;
    default:
      return undefined;
  }
}

/**
 * An integer as {@linkcode toJson} wrote a bigint: a safe integer, or a decimal string of at most 40
 * digits. Undefined for anything else, also for a number past 2^53, which JSON may have rounded.
 *
 * @example
 * ```ts
 * import { fromJsonBigint } from "@hookline/hookline";
 * console.log(fromJsonBigint("9223372036854775807"), fromJsonBigint(3)); // 9223372036854775807n 3n
 * ```
 */
export function fromJsonBigint(value: unknown): bigint | undefined {
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  }
  return typeof value === "string" && /^-?\d{1,40}$/.test(value) ? BigInt(value) : undefined;
}
