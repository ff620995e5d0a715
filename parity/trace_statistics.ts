// Compares the statistics of two records of one tensor. It knows what each statistic means and on which
// scale it is compared; it knows nothing of files or of how records were found to belong together.
//
// The bound of every statistic follows from one assumption: that no element is off by more than
// `atol + rtol * scale`. So tensors that are close give statistics that are close, and a sum over
// many elements whose signs cancel raises no alarm.

import { fromJsonNumber } from "../formats/json_numbers.ts";
import {
  ASSUMED_DTYPE,
  isFloat,
  plainDtype,
  type Tolerance,
  toleranceOf,
  type ToleranceOptions,
} from "./trace_tolerance.ts";

/** A line of a trace that is a record: what it is of, and statistics by name. */
export interface TraceRecord {
  /** The module's dotted path. */
  readonly module: string;
  /** The tensor's label. */
  readonly tensor: string;
  /** The step, or null. */
  readonly step?: number | null;
  /** Which call of the module, where the file says so. */
  readonly call?: number;
  /** Dimension sizes. */
  readonly shape?: unknown;
  /** The element type, in the framework's spelling. */
  readonly dtype?: unknown;
  /** Mean of the absolute values. */
  readonly abs_mean?: unknown;
  /** Sum of the elements. */
  readonly sum?: unknown;
  /** Smallest element. */
  readonly min?: unknown;
  /** Largest element. */
  readonly max?: unknown;
  /** Arithmetic mean. */
  readonly mean?: unknown;
  /** Standard deviation. */
  readonly std?: unknown;
  /** Any other statistic. */
  readonly [statistic: string]: unknown;
}

/** Which statistics two records have in common, shape and dtype first. */
export interface StatisticPlan {
  /** In the order in which they are compared. */
  readonly common: readonly string[];
  /** Whether the shape is among them. */
  readonly hasShape: boolean;
  /** Whether the dtype is among them. */
  readonly hasDtype: boolean;
  /** Those that are numbers. */
  readonly numbers: readonly string[];
  /** How each of these is compared. */
  readonly rules: readonly Rule[];
  /** Those of the reference alone. */
  readonly onlyReference: readonly string[];
  /** Those of the candidate alone. */
  readonly onlyCandidate: readonly string[];
}

/** What a comparison found in two records. */
export interface Finding {
  /** The statistic. */
  readonly stat: string;
  /** Its value in the reference, as the file has it. */
  readonly reference: unknown;
  /** Its value in the candidate. */
  readonly candidate: unknown;
  /** The absolute difference; NaN where one of them is not finite; null for a shape or dtype. */
  readonly error: number | null;
  /** What the difference may be. */
  readonly tolerance: number;
  /** Error over tolerance: above 1 the records diverge; infinite where nothing can be tolerated. */
  readonly ratio: number;
}

type Rule = "exact" | "sum" | "l2" | "abs_mean" | "scale" | "own";

/** Keys of a record that say what it is of, and not what its tensor holds. */
const IDENTITY: readonly string[] = ["module", "tensor", "step", "call", "seq", "context", "run"];

/** A sum without a shape beside it is compared as if its tensor had so many elements. */
export const ASSUMED_ELEMENTS = 65_536;

function ruleOf(name: string): Rule {
  switch (name) {
    case "sum":
    case "l2":
    case "abs_mean":
      return name;
    case "nan_count":
    case "inf_count":
      return "exact";
    case "min":
    case "max":
    case "mean":
    case "std":
      return "scale";
    default:
      return /^p\d+$/.test(name) ? "scale" : "own";
  }
}

function statisticsOf(record: TraceRecord): string[] {
  return Object.keys(record).filter((key) => !IDENTITY.includes(key) && record[key] !== null);
}

/** What can be compared between records like these two. */
export function planStatistics(reference: TraceRecord, candidate: TraceRecord): StatisticPlan {
  const [ours, theirs] = [statisticsOf(reference), statisticsOf(candidate)];
  const first = ["shape", "dtype"];
  const shared = ours.filter((name) => theirs.includes(name));
  const numbers = shared.filter((name) => !first.includes(name));
  return {
    common: [...first.filter((name) => shared.includes(name)), ...numbers],
    hasShape: shared.includes("shape"),
    hasDtype: shared.includes("dtype"),
    numbers,
    rules: numbers.map(ruleOf),
    onlyReference: ours.filter((name) => !shared.includes(name)),
    onlyCandidate: theirs.filter((name) => !shared.includes(name)),
  };
}

