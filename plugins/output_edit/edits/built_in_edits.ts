// The edits that come with the plugin. Each is a value with all its arguments; applied to the same
// activation it gives the same bits, today and after a replay.

import { elementCount, type Tensor } from "../../../mod.ts";
import { fault, shapeText } from "../_fault.ts";
import { type ArgumentReader, jsonNumber, jsonRegion } from "./argument_reader.ts";
import { type Edit, type EditKind, EditKinds, type JsonObject, makeEdit } from "./edit_kind.ts";
import { copyElements, mapElements, readElement, roundTo } from "./elements.ts";
import { broadcastOffset, type Region } from "./region.ts";

/** What every built-in edit takes. */
export interface RegionOption {
  /** Where the edit acts; everywhere when left out. */
  readonly at?: Region;
}

interface FactorArguments extends RegionOption {
  readonly factor: number;
}

interface VectorArguments extends RegionOption {
  readonly vector: Tensor;
}

interface ClampArguments extends RegionOption {
  readonly min?: number;
  readonly max?: number;
}

interface PatchArguments extends RegionOption {
  readonly value: Tensor;
}

interface SteerArguments extends RegionOption {
  readonly direction: Tensor;
  readonly coefficient: number;
  readonly normalize: boolean;
}

interface MeanArguments extends RegionOption {
  readonly mean?: Tensor;
  readonly axes?: readonly number[];
}

function withRegion(args: RegionOption): JsonObject {
  return args.at === undefined ? {} : { at: jsonRegion(args.at) };
}

function readRegion(reader: ArgumentReader): RegionOption {
  return reader.has("at") ? { at: reader.region("at") } : {};
}

const ZERO: EditKind<RegionOption> = {
  kind: "zero",
  serialise: withRegion,
  parse: readRegion,
  apply(activation, { at }) {
    if (!ArrayBuffer.isView(activation.data)) {
      throw fault("TENSOR_DTYPE", {
        message: `cannot zero a ${activation.dtype} activation`,
        fix: "edit a module whose output holds numbers",
        details: { dtype: activation.dtype },
      });
    }
    const make = activation.data.constructor as new (length: number) => Float32Array;
    const source: Tensor = { dtype: activation.dtype, shape: [1], data: new make(1) };
    return copyElements(activation, { source, place: () => 0, at });
  },
};

const SCALE: EditKind<FactorArguments> = {
  kind: "scale",
  serialise: (args) => ({ factor: jsonNumber(args.factor), ...withRegion(args) }),
  parse: (reader) => ({ factor: reader.number("factor"), ...readRegion(reader) }),
  apply(activation, { factor, at }) {
    const rounded = roundTo(activation.dtype, factor);
    return mapElements(activation, { what: "scale", at }, (value) => value * rounded);
  },
};

const ADD: EditKind<VectorArguments> = {
  kind: "add",
  serialise: (args, tensors) => ({ vector: tensors.write(args.vector), ...withRegion(args) }),
  parse: (reader) => ({ vector: reader.tensor("vector"), ...readRegion(reader) }),
  apply(activation, { vector, at }) {
    requireSameDtype("add", activation, vector);
    const place = broadcastOffset(activation.shape, vector.shape);
    const read = readElement(vector);
    return mapElements(
      activation,
      { what: "add to", at },
      (value, offset) => value + read(place(offset)),
    );
  },
};

const CLAMP: EditKind<ClampArguments> = {
  kind: "clamp",
  serialise: (args) => ({
    ...(args.min === undefined ? {} : { min: jsonNumber(args.min) }),
    ...(args.max === undefined ? {} : { max: jsonNumber(args.max) }),
    ...withRegion(args),
  }),
  parse(reader) {
    const args: ClampArguments = {
      ...(reader.has("min") ? { min: reader.number("min") } : {}),
      ...(reader.has("max") ? { max: reader.number("max") } : {}),
      ...readRegion(reader),
    };
    const { min = -Infinity, max = Infinity } = args;
    if (args.min === undefined && args.max === undefined) throw new Error("wanted is min or max");
    if (!(min <= max)) throw new Error(`its min ${min} is not at most its max ${max}`);
    return args;
  },
  apply(activation, { min = -Infinity, max = Infinity, at }) {
    const low = roundTo(activation.dtype, min);
    const high = roundTo(activation.dtype, max);
    // Comparisons are false for NaN, so that it stays what it is.
    return mapElements(
      activation,
      { what: "clamp", at },
      (value) => value < low ? low : value > high ? high : value,
    );
  },
};

const PATCH: EditKind<PatchArguments> = {
  kind: "patch",
  serialise: (args, tensors) => ({ value: tensors.write(args.value), ...withRegion(args) }),
  parse: (reader) => ({ value: reader.tensor("value"), ...readRegion(reader) }),
  apply(activation, { value, at }) {
    requireSameDtype("patch", activation, value);
    const place = broadcastOffset(activation.shape, value.shape);
    return copyElements(activation, { source: value, place, at });
  },
};

const STEER: EditKind<SteerArguments> = {
  kind: "steer",
  serialise: (args, tensors) => ({
    direction: tensors.write(args.direction),
    coefficient: jsonNumber(args.coefficient),
    normalize: args.normalize,
    ...withRegion(args),
  }),
  parse: (reader) => ({
    direction: reader.tensor("direction"),
    coefficient: reader.number("coefficient"),
    normalize: reader.boolean("normalize"),
    ...readRegion(reader),
  }),
  apply(activation, { direction, coefficient, normalize, at }) {
    requireSameDtype("steer", activation, direction);
    const place = broadcastOffset(activation.shape, direction.shape);
    const read = readElement(direction);
    const count = elementCount(direction.shape);
    let squares = 0;
    for (let index = 0; index < count; index++) squares += read(index) ** 2;
    const scale = normalize ? coefficient / Math.sqrt(squares) : coefficient;
    const step = Float64Array.from(
      { length: count },
      (_, index) => roundTo(activation.dtype, scale * read(index)),
    );
    return mapElements(
      activation,
      { what: "steer", at },
      (value, offset) => value + (step[place(offset)] as number),
    );
  },
};

