// What can be said of a tensor without showing it: dtype and shape, and for the level `stats` a few
// numbers that the host works out. They are plain JSON numbers, so that they reach every level of
// isolation. Statistics are summed in the order of the elements, in float64.

import type { DType } from "../tensor/dtype.ts";
import type { Tensor, TensorMap } from "../tensor/tensor.ts";

/** Statistics of a tensor's finite elements; null where there are none. */
export interface TensorStatistics {
  /** Number of elements. */
  readonly count: number;
  /** How many are NaN. */
  readonly nanCount: number;
  /** How many are infinite. */
  readonly infinityCount: number;
  /** The smallest finite element. */
  readonly min: number | null;
  /** The largest finite element. */
  readonly max: number | null;
  /** Mean of the finite elements. */
  readonly mean: number | null;
  /** Mean of their magnitudes. */
  readonly absMean: number | null;
  /** Root of the mean of their squares. */
  readonly rms: number | null;
}

/** What a plugin may know of a tensor. */
export interface TensorFacts {
  /** Element type. */
  readonly dtype: DType;
  /** Dimension sizes. */
  readonly shape: readonly number[];
  /** Present at the levels `stats` and `values`, for numeric tensors. */
  readonly statistics?: TensorStatistics;
}

/** The tensors of a call, described. */
export interface CallTensors {
  /** The module's inputs; empty where the hook does not read them. */
  readonly inputs: Readonly<Record<string, TensorFacts>>;
  /** The module's outputs; empty before the forward. */
  readonly outputs: Readonly<Record<string, TensorFacts>>;
}

/** Describes tensors, with statistics or without. */
export function describeTensors(
  tensors: TensorMap,
  withStatistics: boolean,
): Readonly<Record<string, TensorFacts>> {
  const facts: Record<string, TensorFacts> = Object.create(null);
  for (const [name, tensor] of Object.entries(tensors)) {
    const { dtype, shape } = tensor;
    const statistics = withStatistics ? statisticsOf(tensor) : null;
    facts[name] = Object.freeze({
      dtype,
      shape: Object.freeze([...shape]),
      ...(statistics === null ? {} : { statistics }),
    });
  }
  return Object.freeze(facts);
}

/** Statistics of a numeric tensor; null for strings and for bit patterns without a JavaScript array. */
export function statisticsOf({ dtype, data }: Tensor): TensorStatistics | null {
  const isBits = dtype === "bfloat16" || dtype.startsWith("float8") ||
    (dtype === "float16" && data instanceof Uint16Array);
  if (isBits || !ArrayBuffer.isView(data)) return null;
  let [nanCount, infinityCount, min, max] = [0, 0, Infinity, -Infinity];
  let [sum, absSum, squareSum] = [0, 0, 0];
  for (let index = 0; index < data.length; index++) {
    const value = Number(data[index]);
    if (value - value !== 0) {
      if (Number.isNaN(value)) nanCount++;
      else infinityCount++;
      continue;
    }
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    absSum += Math.abs(value);
    squareSum += value * value;
  }
  const count = data.length;
  const finite = count - nanCount - infinityCount;
  const of = (value: number): number | null => finite === 0 ? null : value;
  return Object.freeze({
    count,
    nanCount,
    infinityCount,
    min: of(min),
    max: of(max),
    mean: of(sum / finite),
    absMean: of(absSum / finite),
    rms: of(Math.sqrt(squareSum / finite)),
  });
}
