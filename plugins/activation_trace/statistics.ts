// The statistics of one tensor: which there are, what each means, and how they are computed in one pass.
// It knows tensors and numbers, nothing of modules or files.
//
// The rule for all of them: elements are taken as float32 (as FastVideo's `tensor.float()` has it), sums
// are accumulated in float64, neighbours first and then in index order, and the results are not rounded
// back to float32. So `sum` and what follows from it differ from a float32 reduction in the last digits,
// and are the better ones.

import type { Tensor } from "../../mod.ts";
import { FloatChunks } from "./float_chunks.ts";
import { OrderStatistics } from "./order_statistics.ts";

/**
 * The statistics by name, with what each means. `shape` and `dtype` are those of the tensor itself; all
 * others are numbers over its elements after the cast to float32, and NaN where an element is NaN, the
 * two counts excepted.
 */
export const TRACE_STATISTICS = {
  abs_mean: "mean of the absolute values",
  sum: "sum of the elements",
  min: "smallest element",
  max: "largest element",
  mean: "arithmetic mean",
  std: "standard deviation, unbiased (divided by N - 1); NaN for one element",
  shape: "dimension sizes; [] for a scalar",
  dtype: "element type in PyTorch's spelling, such as torch.float32",
  nan_count: "number of NaN elements",
  inf_count: "number of infinite elements, also those that the cast to float32 made infinite",
  l2: "square root of the sum of squares",
  p01: "1st percentile, exact, linear between the two nearest elements",
  p50: "median, as p01",
  p99: "99th percentile, as p01",
} as const;

/** The name of a statistic. */
export type TraceStatistic = keyof typeof TRACE_STATISTICS;

/** What {@linkcode TensorStatistics.compute} gives: numbers, the shape, the dtype's spelling. */
export type StatisticValue = number | string | readonly number[];

const QUANTILES: Readonly<Partial<Record<TraceStatistic, number>>> = {
  p01: 0.01,
  p50: 0.5,
  p99: 0.99,
};
/** Needs no more than the two sums; every other number takes the pass with the moments. */
const SUMS: readonly TraceStatistic[] = ["abs_mean", "sum", "mean", "nan_count", "inf_count"];
const FREE: readonly TraceStatistic[] = ["shape", "dtype"];

// What one pass gathers lies in a Float64Array: numbers in an object's fields would be boxed, and V8
// would optimise the loops anew for every shape that the object takes.
const SUM = 0;
const ABS_SUM = 1;
const SQUARES = 2;
/** An element to measure distances from. */
const PIVOT = 3;
/** Sum of squares of the distances from the pivot: no cancellation where the mean is far from zero. */
const PIVOT_SQUARES = 4;
const MIN = 5;
const MAX = 6;
const MOMENTS = 7;

/** Computes the chosen statistics of tensors, one tensor after another. Keeps scratch memory between calls. */
export class TensorStatistics {
  /** The names, in the order of the values. */
  readonly names: readonly TraceStatistic[];
  readonly #quantiles: readonly number[];
  readonly #needsMoments: boolean;
  readonly #needsPass: boolean;
  readonly #needsCounts: boolean;
  readonly #moments = new Float64Array(MOMENTS);
  readonly #chunks = new FloatChunks();
  readonly #order = new OrderStatistics();

  /** Takes the names that are wanted, in the order that is wanted. */
  constructor(names: readonly TraceStatistic[]) {
    this.names = names;
    this.#quantiles = names.flatMap((name) => QUANTILES[name] ?? []);
    const computed = names.filter((name) => !FREE.includes(name) && QUANTILES[name] === undefined);
    this.#needsMoments = computed.some((name) => !SUMS.includes(name));
    this.#needsPass = computed.length > 0 || this.#quantiles.length > 0;
    this.#needsCounts = this.#quantiles.length > 0 || names.includes("nan_count") ||
      names.includes("inf_count");
  }

  /** Whether a tensor of this dtype has these statistics: all but strings, complex and 8-bit floats do. */
  accepts(value: Tensor): boolean {
    return !this.#needsPass || FloatChunks.accepts(value.dtype);
  }

