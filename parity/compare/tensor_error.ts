// How far one tensor is from another of the same meaning. Sums are accumulated in float64 in index order,
// so equal tensors give equal answers; tensors are read in chunks, never copied whole. It knows no model.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { DType } from "../../tensor/dtype.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { coarserDType, dtypeClass, floatPrecision, readNumbers } from "./cast_tensor.ts";
import { HISTOGRAM_EDGES, type TensorError } from "./compare_report.ts";

/** How far a tensor may be off: `|a − b| ≤ atol + rtol · max|reference|`. */
export interface CompareTolerance {
  /** Relative to the reference's largest magnitude. */
  readonly rtol: number;
  /** Absolute, per element. */
  readonly atol: number;
}

/** What a caller wants instead, for every float dtype. */
export interface CompareToleranceOptions {
  /** Relative to the reference's largest magnitude. */
  readonly rtol?: number | undefined;
  /** Absolute, per element. */
  readonly atol?: number | undefined;
}

const FINE: CompareTolerance = { rtol: 1e-5, atol: 1e-5 };
const COARSE: CompareTolerance = { rtol: 1e-2, atol: 1e-2 };
const EXACT: CompareTolerance = { rtol: 0, atol: 0 };

/** Floats of eight bits: half a unit of the last place, doubled, as in parity/trace_tolerance.ts. */
const FLOAT_TOLERANCES: Readonly<Partial<Record<DType, CompareTolerance>>> = {
  float64: FINE,
  float32: FINE,
  float16: COARSE,
  bfloat16: COARSE,
  float8e4m3fn: { rtol: 0.125, atol: 1.25e-3 },
  float8e4m3fnuz: { rtol: 0.125, atol: 1.25e-3 },
  float8e5m2: { rtol: 0.25, atol: 2.5e-3 },
  float8e5m2fnuz: { rtol: 0.25, atol: 2.5e-3 },
};

/** The tolerance between tensors of these dtypes: that of the coarser float; nothing for integers. */
export function compareTolerance(
  reference: DType,
  candidate: DType,
  options: CompareToleranceOptions = {},
): CompareTolerance {
  const base = FLOAT_TOLERANCES[coarserDType(reference, candidate)];
  if (base === undefined) return EXACT;
  return { rtol: options.rtol ?? base.rtol, atol: options.atol ?? base.atol };
}

/**
 * Checks tolerances that a caller gives.
 *
 * @param action What cannot be done with bad ones, for the message.
 * @throws {HooklineError} OPTION_INVALID for one that is no number, 0 or more.
 */
export function checkTolerance(action: string, { rtol, atol }: CompareToleranceOptions): void {
  for (const [option, value] of [["rtol", rtol], ["atol", atol]] as const) {
    if (value === undefined || (typeof value === "number" && value >= 0 && value < Infinity)) {
      continue;
    }
    throw new HooklineError("OPTION_INVALID", {
      message: `cannot ${action} with ${option} ${String(value)}: wanted a number, 0 or more`,
      fix: `give ${option} a number, or leave it out`,
      details: { option },
    });
  }
}

/** An error with the histogram of its elements; see `HISTOGRAM_EDGES`. */
export interface MeasuredError {
  readonly error: TensorError;
  /** One bin per edge, and one for what is above the last. */
  readonly histogram: readonly number[];
  /** What makes the two incomparable element by element, or null. */
  readonly problem: string | null;
}

/** How tensors are measured. */
export interface MeasureOptions extends CompareToleranceOptions {
  /** True to compare tensors of other shapes element by element where they have equally many. */
  readonly ignoresShape?: boolean;
  /** The float whose tolerance counts, where it is coarser than both dtypes. */
  readonly precision?: DType | undefined;
}

/** How far `candidate` is from `reference`. */
export function tensorError(
  reference: Tensor,
  candidate: Tensor,
  options: MeasureOptions = {},
): TensorError {
  return measureError(reference, candidate, options).error;
}

/** How far `candidate` is from `reference`, and how the differences are spread. */
export function measureError(
  reference: Tensor,
  candidate: Tensor,
  options: MeasureOptions = {},
): MeasuredError {
  const kinds = [dtypeClass(reference.dtype), dtypeClass(candidate.dtype)];
  if (kinds[0] !== kinds[1]) {
    return incomparable(reference, `${reference.dtype} became ${candidate.dtype}`);
  }
  const { shape } = reference;
  const isSameShape = shape.length === candidate.shape.length &&
    shape.every((size, axis) => size === candidate.shape[axis]);
  const isSameLength = reference.data.length === candidate.data.length;
  if (!isSameShape && !(options.ignoresShape && isSameLength)) {
    return incomparable(
      reference,
      `shape [${shape.join(", ")}] became [${candidate.shape.join(", ")}]`,
    );
  }
  if (kinds[0] === "string") return stringError(reference, candidate);
  const totals = measure(reference, candidate);
  return finish(withinRange(totals, reference, candidate), reference, candidate, options);
}