const MEAN_ABLATE: EditKind<MeanArguments> = {
  kind: "mean_ablate",
  serialise: (args, tensors) => ({
    ...(args.mean === undefined ? {} : { mean: tensors.write(args.mean) }),
    ...(args.axes === undefined ? {} : { axes: [...args.axes] }),
    ...withRegion(args),
  }),
  parse(reader) {
    const hasMean = reader.has("mean");
    if (hasMean === reader.has("axes")) throw new Error("wanted is either mean or axes");
    return {
      ...(hasMean ? { mean: reader.tensor("mean") } : { axes: reader.integers("axes") }),
      ...readRegion(reader),
    };
  },
  apply(activation, { mean, axes, at }) {
    const { offsetOf, read } = mean === undefined
      ? ownMean(activation, axes ?? [])
      : (requireSameDtype("ablate", activation, mean), {
        offsetOf: broadcastOffset(activation.shape, mean.shape),
        read: readElement(mean),
      });
    return mapElements(
      activation,
      { what: "ablate", at },
      (_value, offset) => read(offsetOf(offset)),
    );
  },
};

interface Mean {
  readonly offsetOf: (offset: number) => number;
  readonly read: (offset: number) => number;
}

/** The activation's own mean along axes, summed in float64 in index order. */
function ownMean(activation: Tensor, axes: readonly number[]): Mean {
  const rank = activation.shape.length;
  const chosen = new Set(axes.map((axis) => axis < 0 ? axis + rank : axis));
  for (const axis of chosen) {
    if (axis >= 0 && axis < rank) continue;
    throw fault("HOOK_SHAPE", {
      message: `cannot average an activation of shape ${shapeText(activation.shape)} along axes ${
        axes.join(", ")
      }: there is no such axis`,
      fix: "name axes that the activation has; negatives count from the end",
    });
  }
  const shape = activation.shape.map((size, axis) => chosen.has(axis) ? 1 : size);
  const offsetOf = broadcastOffset(activation.shape, shape);
  const sums = new Float64Array(elementCount(shape));
  const read = readElement(activation);
  const count = elementCount(activation.shape);
  for (let offset = 0; offset < count; offset++) {
    const place = offsetOf(offset);
    sums[place] = (sums[place] as number) + read(offset);
  }
  const each = count / Math.max(1, sums.length);
  return { offsetOf, read: (place) => (sums[place] as number) / each };
}

function requireSameDtype(what: string, activation: Tensor, other: Tensor): void {
  if (activation.dtype === other.dtype) return;
  throw fault("HOOK_SHAPE", {
    message: `cannot ${what} a ${activation.dtype} activation with a ${other.dtype} tensor`,
    fix: `give the tensor as ${activation.dtype}`,
    details: { wanted: activation.dtype, found: other.dtype },
  });
}

const BUILT_IN: readonly EditKind<object>[] = Object.freeze([
  ZERO,
  SCALE,
  ADD,
  CLAMP,
  PATCH,
  STEER,
  MEAN_ABLATE,
]);

/**
 * A registry of the built-in kinds (`zero`, `scale`, `add`, `clamp`, `patch`, `steer`, `mean_ablate`)
 * and your own.
 */
export function editKinds(own: readonly EditKind<object>[] = []): EditKinds {
  return new EditKinds([...BUILT_IN, ...own]);
}

/** Sets elements to 0, whatever they are, NaN too. Takes every dtype but strings. */
export function zero(options: RegionOption = {}): Edit {
  return makeEdit(ZERO, { ...options });
}

/** Multiplies by a number, which is rounded to the activation's dtype first. */
export function scale(factor: number, options: RegionOption = {}): Edit {
  return makeEdit(SCALE, { factor, ...options });
}

/** Adds a tensor, broadcast as numpy does. */
export function addVector(vector: Tensor, options: RegionOption = {}): Edit {
  return makeEdit(ADD, { vector, ...options });
}

/** Keeps elements between `min` and `max`; NaN stays NaN. */
export function clamp(
  options: RegionOption & { readonly min?: number; readonly max?: number },
): Edit {
  return makeEdit(CLAMP, { ...options });
}

/**
 * Puts another tensor's elements in place, bit for bit; a smaller one is broadcast. With
 * `readFileTensor` the value comes from a file.
 */
export function patch(value: Tensor, options: RegionOption = {}): Edit {
  return makeEdit(PATCH, { value, ...options });
}

/**
 * Adds `coefficient · direction`, each product rounded to the dtype first; `normalize` divides the
 * direction by its length before.
 */
export function steer(
  direction: Tensor,
  options: RegionOption & { readonly coefficient?: number; readonly normalize?: boolean } = {},
): Edit {
  const { coefficient = 1, normalize = false, ...rest } = options;
  return makeEdit(STEER, { direction, coefficient, normalize, ...rest });
}

/**
 * Replaces elements by a mean: a given one (over a data set, broadcast), or the activation's own along
 * `axes`, such as `[1]` for the mean over positions.
 */
export function meanAblate(
  options: RegionOption & ({ readonly mean: Tensor } | { readonly axes: readonly number[] }),
): Edit {
  return makeEdit(MEAN_ABLATE, { ...options });
}