  /**
   * The statistics of a tensor, in the order of `names`.
   *
   * One pass over the data for all but the percentiles, without a copy; further ones only for
   * percentiles (see {@linkcode OrderStatistics}) and to count what is not finite where a sum shows
   * that something is. Of no elements, `sum`, `l2` and the counts are 0 and all else is NaN.
   */
  compute(value: Tensor): StatisticValue[] {
    if (this.#needsPass) this.#pass(value);
    const [sum = 0, absSum = 0, squares = 0, , , min = 0, max = 0] = this.#moments;
    const count = value.data.length;
    let nanCount = 0;
    let infCount = 0;
    // A sum of finite float32 values cannot leave float64, so a finite sum has only finite terms.
    if (this.#needsCounts && !Number.isFinite(sum)) {
      for (const chunk of this.#chunks.of(value)) {
        for (let index = 0; index < chunk.length; index++) {
          const element = chunk[index] as number;
          if (element !== element) nanCount++;
          else if (element === Infinity || element === -Infinity) infCount++;
        }
      }
    }
    const quantiles = this.#quantiles.length === 0 || nanCount > 0 || count === 0
      ? this.#quantiles.map(() => NaN)
      : this.#order.quantiles(this.#chunks, value, this.#quantiles);
    let nextQuantile = 0;
    return this.names.map((name): StatisticValue => {
      switch (name) {
        case "abs_mean":
          return absSum / count;
        case "sum":
          return sum;
        case "mean":
          return sum / count;
        case "min":
          return count === 0 ? NaN : min;
        case "max":
          return count === 0 ? NaN : max;
        case "std":
          return deviation(this.#moments, count);
        case "l2":
          return Math.sqrt(squares);
        case "nan_count":
          return nanCount;
        case "inf_count":
          return infCount;
        case "shape":
          return value.shape;
        case "dtype":
          return `torch.${TORCH_NAMES[value.dtype] ?? value.dtype}`;
        case "p01":
        case "p50":
        case "p99":
          return quantiles[nextQuantile++] as number;
      }
    });
  }

  #pass(value: Tensor): void {
    const moments = this.#moments.fill(0);
    moments[MIN] = Infinity;
    moments[MAX] = -Infinity;
    let isFirst = true;
    for (const chunk of this.#chunks.of(value)) {
      if (!this.#needsMoments) {
        addSums(moments, chunk);
        continue;
      }
      if (isFirst && Number.isFinite(chunk[0])) moments[PIVOT] = chunk[0] as number;
      isFirst = false;
      addMoments(moments, chunk);
    }
  }
}

/** Names that PyTorch spells in another way than ONNX Runtime. */
const TORCH_NAMES: Readonly<Record<string, string>> = {
  float8e4m3fn: "float8_e4m3fn",
  float8e4m3fnuz: "float8_e4m3fnuz",
  float8e5m2: "float8_e5m2",
  float8e5m2fnuz: "float8_e5m2fnuz",
};

/** NaN for fewer than two elements, and where something is infinite, as PyTorch has it. */
function deviation(moments: Float64Array, count: number): number {
  if (count < 2) return NaN;
  const pivotSum = (moments[SUM] as number) - (moments[PIVOT] as number) * count;
  const squares = (moments[PIVOT_SQUARES] as number) - pivotSum * pivotSum / count;
  return Math.sqrt(Math.max(0, squares) / (count - 1));
}

// In pairs, because two additions of one pair need not wait for one another.
function addSums(moments: Float64Array, chunk: Float32Array): void {
  const { length } = chunk;
  let sum = 0;
  let absSum = 0;
  let index = 0;
  for (; index < length - 1; index += 2) {
    const element = chunk[index] as number;
    const next = chunk[index + 1] as number;
    sum += element + next;
    absSum += Math.abs(element) + Math.abs(next);
  }
  if (index < length) {
    const element = chunk[index] as number;
    sum += element;
    absSum += Math.abs(element);
  }
  moments[SUM] = (moments[SUM] as number) + sum;
  moments[ABS_SUM] = (moments[ABS_SUM] as number) + absSum;
}

// The same additions in the same order as above, so that a sum does not depend on what else is asked for.
// Math.min and not a comparison: V8 makes straight code of it, and NaN stays NaN.
function addMoments(moments: Float64Array, chunk: Float32Array): void {
  const { length } = chunk;
  const pivot = moments[PIVOT] as number;
  let sum = 0;
  let absSum = 0;
  let squares = 0;
  let pivotSquares = 0;
  let min = Infinity;
  let max = -Infinity;
  let index = 0;
  for (; index < length - 1; index += 2) {
    const element = chunk[index] as number;
    const next = chunk[index + 1] as number;
    sum += element + next;
    absSum += Math.abs(element) + Math.abs(next);
    squares += element * element + next * next;
    const distance = element - pivot;
    const nextDistance = next - pivot;
    pivotSquares += distance * distance + nextDistance * nextDistance;
    min = Math.min(Math.min(min, element), next);
    max = Math.max(Math.max(max, element), next);
  }
  if (index < length) {
    const element = chunk[index] as number;
    const distance = element - pivot;
    sum += element;
    absSum += Math.abs(element);
    squares += element * element;
    pivotSquares += distance * distance;
    min = Math.min(min, element);
    max = Math.max(max, element);
  }
  moments[SUM] = (moments[SUM] as number) + sum;
  moments[ABS_SUM] = (moments[ABS_SUM] as number) + absSum;
  moments[SQUARES] = (moments[SQUARES] as number) + squares;
  moments[PIVOT_SQUARES] = (moments[PIVOT_SQUARES] as number) + pivotSquares;
  moments[MIN] = Math.min(moments[MIN] as number, min);
  moments[MAX] = Math.max(moments[MAX] as number, max);
}