function incomparable(reference: Tensor, problem: string): MeasuredError {
  const elements = reference.data.length;
  return {
    error: {
      maxAbs: Infinity,
      maxRel: Infinity,
      cosine: 0,
      sqnrDb: -Infinity,
      maxUlp: null,
      nanCandidate: 0,
      nanReference: 0,
      differing: elements,
      elements,
      scale: 0,
      ratio: Infinity,
    },
    histogram: [...HISTOGRAM_EDGES.map(() => 0), elements],
    problem,
  };
}

function stringError(reference: Tensor, candidate: Tensor): MeasuredError {
  const [left, right] = [reference.data as readonly string[], candidate.data as readonly string[]];
  const differing = left.filter((text, index) => text !== right[index]).length;
  const isEqual = differing === 0;
  const { error } = incomparable(reference, "");
  return {
    error: {
      ...error,
      differing,
      ...(isEqual ? { maxAbs: 0, maxRel: 0, cosine: 1, sqnrDb: Infinity, ratio: 0 } : {}),
    },
    histogram: [left.length - differing, ...HISTOGRAM_EDGES.slice(1).map(() => 0), differing],
    problem: null,
  };
}

interface Totals {
  maxAbs: number;
  maxUlp: number;
  scale: number;
  differing: number;
  nanCandidate: number;
  nanReference: number;
  /** An infinity against anything else. */
  infinite: boolean;
  product: number;
  referenceSquares: number;
  candidateSquares: number;
  errorSquares: number;
}

const CHUNK = 4096;
/** Below it a sum of squares has lost digits. */
const SMALLEST_SQUARE = 2 ** -960;

/** Calls back with chunks of both tensors as float64. */
function eachChunk(
  reference: Tensor,
  candidate: Tensor,
  visit: (left: Float64Array, right: Float64Array, start: number, count: number) => void,
): void {
  const { length } = reference.data;
  const left = new Float64Array(Math.min(CHUNK, length));
  const right = new Float64Array(left.length);
  for (let start = 0; start < length; start += CHUNK) {
    const count = readNumbers(reference, start, left);
    readNumbers(candidate, start, right);
    visit(left, right, start, count);
  }
}

function measure(reference: Tensor, candidate: Tensor): Totals {
  const totals: Totals = {
    maxAbs: 0,
    maxUlp: 0,
    scale: 0,
    differing: 0,
    nanCandidate: 0,
    nanReference: 0,
    infinite: false,
    product: 0,
    referenceSquares: 0,
    candidateSquares: 0,
    errorSquares: 0,
  };
  const ulp = ulpOf(coarserDType(reference.dtype, candidate.dtype));
  const isBig = isBigInteger(reference) || isBigInteger(candidate);
  eachChunk(reference, candidate, (left, right, start, count) => {
    for (let index = 0; index < count; index++) {
      const wanted = left[index] as number;
      const found = right[index] as number;
      if (wanted - wanted !== 0 || found - found !== 0) { // a NaN or an infinity
        addSpecial(totals, wanted, found);
        continue;
      }
      totals.scale = Math.max(totals.scale, Math.abs(wanted));
      totals.product += wanted * found;
      totals.referenceSquares += wanted * wanted;
      totals.candidateSquares += found * found;
      if (wanted === found) {
        if (isBig) addBigDifference(totals, reference, candidate, start + index);
        continue;
      }
      const apart = Math.abs(wanted - found);
      totals.differing++;
      totals.errorSquares += apart * apart;
      totals.maxAbs = Math.max(totals.maxAbs, apart);
      if (ulp !== null) totals.maxUlp = Math.max(totals.maxUlp, ulp(wanted, found));
    }
  });
  return totals;
}

/** Squares of float64 may leave the range of float64: then they are summed of scaled elements. */
function withinRange(totals: Totals, reference: Tensor, candidate: Tensor): Totals {
  const { referenceSquares, candidateSquares, errorSquares, scale, infinite, maxAbs } = totals;
  const isFit = (squares: number, largest: number): boolean =>
    squares < Infinity && (squares > SMALLEST_SQUARE || largest === 0);
  if (
    infinite ||
    (isFit(referenceSquares, scale) && isFit(errorSquares, maxAbs) && candidateSquares < Infinity)
  ) return totals;
  const factor = 2 ** -Math.floor(Math.log2(Math.max(scale, maxAbs)));
  const scaled = {
    ...totals,
    product: 0,
    referenceSquares: 0,
    candidateSquares: 0,
    errorSquares: 0,
  };
  eachChunk(reference, candidate, (left, right, _start, count) => {
    for (let index = 0; index < count; index++) {
      const [wanted, found] = [left[index] as number * factor, right[index] as number * factor];
      if (wanted - wanted !== 0 || found - found !== 0) continue;
      scaled.product += wanted * found;
      scaled.referenceSquares += wanted * wanted;
      scaled.candidateSquares += found * found;
      scaled.errorSquares += (wanted - found) ** 2;
    }
  });
  return scaled;
}

