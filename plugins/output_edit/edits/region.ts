// Which elements of a tensor an edit means: all, or the product of index ranges along some dimensions
// (a position, a head, a neuron). Also how a smaller tensor is broadcast over a larger one.

import { elementCount } from "../../../mod.ts";
import { fault, shapeText } from "../_fault.ts";

/**
 * Indices along one dimension: a slice as Python has it (`start` included, `end` not, negatives count
 * from the end), or a list of indices.
 */
export interface AxisRange {
  /** The dimension; a negative one counts from the last. */
  readonly axis: number;
  /** First index of a slice; the start when left out. */
  readonly start?: number;
  /** Index after the last of a slice; the end when left out. */
  readonly end?: number;
  /** The very indices, instead of a slice; each must exist. */
  readonly indices?: readonly number[];
}

/** Where an edit acts: the elements that lie in every range. All elements when it is empty. */
export type Region = readonly AxisRange[];

/**
 * The offsets of a region's elements in row-major order; null for all.
 *
 * @throws {HooklineError} HOOK_SHAPE when an axis or an index does not exist in the shape.
 */
export function regionOffsets(
  shape: readonly number[],
  region: Region | undefined,
): Uint32Array | null {
  if (region === undefined || region.length === 0) return null;
  const chosen: (readonly number[] | null)[] = shape.map(() => null);
  for (const range of region) {
    const axis = range.axis < 0 ? range.axis + shape.length : range.axis;
    const size = shape[axis];
    if (size === undefined) throw outside(`axis ${range.axis}`, shape);
    const indices = rangeIndices(range, size, shape);
    const before = chosen[axis];
    chosen[axis] = before === null || before === undefined
      ? indices
      : before.filter((index) => indices.includes(index));
  }
  let offsets = [0];
  for (const [axis, size] of shape.entries()) {
    const indices = chosen[axis] ?? Array.from({ length: size }, (_, index) => index);
    const next: number[] = [];
    for (const offset of offsets) for (const index of indices) next.push(offset * size + index);
    offsets = next;
  }
  return Uint32Array.from(offsets);
}

function rangeIndices(range: AxisRange, size: number, shape: readonly number[]): number[] {
  if (range.indices !== undefined) {
    const found = new Set<number>();
    for (const index of range.indices) {
      const at = index < 0 ? index + size : index;
      if (!Number.isInteger(at) || at < 0 || at >= size) {
        throw outside(`index ${index} of axis ${range.axis}`, shape);
      }
      found.add(at);
    }
    return [...found].sort((left, right) => left - right);
  }
  const clip = (index: number) => Math.min(size, Math.max(0, index < 0 ? index + size : index));
  const start = clip(range.start ?? 0);
  const end = clip(range.end ?? size);
  return Array.from({ length: Math.max(0, end - start) }, (_, index) => start + index);
}

function outside(what: string, shape: readonly number[]): Error {
  return fault("HOOK_SHAPE", {
    message: `cannot edit ${what} of an activation of shape ${shapeText(shape)}: there is none`,
    fix: "name axes and indices that the activation has; negatives count from the end",
    details: { shape: [...shape] },
  });
}

/**
 * From an element's offset to the offset in a tensor that is broadcast over `shape` as numpy does:
 * shapes are aligned at the end, and a dimension of size 1 or none repeats.
 *
 * @throws {HooklineError} HOOK_SHAPE when the shapes do not fit.
 */
export function broadcastOffset(
  shape: readonly number[],
  from: readonly number[],
): (offset: number) => number {
  const lead = shape.length - from.length;
  const fits = lead >= 0 &&
    from.every((size, axis) => size === 1 || size === shape[axis + lead]);
  if (!fits) {
    throw fault("HOOK_SHAPE", {
      message: `cannot use a tensor of shape ${shapeText(from)} on an activation of shape ${
        shapeText(shape)
      }: it cannot be broadcast`,
      fix: "give a tensor of the activation's shape, or of its last dimensions",
      details: { shape: [...shape], from: [...from] },
    });
  }
  const count = elementCount(from);
  if (count === 1) return () => 0;
  const firstLong = from.findIndex((size) => size !== 1);
  // The usual case, a vector along the last dimensions, needs no division by every dimension.
  if (from.slice(firstLong).every((size, axis) => size === shape[axis + lead + firstLong])) {
    return (offset) => offset % count;
  }
  const strides = from.map((size, axis) => size === 1 ? 0 : elementCount(from.slice(axis + 1)));
  return (offset) => {
    let rest = offset;
    let found = 0;
    for (let axis = from.length - 1; axis >= 0; axis--) {
      const size = shape[axis + lead] ?? 1;
      found += (rest % size) * (strides[axis] ?? 0);
      rest = Math.floor(rest / size);
    }
    return found;
  };
}
