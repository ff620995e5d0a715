// Alters one tensor of a model the way ports go wrong: a row scaled or in the wrong place, a transpose
// forgotten, a bias dropped, a constant a little off, an index off by one.

import type { TensorProto } from "onnx-buf";
import type { SeededRandom } from "./seeded_random.ts";

const ONNX_FLOAT = 1;
const ONNX_INT64 = 7;

/** Whether a tensor's elements are float32 or int64 and lie in the file. */
export function isAlterable(tensor: TensorProto): boolean {
  return (tensor.dataType === ONNX_FLOAT || tensor.dataType === ONNX_INT64) &&
    tensor.rawData.byteLength > 0;
}

/** Whether its elements are float32. */
export function isFloat(tensor: TensorProto): boolean {
  return tensor.dataType === ONNX_FLOAT;
}

/** Alters a tensor in place and says how; the elements of the message are replaced, never written into. */
export function alterTensor(tensor: TensorProto, random: SeededRandom): string {
  if (!isFloat(tensor)) return alterIntegers(tensor, random);
  const data = new Float32Array(tensor.rawData.slice().buffer);
  const dims = tensor.dims.map(Number);
  const rows = dims.length < 2 ? 1 : dims[0] as number;
  const how = data.length === 1
    ? alterScalar(data, random)
    : rows === 1
    ? alterVector(data, random)
    : alterMatrix(data, dims, random);
  tensor.rawData = new Uint8Array(data.buffer);
  return how;
}

function alterScalar(data: Float32Array, random: SeededRandom): string {
  const before = data[0] as number;
  const after = random.pick([before * 1.01, before * 0.9, before + 0.05, -before]);
  data[0] = after;
  return `${before} became ${data[0]}`;
}

function alterVector(data: Float32Array, random: SeededRandom): string {
  const at = random.below(data.length);
  switch (random.below(4)) {
    case 0:
      data[at] = (data[at] as number) + 0.1;
      return `element ${at} is 0.1 larger`;
    case 1:
      data.fill(0);
      return "all elements are 0";
    case 2:
      data.forEach((value, index) => data[index] = -value);
      return "all elements have the other sign";
    default: {
      const other = (at + 1) % data.length;
      [data[at], data[other]] = [data[other] as number, data[at] as number];
      return `elements ${at} and ${other} are exchanged`;
    }
  }
}

function alterMatrix(
  data: Float32Array,
  dims: readonly number[],
  random: SeededRandom,
): string {
  const rows = dims[0] as number;
  const width = data.length / rows;
  const row = random.below(rows);
  const at = row * width + random.below(width);
  const isSquare = dims.length === 2 && rows === width;
  switch (random.below(isSquare ? 6 : 5)) {
    case 0:
      for (let index = row * width; index < (row + 1) * width; index++) {
        data[index] = (data[index] as number) * 1.25;
      }
      return `row ${row} is 1.25 times as large`;
    case 1:
      data[at] = (data[at] as number) + 0.5 * largest(data);
      return `element ${at} is larger by half of the largest`;
    case 2:
      for (let index = at % width; index < data.length; index += width) data[index] = 0;
      return `column ${at % width} is 0`;
    case 3: {
      const other = (row + 1) % rows;
      const kept = data.slice(row * width, (row + 1) * width);
      data.copyWithin(row * width, other * width, (other + 1) * width);
      data.set(kept, other * width);
      return `rows ${row} and ${other} are exchanged`;
    }
    case 4:
      data.forEach((value, index) => data[index] = value * 1.01);
      return "all elements are 1.01 times as large";
    default: {
      const before = data.slice();
      before.forEach((value, index) => {
        data[(index % width) * rows + Math.floor(index / width)] = value;
      });
      return "it is transposed";
    }
  }
}

function alterIntegers(tensor: TensorProto, random: SeededRandom): string {
  const data = new BigInt64Array(tensor.rawData.slice().buffer);
  const at = random.below(data.length);
  const before = data[at] as bigint;
  data[at] = before + random.pick([1n, -1n]);
  tensor.rawData = new Uint8Array(data.buffer);
  return `element ${at} became ${data[at]}, was ${before}`;
}

function largest(data: Float32Array): number {
  return data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
