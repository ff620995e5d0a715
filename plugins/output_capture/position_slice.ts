// Which positions of a tensor are kept: the last token, the first ten channels. It knows tensors only.

import { HooklineError, type Tensor, type TensorData } from "../../mod.ts";

/**
 * Positions along one axis. `at` takes one position and drops the axis; `start` and `end` take a range
 * and keep it. Negative numbers count from the end, for the axis too.
 */
export type PositionSlice =
  | { readonly axis: number; readonly at: number }
  | { readonly axis: number; readonly start?: number; readonly end?: number };

interface Run {
  readonly axis: number;
  readonly start: number;
  readonly length: number;
  readonly keepsAxis: boolean;
}

/**
 * A copy of the chosen positions, one slice after another; each counts axes as the one before left them.
 *
 * @throws {HooklineError} OPTION_INVALID when a slice names an axis or a position that is not there.
 */
export function sliceTensor(value: Tensor, slices: readonly PositionSlice[]): Tensor {
  let result = value;
  for (const slice of slices) result = sliceOnce(result, resolveSlice(result.shape, slice));
  return result;
}

function sliceOnce({ dtype, shape, data }: Tensor, run: Run): Tensor {
  const inner = product(shape.slice(run.axis + 1));
  const outer = product(shape.slice(0, run.axis));
  const size = shape[run.axis] ?? 0;
  const kept = shape.flatMap((length, axis) =>
    axis !== run.axis ? [length] : run.keepsAxis ? [run.length] : []
  );
  const parts: TensorData[] = [];
  for (let row = 0; row < outer; row++) {
    const start = (row * size + run.start) * inner;
    parts.push(part(data, start, start + run.length * inner));
  }
  return Object.freeze({ dtype, shape: Object.freeze(kept), data: joined(data, parts) });
}

function resolveSlice(shape: readonly number[], slice: PositionSlice): Run {
  const axis = slice.axis < 0 ? slice.axis + shape.length : slice.axis;
  const size = shape[axis];
  if (!Number.isInteger(axis) || size === undefined) {
    throw invalid(slice, `a tensor of shape [${shape.join(", ")}] has no axis ${slice.axis}`);
  }
  if ("at" in slice) {
    const at = slice.at < 0 ? slice.at + size : slice.at;
    if (!Number.isInteger(at) || at < 0 || at >= size) {
      throw invalid(slice, `axis ${slice.axis} has ${size} positions, none of them ${slice.at}`);
    }
    return { axis, start: at, length: 1, keepsAxis: false };
  }
  const [start, end] = [slice.start ?? 0, slice.end ?? size]
    .map((place) => Math.min(size, Math.max(0, place < 0 ? place + size : place))) as [
      number,
      number,
    ];
  if (!Number.isInteger(start) || !Number.isInteger(end)) {
    throw invalid(slice, "start and end must be whole numbers");
  }
  return { axis, start, length: Math.max(0, end - start), keepsAxis: true };
}

function invalid(slice: PositionSlice, reason: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot capture the positions ${JSON.stringify(slice)}: ${reason}`,
    fix:
      "give an axis and positions that the captured tensor has; negative ones count from the end",
    details: { option: "slice" },
  });
}

function part(data: TensorData, start: number, end: number): TensorData {
  return ArrayBuffer.isView(data)
    ? data.subarray(start, end) as TensorData
    : data.slice(start, end);
}

function joined(like: TensorData, parts: readonly TensorData[]): TensorData {
  if (!ArrayBuffer.isView(like)) return (parts as readonly (readonly string[])[]).flat();
  const length = parts.reduce((sum, each) => sum + each.length, 0);
  const made = new (like.constructor as new (length: number) => Uint8Array)(length);
  let at = 0;
  for (const each of parts) {
    made.set(each as Uint8Array, at);
    at += each.length;
  }
  return made as TensorData;
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((all, size) => all * size, 1);
}
