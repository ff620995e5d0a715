// Checks what a hook returned before anything uses it. It owns the rule that a hook keeps names,
// dtype, rank and (unless declared) shape; it runs no hook. Invariant: a refused result has changed
// nothing, because a new map is made only after every tensor of it has passed.

import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import type { DType } from "../tensor/dtype.ts";
import { emptyTensorMap, type Tensor, tensorFault, type TensorMap } from "../tensor/tensor.ts";
import type { RegisteredHook } from "./admission.ts";
import { callDetails } from "./hook_fault.ts";
import type { ForwardCall, HookPhase } from "./model_hook.ts";

/** What a tensor must be like; null stands for a dimension that may have any size. A tensor is its own type. */
export interface TensorType {
  /** Element type. */
  readonly dtype: DType;
  /** Dimension sizes, null where any size will do. */
  readonly shape: readonly (number | null)[];
}

/** Tensor types by value name. */
export type TensorTypes = Readonly<Record<string, TensorType>>;

/** Whose result is checked, and against what. */
export interface ResultSite {
  /** The hook. */
  readonly hook: RegisteredHook;
  /** Its method. */
  readonly phase: HookPhase;
  /** The call. */
  readonly call: ForwardCall;
  /** What the map is called in messages. */
  readonly what: "inputs" | "outputs" | "original's inputs";
  /** The types known for these names; a name without one is checked by itself alone. */
  readonly types: TensorTypes;
}

/** A map without tensors. */
export const NO_TENSORS: TensorMap = Object.freeze(emptyTensorMap());

/** A frozen map of the same tensors, so that a hook cannot change what another one sees. */
export function frozenMap(map: TensorMap): TensorMap {
  return Object.isFrozen(map) ? map : Object.freeze(Object.assign(emptyTensorMap(), map));
}

function siteNames(site: ResultSite): readonly string[] {
  return site.what === "outputs" ? site.call.outputNames : site.call.inputNames;
}

function fail(
  code: "HOOK_RESULT" | "HOOK_SHAPE" | "HOOK_ACCESS",
  site: ResultSite,
  { fault, fix, tensor, cause }: {
    readonly fault: string;
    readonly fix: string;
    readonly tensor?: string;
    readonly cause?: unknown;
  },
): HooklineError {
  return new HooklineError(code, {
    message: `cannot use what hook "${site.hook.name}" returned as ${site.what} of ` +
      `"${site.call.module.path}" in ${site.phase}: ${fault}`,
    fix,
    details: {
      ...callDetails(site.hook, site.phase, site.call),
      ...(tensor === undefined ? {} : { tensor }),
    },
    cause,
  });
}

/** Reads what a hook returned: a getter or a proxy in it may throw, which is the hook's fault. */
function reading<T>(site: ResultSite, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw fail("HOOK_RESULT", site, {
      fault: `reading it threw: ${causeText(cause)}`,
      fix: "return a plain object of tensors, without getters or proxies that throw",
      cause,
    });
  }
}

function shapeText(shape: readonly (number | null)[]): string {
  return `[${shape.map((size) => size === null ? "?" : size).join(", ")}]`;
}

