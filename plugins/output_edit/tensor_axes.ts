// Joins tensors along a dimension, cuts them apart again, and adds them: what collectives between
// shards come down to when every shard lies in one process.

import { copyTensor, elementCount, type Tensor, tensor, type TensorData } from "../../mod.ts";
import { fault, shapeText } from "./_fault.ts";
import { mapElements, readElement } from "./edits/elements.ts";

type AnyArray = Float32Array;

/** A new array of the same kind, or an array for strings. */
function likeArray(data: TensorData, length: number): TensorData {
  if (!ArrayBuffer.isView(data)) return new Array<string>(length);
  const make = data.constructor as new (length: number) => AnyArray;
  return new make(length);
}

/**
 * Tensors that differ only along `axis`, joined in their order.
 *
 * @throws {HooklineError} HOOK_SHAPE when they differ elsewhere, or in dtype.
 */
export function joinTensors(parts: readonly Tensor[], axis: number): Tensor {
  const [first] = parts;
  if (first === undefined) throw new RangeError("no tensors to join");
  if (parts.length === 1) return first;
  for (const part of parts) {
    const fits = part.dtype === first.dtype && part.shape.length === first.shape.length &&
      part.shape.every((size, at) => at === axis || size === first.shape[at]);
    if (fits) continue;
    throw fault("HOOK_SHAPE", {
      message: `cannot gather shards along dimension ${axis}: ${first.dtype} ${
        shapeText(first.shape)
      } and ${part.dtype} ${shapeText(part.shape)} differ elsewhere`,
      fix: "make the shards equal in every other dimension",
    });
  }
  const total = parts.reduce((size, part) => size + (part.shape[axis] ?? 0), 0);
  const shape = first.shape.with(axis, total);
  const inner = elementCount(first.shape.slice(axis + 1));
  const outer = elementCount(first.shape.slice(0, axis));
  const data = likeArray(first.data, elementCount(shape)) as AnyArray;
  let column = 0;
  for (const part of parts) {
    const run = (part.shape[axis] ?? 0) * inner;
    for (let row = 0; row < outer; row++) {
      copyRun(part.data as AnyArray, row * run, { data, at: row * total * inner + column, run });
    }
    column += run;
  }
  return tensor(first.dtype, shape, data);
}

function copyRun(
  source: AnyArray,
  from: number,
  target: { readonly data: AnyArray; readonly at: number; readonly run: number },
): void {
  if (ArrayBuffer.isView(source)) {
    target.data.set(source.subarray(from, from + target.run), target.at);
    return;
  }
  for (let index = 0; index < target.run; index++) {
    target.data[target.at + index] = source[from + index] as number;
  }
}

/** A tensor cut along `axis` into parts of these sizes, which must add up to its own. */
export function splitTensor(
  value: Tensor,
  { axis, sizes }: { readonly axis: number; readonly sizes: readonly number[] },
): Tensor[] {
  const total = value.shape[axis] ?? 0;
  const inner = elementCount(value.shape.slice(axis + 1));
  const outer = elementCount(value.shape.slice(0, axis));
  let column = 0;
  return sizes.map((size) => {
    const shape = value.shape.with(axis, size);
    const run = size * inner;
    const data = likeArray(value.data, elementCount(shape)) as AnyArray;
    for (let row = 0; row < outer; row++) {
      copyRun(value.data as AnyArray, row * total * inner + column, { data, at: row * run, run });
    }
    column += run;
    return tensor(value.dtype, shape, data);
  });
}

/** `size` in `parts` parts that differ by at most one, the larger ones first. */
export function evenSizes(size: number, parts: number): number[] {
  return Array.from(
    { length: parts },
    (_, index) => Math.floor(size / parts) + (index < size % parts ? 1 : 0),
  );
}

/** The sum of tensors of one shape, added in their order, each step rounded to the dtype. */
export function sumTensors(parts: readonly Tensor[]): Tensor {
  const [first, ...rest] = parts;
  if (first === undefined) throw new RangeError("no tensors to add");
  let sum = copyTensor(first);
  for (const part of rest) {
    if (part.dtype !== sum.dtype || shapeText(part.shape) !== shapeText(sum.shape)) {
      throw fault("HOOK_SHAPE", {
        message: `cannot add shards of ${sum.dtype} ${shapeText(sum.shape)} and ${part.dtype} ${
          shapeText(part.shape)
        }`,
        fix: 'use { gather: axis } for outputs that differ in size, "sum" for partial sums',
      });
    }
    const right = readElement(part);
    sum = mapElements(sum, { what: "add" }, (value, index) => value + right(index));
  }
  return sum;
}