/** Compares records, one pair after another. */
export class StatisticComparer {
  readonly #options: ToleranceOptions;
  readonly #tolerances = new Map<unknown, Tolerance>();
  readonly #dtypes = new Map<unknown, string>();
  #lastDtype: unknown = null;
  #lastTolerance: Tolerance;
  #name = "";
  #error: number | null = 0;
  #limit = 0;
  #ratio = 0;
  #comparedCount = 0;
  #textCount = 0;
  #dtypePairs = new Map<string, number>();
  #usedShapes = true;

  /** Takes what the caller wants in place of the dtypes' own tolerances. */
  constructor(options: ToleranceOptions = {}) {
    this.#options = options;
    this.#lastTolerance = toleranceOf(ASSUMED_DTYPE, options);
    this.#tolerances.set(undefined, this.#lastTolerance);
    this.#lastDtype = undefined;
  }

  /** How many statistics were compared up to now. */
  get comparedCount(): number {
    return this.#comparedCount;
  }

  /** How many statistics were texts (`<error: …>`) on one side and could not be compared. */
  get textCount(): number {
    return this.#textCount;
  }

  /** Float dtypes that differ, as `float32 / float16`, with how many records have them. */
  get dtypePairs(): ReadonlyMap<string, number> {
    return this.#dtypePairs;
  }

  /** Whether a sum was compared without knowing how many elements it is of. */
  get assumedElements(): boolean {
    return !this.#usedShapes;
  }

  /**
   * The largest ratio of error to tolerance in two records; above 1 they diverge. -1 when they have
   * nothing in common. {@linkcode finding} tells more about it until the next call.
   */
  compare(reference: TraceRecord, candidate: TraceRecord, plan: StatisticPlan): number {
    const { numbers, rules } = plan;
    this.#ratio = -1;
    if (plan.hasShape && !this.#sameShape(reference, candidate)) return Infinity;
    const tolerance = this.#agreedTolerance(reference, candidate, plan.hasDtype);
    if (tolerance === null) return Infinity;
    const scale = scaleOf(reference);
    let compared = 0;
    for (let at = 0; at < numbers.length; at++) {
      const name = numbers[at] as string;
      const left = numberOf(valueOf(reference, name));
      const right = numberOf(valueOf(candidate, name));
      if (left === undefined || right === undefined) {
        this.#passOver(reference[name], candidate[name]);
        continue;
      }
      compared++;
      const error = Math.abs(left - right);
      if (error === 0 || Object.is(left, right)) {
        if (this.#ratio < 0) this.#note(name, 0, 0, 0);
      } else if (error < Infinity) {
        const limit = this.#limitOf(
          rules[at] as Rule,
          tolerance,
          scale,
          reference,
          candidate,
          name,
        );
        const ratio = error / limit;
        if (ratio > this.#ratio) this.#note(name, error, limit, ratio);
      } else if (this.#ratio < Infinity) this.#note(name, NaN, 0, Infinity);
    }
    this.#comparedCount += compared;
    return this.#ratio;
  }

  #sameShape({ shape: left }: TraceRecord, { shape: right }: TraceRecord): boolean {
    this.#comparedCount++;
    const isSame = sameShape(left, right);
    if (isSame) this.#note("shape", 0, 0, 0);
    else this.#note("shape", null, 0, Infinity); // nothing else means anything
    return isSame;
  }

  /** The tolerance for both dtypes, the coarser one's; null when they are not comparable. */
  #agreedTolerance(
    { dtype: left }: TraceRecord,
    { dtype: right }: TraceRecord,
    hasDtype: boolean,
  ): Tolerance | null {
    const own = left === this.#lastDtype ? this.#lastTolerance : this.#toleranceOf(left);
    if (!hasDtype) return own;
    this.#comparedCount++;
    const other = left === right ? own : this.#compareDtypes(left, right);
    if (other === null) this.#note("dtype", null, 0, Infinity);
    else if (this.#ratio < 0) this.#note("dtype", 0, 0, 0);
    return other !== null && other.rtol > own.rtol ? other : other && own;
  }

  #passOver(found: unknown, other: unknown): void {
    if (found !== undefined && other !== undefined && found !== other) this.#textCount++;
  }

  /** What the last {@linkcode compare} found. */
  finding(reference: TraceRecord, candidate: TraceRecord): Finding {
    return {
      stat: this.#name,
      reference: reference[this.#name],
      candidate: candidate[this.#name],
      error: this.#error,
      tolerance: this.#limit,
      ratio: this.#ratio,
    };
  }

  #note(name: string, error: number | null, limit: number, ratio: number): void {
    this.#ratio = ratio;
    this.#name = name;
    this.#error = error;
    this.#limit = limit;
  }

  #limitOf(
    rule: Rule,
    { rtol, atol }: Tolerance,
    scale: number,
    reference: TraceRecord,
    candidate: TraceRecord,
    name: string,
  ): number {
    if (rule === "scale" && scale > 0) return atol + rtol * scale;
    if (rule === "exact") return 0;
    if (rule === "sum") return this.#sumLimit(rtol, atol, reference, candidate);
    const left = Math.abs(numberOf(reference[name]) ?? 0);
    if (rule === "abs_mean") return atol + rtol * left;
    if (rule === "l2") return Math.sqrt(elementsOf(reference) ?? 1) * atol + rtol * left;
    return atol + rtol * Math.max(left, Math.abs(numberOf(candidate[name]) ?? 0));
  }

  /** A sum is off by as much as all of its elements may be. */
  #sumLimit(
    rtol: number,
    atol: number,
    reference: TraceRecord,
    candidate: TraceRecord,
  ): number {
    const known = elementsOf(reference) ?? elementsOf(candidate);
    if (known === undefined) this.#usedShapes = false;
    const elements = known ?? ASSUMED_ELEMENTS;
    const { abs_mean: absMean, l2 } = reference;
    if (typeof absMean === "number") return elements * (atol + rtol * absMean);
    if (typeof l2 === "number") return elements * atol + rtol * l2 * Math.sqrt(elements);
    const own = Math.max(
      Math.abs(numberOf(reference.sum) ?? 0),
      Math.abs(numberOf(candidate.sum) ?? 0),
    );
    return elements * atol + rtol * Math.max(own, scaleOf(reference) * elements);
  }

