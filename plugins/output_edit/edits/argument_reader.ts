// Reads the arguments of an edit from JSON: every one is checked, and one that nobody asked for is an
// error, so that a misspelt argument is never silently the default.

import { fromJsonNumber, type HooklineError, type JsonValue, type Tensor } from "../../../mod.ts";
import { fault } from "../_fault.ts";
import type { AxisRange, Region } from "./region.ts";
import type { TensorReader } from "./stored_tensors.ts";

/** A number for JSON: NaN, infinities and -0, which JSON loses, become text. */
export function jsonNumber(value: number): JsonValue {
  return Number.isFinite(value) && !Object.is(value, -0)
    ? value
    : Object.is(value, -0)
    ? "-0"
    : String(value);
}

/** A region for JSON. */
export function jsonRegion(region: Region): JsonValue {
  return region.map(({ axis, start, end, indices }) => ({
    axis,
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
    ...(indices === undefined ? {} : { indices: [...indices] }),
  }));
}

/** The arguments of one edit. */
export class ArgumentReader {
  readonly #kind: string;
  readonly #json: { readonly [key: string]: JsonValue };
  readonly #tensors: TensorReader;
  readonly #asked = new Set<string>();

  /** Made for a kind's `parse`. */
  constructor(
    kind: string,
    json: { readonly [key: string]: JsonValue },
    tensors: TensorReader,
  ) {
    this.#kind = kind;
    this.#json = json;
    this.#tensors = tensors;
  }

  /** Whether an argument is given. */
  has(name: string): boolean {
    this.#asked.add(name);
    return Object.hasOwn(this.#json, name);
  }

  /** A number; also the text that `jsonNumber` writes. */
  number(name: string): number {
    const value = this.#value(name);
    const found = value === "-0" ? -0 : fromJsonNumber(value);
    if (found === undefined) throw this.#refuse(name, "a number");
    return found;
  }

  /** A whole number. */
  integer(name: string): number {
    const found = this.number(name);
    if (!Number.isSafeInteger(found)) throw this.#refuse(name, "a whole number");
    return found;
  }

  /** A list of whole numbers. */
  integers(name: string): readonly number[] {
    const value = this.#value(name);
    if (!Array.isArray(value) || !value.every((item) => Number.isSafeInteger(item))) {
      throw this.#refuse(name, "a list of whole numbers");
    }
    return value as number[];
  }

  /** True or false. */
  boolean(name: string): boolean {
    const value = this.#value(name);
    if (typeof value !== "boolean") throw this.#refuse(name, "true or false");
    return value;
  }

  /** Text. */
  text(name: string): string {
    const value = this.#value(name);
    if (typeof value !== "string") throw this.#refuse(name, "text");
    return value;
  }

  /** A tensor that `TensorWriter.write` wrote. */
  tensor(name: string): Tensor {
    return this.#tensors.read(this.#value(name), `argument "${name}" of kind "${this.#kind}"`);
  }

  /** A region, as `jsonRegion` writes it. */
  region(name: string): Region {
    const value = this.#value(name);
    if (!Array.isArray(value)) throw this.#refuse(name, "a list of axis ranges");
    return value.map((item: JsonValue): AxisRange => {
      const isRange = typeof item === "object" && item !== null && !Array.isArray(item);
      const range = isRange ? item as Record<string, JsonValue> : {};
      const keys = Object.keys(range);
      const whole = (key: string) => range[key] === undefined || Number.isSafeInteger(range[key]);
      const { indices } = range;
      const isSound = keys.every((key) => ["axis", "start", "end", "indices"].includes(key)) &&
        range["axis"] !== undefined && whole("axis") && whole("start") && whole("end") &&
        (indices === undefined ||
          (Array.isArray(indices) && indices.every(Number.isSafeInteger) &&
            range["start"] === undefined && range["end"] === undefined));
      if (!isSound) {
        throw this.#refuse(
          name,
          "ranges such as { axis: -1, start: 0, end: 8 } or { axis, indices }",
        );
      }
      return range as unknown as AxisRange;
    });
  }

  /** Any JSON value. */
  json(name: string): JsonValue {
    return this.#value(name);
  }

  /**
   * Ends the reading.
   *
   * @throws {HooklineError} OPTION_INVALID when an argument is left that was not asked for.
   */
  end(): void {
    const unknown = Object.keys(this.#json).filter((name) => !this.#asked.has(name));
    if (unknown.length === 0) return;
    throw fault("OPTION_INVALID", {
      message: `cannot read an edit of kind "${this.#kind}": it has no argument ${
        unknown.map((name) => `"${name}"`).join(", ")
      }`,
      fix: `use ${[...this.#asked].sort().map((name) => `"${name}"`).join(", ") || "no argument"}`,
      details: { kind: this.#kind, arguments: unknown },
    });
  }

  #value(name: string): JsonValue {
    this.#asked.add(name);
    const value = Object.hasOwn(this.#json, name) ? this.#json[name] : undefined;
    if (value === undefined) throw this.#refuse(name, "a value");
    return value;
  }

  #refuse(name: string, wanted: string): HooklineError {
    return fault("OPTION_INVALID", {
      message: `cannot read an edit of kind "${this.#kind}": its argument "${name}" is ${
        Object.hasOwn(this.#json, name) ? "of another form" : "missing"
      }, wanted is ${wanted}`,
      fix: `give "${name}" as ${wanted}`,
      details: { kind: this.#kind, argument: name },
    });
  }
}
