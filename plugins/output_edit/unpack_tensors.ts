// Takes a nested value apart into its tensors and puts it together again. An ONNX module has a flat map
// of named tensors, which is one level of this; helper modules and saved contexts may nest deeper.
//
// Invariant: repacking what was unpacked gives an equal value of the same containers.

import type { Tensor } from "../../mod.ts";
import { fault } from "./_fault.ts";
import { isTensor } from "./activation.ts";

/** Where the tensors of a value sit: containers, numbered leaves, and everything else as it is. */
export type Structure =
  | { readonly kind: "tensor" }
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "list"; readonly items: readonly Structure[] }
  | {
    readonly kind: "record" | "map";
    readonly keys: readonly unknown[];
    readonly items: readonly Structure[];
  };

/** A value taken apart. */
export interface Unpacked {
  /** Its tensors, depth first, left to right. */
  readonly tensors: readonly Tensor[];
  /** What is left of it without them. */
  readonly structure: Structure;
}

/**
 * Takes a value apart. Arrays, plain objects and Maps are containers, tensors are leaves; numbers, text,
 * null and objects of any class stay where they are.
 *
 * @example
 * ```ts
 * import { float32 } from "@hookline/hookline";
 * import { repackTensors, unpackTensors } from "@hookline/hookline/plugins/output-edit";
 * const { tensors, structure } = unpackTensors([1, { hidden: float32([1], [2]) }, "text"]);
 * console.log(tensors.length, repackTensors(structure, tensors)); // 1 [ 1, { hidden: … }, "text" ]
 * ```
 */
export function unpackTensors(value: unknown): Unpacked {
  const tensors: Tensor[] = [];
  const structure = takeApart(value, tensors);
  return { tensors, structure };
}

function takeApart(value: unknown, tensors: Tensor[]): Structure {
  if (isTensor(value)) {
    tensors.push(value);
    return { kind: "tensor" };
  }
  const all = (items: readonly unknown[]) => items.map((item) => takeApart(item, tensors));
  if (Array.isArray(value)) return { kind: "list", items: all(value) };
  if (value instanceof Map) {
    return { kind: "map", keys: [...value.keys()], items: all([...value.values()]) };
  }
  if (isPlain(value)) {
    return { kind: "record", keys: Object.keys(value), items: all(Object.values(value)) };
  }
  return { kind: "value", value };
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * Puts tensors back into a structure.
 *
 * @throws {HooklineError} OPTION_INVALID when there are more or fewer tensors than places.
 */
export function repackTensors(structure: Structure, tensors: readonly Tensor[]): unknown {
  const wanted = countTensors(structure);
  if (wanted !== tensors.length) {
    throw fault("OPTION_INVALID", {
      message: `cannot repack ${tensors.length} tensors: the structure has ${wanted} places`,
      fix: "give one tensor for each that unpackTensors found",
    });
  }
  let next = 0;
  const put = (part: Structure): unknown => {
    switch (part.kind) {
      case "tensor":
        return tensors[next++];
      case "value":
        return part.value;
      case "list":
        return part.items.map(put);
      case "map":
        return new Map(part.items.map((item, index) => [part.keys[index], put(item)]));
      case "record": {
        const made: Record<string, unknown> = {};
        for (const [index, item] of part.items.entries()) {
          // A key "__proto__" stays a key.
          Object.defineProperty(made, part.keys[index] as string, {
            value: put(item),
            enumerable: true,
            configurable: true,
            writable: true,
          });
        }
        return made;
      }
    }
  };
  return put(structure);
}

function countTensors(structure: Structure): number {
  if (structure.kind === "tensor") return 1;
  if (structure.kind === "value") return 0;
  return structure.items.reduce((count, item) => count + countTensors(item), 0);
}

/** True when two structures have the same containers, keys and values; tensors are equal to one another. */
export function sameStructure(left: Structure, right: Structure): boolean {
  if (left.kind === "tensor" || right.kind === "tensor") return left.kind === right.kind;
  if (left.kind === "value" || right.kind === "value") {
    return left.kind === "value" && right.kind === "value" && Object.is(left.value, right.value);
  }
  if (left.kind !== right.kind || left.items.length !== right.items.length) return false;
  if (left.kind !== "list" && right.kind !== "list") {
    if (!left.keys.every((key, index) => Object.is(key, right.keys[index]))) return false;
  }
  return left.items.every((item, index) => sameStructure(item, right.items[index] as Structure));
}

/**
 * The name that an `unpackIdx` means among names in order: a number counts from 0, a negative one from
 * the end, a text is the name itself. Null when there is none.
 */
export function unpackName(names: readonly string[], unpackIdx: number | string): string | null {
  if (typeof unpackIdx === "string") return names.includes(unpackIdx) ? unpackIdx : null;
  return names.at(unpackIdx) ?? null;
}