  #toleranceOf(dtype: unknown): Tolerance {
    let tolerance = this.#tolerances.get(dtype);
    if (tolerance === undefined) {
      tolerance = toleranceOf(this.#dtypeOf(dtype), this.#options);
      if (this.#tolerances.size < 256) this.#tolerances.set(dtype, tolerance);
    }
    this.#lastDtype = dtype;
    this.#lastTolerance = tolerance;
    return tolerance;
  }

  /** The tolerance of the candidate's dtype where both mean one dtype, or two floats; else null. */
  #compareDtypes(found: unknown, other: unknown): Tolerance | null {
    const [left, right] = [this.#dtypeOf(found), this.#dtypeOf(other)];
    if (left !== right) {
      if (!isFloat(left) || !isFloat(right)) return null;
      const pair = `${left} / ${right}`;
      this.#dtypePairs.set(pair, (this.#dtypePairs.get(pair) ?? 0) + 1);
    }
    return toleranceOf(right, this.#options);
  }

  #dtypeOf(value: unknown): string {
    if (typeof value !== "string") return ASSUMED_DTYPE;
    let name = this.#dtypes.get(value);
    if (name === undefined) {
      name = plainDtype(value);
      if (this.#dtypes.size < 256) this.#dtypes.set(value, name);
    }
    return name;
  }
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : fromJsonNumber(value);
}

/** A field by its name. Loads that name the field cost a tenth of those that do not. */
function valueOf(record: TraceRecord, name: string): unknown {
  switch (name) {
    case "abs_mean":
      return record.abs_mean;
    case "sum":
      return record.sum;
    case "min":
      return record.min;
    case "max":
      return record.max;
    case "mean":
      return record.mean;
    case "std":
      return record.std;
    default:
      return record[name];
  }
}

/** The largest finite magnitude that the record tells of; 0 when it tells of none. */
function scaleOf({ min, max, abs_mean: absMean }: TraceRecord): number {
  let scale = 0;
  if (typeof min === "number") scale = Math.abs(min);
  if (typeof max === "number" && Math.abs(max) > scale) scale = Math.abs(max);
  if (typeof absMean === "number" && absMean > scale) scale = absMean;
  return scale;
}

function elementsOf({ shape }: TraceRecord): number | undefined {
  if (!Array.isArray(shape)) return undefined;
  let product = 1;
  for (let at = 0; at < shape.length; at++) product *= shape[at] as number;
  return product >= 0 ? product : undefined;
}

function sameShape(left: unknown, right: unknown): boolean {
  if (!Array.isArray(left) || !Array.isArray(right)) return left === right;
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}
