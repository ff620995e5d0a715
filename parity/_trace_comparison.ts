// What pairs of records differ in, gathered pair by pair in bounded memory: counts, the first difference in
// the reference's order, the worst ones, and the worst one of each tensor. It pairs nothing itself.

import type { TraceDifference, WaitingRecord } from "./_trace_entries.ts";
import type { TraceSource } from "./trace_source.ts";
import { planStatistics, StatisticComparer } from "./trace_statistics.ts";
import type { ToleranceOptions } from "./trace_tolerance.ts";

/** Two records that were compared. */
export interface ComparedRecords {
  /** The module's path, as the reference has it. */
  readonly module: string;
  /** The tensor's label. */
  readonly tensor: string;
  /** The step, or null. */
  readonly step: number | null;
  /** Which call. */
  readonly call: number;
  /** The largest error over its tolerance; above 1 the records diverge. */
  readonly ratio: number;
}

/** How many differences are kept as the worst ones. */
export const WORST_KEPT = 10;

/** Everything that is found pair by pair. */
export class TraceComparison {
  /** Compares the statistics. */
  readonly comparer: StatisticComparer;
  /** Pairs. */
  aligned = 0;
  /** Pairs that have a statistic in common. */
  compared = 0;
  /** Pairs that differ by more than the tolerance. */
  diverged = 0;
  /** Pairs of another shape. */
  reshaped = 0;
  /** The diverging pair that comes first in the reference. */
  first: TraceDifference | null = null;
  /** The reference's first line that has a partner. */
  firstLine: number = Infinity;
  /** The worst differences, worst first. */
  readonly worst: TraceDifference[] = [];
  /** Statistics that one side has alone, by name, with the number of tensors. */
  readonly onlyReference: Map<string, number> = new Map();
  /** The same for the candidate. */
  readonly onlyCandidate: Map<string, number> = new Map();
  /** Names of statistics that were compared. */
  readonly statistics: Set<string> = new Set();
  readonly #left: TraceSource;
  readonly #right: TraceSource;
  readonly #onCompared: ((records: ComparedRecords) => void) | undefined;
  #worstLimit = 1;

  constructor(
    options: ToleranceOptions & {
      readonly onCompared?: ((records: ComparedRecords) => void) | undefined;
    },
    left: TraceSource,
    right: TraceSource,
  ) {
    this.#onCompared = options.onCompared;
    this.comparer = new StatisticComparer(options);
    this.#left = left;
    this.#right = right;
  }

  /** Compares one pair. */
  compare(reference: WaitingRecord, candidate: WaitingRecord): void {
    const { entry, record, line } = reference;
    // Another header may mean other statistics.
    const version = this.#left.headerCount + this.#right.headerCount;
    let plan = entry.plan;
    if (plan === null || entry.planVersion !== version) {
      plan = planStatistics(record, candidate.record);
      entry.plan = plan;
      entry.planVersion = version;
      for (const name of plan.common) this.statistics.add(name);
      for (const name of plan.onlyReference) count(this.onlyReference, name);
      for (const name of plan.onlyCandidate) count(this.onlyCandidate, name);
    }
    this.aligned++;
    entry.aligned++;
    if (line < this.firstLine) this.firstLine = line;
    const ratio = this.comparer.compare(record, candidate.record, plan);
    if (ratio < 0) return;
    this.compared++;
    if (this.#onCompared !== undefined) {
      const { step, call } = reference;
      this.#onCompared({ module: entry.module.path, tensor: entry.tensor, step, call, ratio });
    }
    if (ratio > 1) {
      entry.diverged++;
      this.diverged++;
    } else if (ratio <= entry.worstRatio) return;
    this.#keep(reference, candidate, ratio);
  }

  #keep(reference: WaitingRecord, candidate: WaitingRecord, ratio: number): void {
    const { entry, line, step, call } = reference;
    const isFirst = ratio > 1 && line < (this.first?.referenceLine ?? Infinity);
    const isWorst = ratio > this.#worstLimit;
    const isEntryWorst = ratio > entry.worstRatio;
    const found = this.comparer.finding(reference.record, candidate.record);
    if (found.stat === "shape") this.reshaped++;
    if (!isFirst && !isWorst && !isEntryWorst) return;
    const difference: TraceDifference = Object.freeze({
      module: entry.module.path,
      tensor: entry.tensor,
      step,
      call,
      ...found,
      referenceLine: line,
      candidateLine: candidate.line,
    });
    if (isFirst) this.first = difference;
    if (isEntryWorst) {
      entry.worst = difference;
      entry.worstRatio = ratio;
    }
    if (isWorst) this.#keepWorst(difference);
  }

  #keepWorst(difference: TraceDifference): void {
    this.worst.push(difference);
    this.worst.sort((one, other) => {
      if (one.ratio === other.ratio) return one.referenceLine - other.referenceLine;
      return other.ratio - one.ratio;
    });
    if (this.worst.length > WORST_KEPT) this.worst.length = WORST_KEPT;
    if (this.worst.length === WORST_KEPT) this.#worstLimit = this.worst.at(-1)?.ratio ?? 1;
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