/** The one place that decides whether a tensor may take another one's place. */
function checkTensor(site: ResultSite, name: string, value: Tensor): void {
  const fault = reading(site, () => tensorFault(value));
  if (fault !== null) {
    throw fail("HOOK_RESULT", site, {
      fault: `"${name}" ${fault}`,
      fix: "return tensors made by tensor() or float32()",
      tensor: name,
    });
  }
  const type = Object.hasOwn(site.types, name) ? site.types[name] : undefined;
  if (type === undefined) return;
  if (value.dtype !== type.dtype) {
    throw fail("HOOK_SHAPE", site, {
      fault: `"${name}" is ${value.dtype}, wanted is ${type.dtype}`,
      fix: "keep the dtype that the tensor came with",
      tensor: name,
    });
  }
  const sameRank = value.shape.length === type.shape.length;
  const sameSizes = sameRank &&
    value.shape.every((size, axis) => type.shape[axis] === null || type.shape[axis] === size);
  if (sameSizes || (sameRank && site.hook.changesShape)) return;
  throw fail("HOOK_SHAPE", site, {
    fault: `"${name}" has shape ${shapeText(value.shape)}, wanted is ${shapeText(type.shape)}`,
    fix: sameRank ? "keep the shape, or declare changesShape" : "keep the number of dimensions",
    tensor: name,
  });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** The entries of a returned map, each read once, after checking every one of them. */
function checkMap(site: ResultSite, result: unknown): TensorMap {
  const known = siteNames(site);
  const isMap = reading(
    site,
    () => isObject(result) && !Array.isArray(result) && !(result instanceof Map),
  );
  // A bare tensor is the likeliest mistake: say what to do instead of "unknown name dtype".
  const bare = isMap && isObject(result) && !known.includes("dtype") &&
    reading(site, () => "dtype" in result && "data" in result);
  if (!isMap || bare) {
    const found = bare
      ? "it is a bare tensor"
      : `it is ${
        result === null
          ? "null"
          : Array.isArray(result)
          ? "an array"
          : typeof result === "object"
          ? "a Map"
          : `of type ${typeof result}`
      }`;
    throw fail("HOOK_RESULT", site, {
      fault: `${found}, wanted is an object from names to tensors`,
      fix: `return { ${JSON.stringify(known[0] ?? "name")}: tensor }, or nothing to change nothing`,
    });
  }
  const entries = reading(site, () => Object.assign(emptyTensorMap(), result));
  const names = Object.keys(entries);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw fail("HOOK_RESULT", site, {
      fault: `it names ${unknown.map((name) => `"${name}"`).join(", ")}`,
      fix: `name only ${known.map((name) => `"${name}"`).join(", ") || "nothing"}`,
    });
  }
  for (const name of names) {
    checkTensor(site, name, entries[name] as Tensor);
  }
  return entries;
}

/**
 * The map after a hook: `current` itself when the hook returned nothing, else `current` with the
 * returned tensors in place. Only hooks that may write get here with a result.
 *
 * @throws {HooklineError} HOOK_ACCESS when an observer or residency hook returned something.
 * @throws {HooklineError} HOOK_RESULT when it is no map of the module's names to sound tensors.
 * @throws {HooklineError} HOOK_SHAPE when a tensor has another dtype, rank or shape.
 */
export function mergeResult(
  site: ResultSite,
  current: TensorMap,
  result: unknown,
): TensorMap {
  if (result === undefined) return current;
  const { access } = site.hook;
  if (access === "observe" || access === "residency") {
    throw fail("HOOK_ACCESS", site, {
      fault: `it declares access "${access}", which returns nothing`,
      fix: 'return nothing, or declare access "edit"',
    });
  }
  if (result === current) return current;
  const entries = checkMap(site, result);
  return Object.freeze(Object.assign(emptyTensorMap(), current, entries));
}

/**
 * The outputs that `newForward` returned: all of the module's, because there is nothing else to take
 * a missing one from.
 *
 * @throws {HooklineError} HOOK_RESULT when it is no map, an output is missing or a name is unknown.
 * @throws {HooklineError} HOOK_SHAPE when a tensor does not have the dtype, rank or shape known for it.
 */
export function completeResult(site: ResultSite, result: unknown): TensorMap {
  const entries = checkMap(site, result);
  const missing = siteNames(site).filter((name) => !Object.hasOwn(entries, name));
  if (missing.length > 0) {
    throw fail("HOOK_RESULT", site, {
      fault: `it lacks ${missing.map((name) => `"${name}"`).join(", ")}`,
      fix: "return every output of the module from newForward",
    });
  }
  return Object.freeze(entries);
}