function addSpecial(totals: Totals, wanted: number, found: number): void {
  if (Number.isFinite(wanted)) totals.scale = Math.max(totals.scale, Math.abs(wanted));
  if (Object.is(wanted, found)) return;
  totals.differing++;
  if (Number.isNaN(found)) totals.nanCandidate++;
  else if (Number.isNaN(wanted)) totals.nanReference++;
  totals.infinite = true;
}

function isBigInteger({ data }: Tensor): boolean {
  return data instanceof BigInt64Array || data instanceof BigUint64Array;
}

/** Integers beyond 2^53 may be equal as float64 and differ all the same. */
function addBigDifference(
  totals: Totals,
  reference: Tensor,
  candidate: Tensor,
  index: number,
): void {
  const wanted = BigInt(reference.data[index] as number | bigint);
  const found = BigInt(candidate.data[index] as number | bigint);
  if (wanted === found) return;
  const apart = Number(wanted > found ? wanted - found : found - wanted);
  totals.differing++;
  totals.errorSquares += apart * apart;
  totals.maxAbs = Math.max(totals.maxAbs, apart);
}

/** The distance of two numbers in steps from one number of the dtype to the next. */
function ulpOf(dtype: DType): ((wanted: number, found: number) => number) | null {
  const precision = floatPrecision(dtype);
  if (precision === null) return null;
  const [fractionBits, lowest] = precision;
  const number = new Float64Array(1);
  const words = new Uint32Array(number.buffer);
  const high = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 1 : 0;
  /** How many numbers of the dtype lie between zero and this one. */
  const place = (value: number): number => {
    number[0] = value;
    const exponent = ((words[high] as number) >>> 20 & 0x7ff) - 1023;
    const above = Math.max(0, exponent - lowest);
    const steps = Math.abs(value) * 2 ** (fractionBits - lowest - above);
    return (above * 2 ** fractionBits + steps) * (value < 0 ? -1 : 1);
  };
  return (wanted, found) => Math.abs(place(wanted) - place(found));
}

function finish(
  totals: Totals,
  reference: Tensor,
  candidate: Tensor,
  options: MeasureOptions,
): MeasuredError {
  const { scale, differing, nanCandidate, nanReference } = totals;
  const coarser = coarserDType(reference.dtype, candidate.dtype);
  const { atol, rtol } = compareTolerance(coarser, options.precision ?? coarser, options);
  const maxAbs = totals.infinite ? Infinity : totals.maxAbs;
  const isFloat = dtypeClass(reference.dtype) === "float";
  return {
    error: {
      maxAbs,
      maxRel: differing === 0 ? 0 : scale === 0 ? Infinity : maxAbs / scale,
      cosine: cosineOf(totals),
      sqnrDb: differing === 0
        ? Infinity
        : totals.infinite
        ? -Infinity
        : 10 * Math.log10(totals.referenceSquares / totals.errorSquares),
      maxUlp: isFloat ? totals.maxUlp : null,
      nanCandidate,
      nanReference,
      differing,
      elements: reference.data.length,
      scale,
      ratio: ratioOf(maxAbs, atol + rtol * scale),
    },
    histogram: histogramOf(reference, candidate, scale),
    problem: null,
  };
}

function cosineOf({ product, referenceSquares, candidateSquares, infinite }: Totals): number {
  if (infinite) return 0;
  if (referenceSquares === 0 && candidateSquares === 0) return 1;
  if (referenceSquares === 0 || candidateSquares === 0) return 0;
  return Math.min(
    1,
    Math.max(-1, product / Math.sqrt(referenceSquares) / Math.sqrt(candidateSquares)),
  );
}

function ratioOf(maxAbs: number, tolerance: number): number {
  if (maxAbs === 0) return 0;
  return tolerance === 0 ? Infinity : maxAbs / tolerance;
}

function histogramOf(reference: Tensor, candidate: Tensor, scale: number): number[] {
  const bins = [...HISTOGRAM_EDGES.map(() => 0), 0];
  const edges = HISTOGRAM_EDGES.map((edge) => edge * scale);
  eachChunk(reference, candidate, (left, right, _start, count) => {
    for (let index = 0; index < count; index++) {
      const wanted = left[index] as number;
      const found = right[index] as number;
      const apart = Object.is(wanted, found) ? 0 : Math.abs(wanted - found);
      let bin = 0;
      while (bin < edges.length && !(apart <= (edges[bin] as number))) bin++;
      bins[bin] = (bins[bin] as number) + 1;
    }
  });
  return bins;
}
