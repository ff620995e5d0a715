// What a trace holds, gathered record by record for its report: ranges of every statistic, the first number
// that is not finite, and the grid of the heat map. It reads no file and words nothing.

import { HooklineError } from "../../errors/hookline_error.ts";
import { fromJsonNumber } from "../../formats/json_numbers.ts";
import type { TraceRecord } from "../trace_statistics.ts";
import { StepGrid } from "./_step_grid.ts";

/** What is known of a statistic of one tensor. */
export interface StatisticRange {
  least: number;
  most: number;
  last: number | null;
  /** How many of its values are NaN or infinite. */
  notFinite: number;
}

/** What is known of one tensor besides its heat map. */
export interface TensorSummary {
  readonly module: string;
  readonly tensor: string;
  records: number;
  /** How many of its records hold a number that is not finite, or count elements that are not. */
  notFinite: number;
  dtype: unknown;
  shape: unknown;
  /** By statistic, in the order of {@linkcode TraceReading.statistics}. */
  readonly ranges: StatisticRange[];
}

/** A number that is not finite, or a count of elements that are not. */
export interface NotFinite {
  readonly module: string;
  readonly tensor: string;
  readonly step: number | null;
  readonly call: number;
  readonly stat: string;
  readonly value: number;
  readonly line: number;
}

const STATISTICS_LIMIT = 16;
const TENSOR_LIMIT = 200_000;
/** Keys of a record that are no statistics with one number. */
const OTHER_KEYS: ReadonlySet<string> = new Set([
  "module",
  "tensor",
  "step",
  "call",
  "seq",
  "context",
  "run",
  "shape",
  "dtype",
  "type",
]);

/** Gathers the records of one trace. */
export class TraceReading {
  /** Names of the statistics, in the order in which they came. */
  readonly statistics: string[] = [];
  /** By module and tensor, in the order in which they came. */
  readonly tensors: Map<string, TensorSummary> = new Map();
  /** For the heat map: a measure for each statistic. */
  readonly grid: StepGrid = new StepGrid();
  /** The first number that is not finite. */
  first: NotFinite | null = null;
  /** How many records have one. */
  notFinite = 0;

  /**
   * Takes the next record.
   *
   * @throws {HooklineError} FILE_FORMAT when the file names more tensors than any model has.
   */
  add(record: TraceRecord, line: number): void {
    const summary = this.#summaryOf(record);
    const step = record.step ?? null;
    const call = record.call ?? summary.records;
    summary.records++;
    summary.dtype ??= record.dtype;
    summary.shape ??= record.shape;
    const values: (number | null)[] = this.statistics.map(() => null);
    let bad: { readonly stat: string; readonly value: number } | null = null;
    for (const stat of Object.keys(record)) {
      if (OTHER_KEYS.has(stat)) continue;
      const value = fromJsonNumber(record[stat]);
      const place = value === undefined ? -1 : this.#placeOf(stat);
      if (value === undefined || place < 0) continue;
      values[place] = value;
      note(summary, place, value);
      if (isBad(stat, value)) bad ??= { stat, value };
    }
    const { module, tensor } = record;
    if (bad !== null) {
      summary.notFinite++;
      this.notFinite++;
      this.first ??= { module, tensor, step, call, ...bad, line };
    }
    this.grid.add({ module, tensor, step, call }, Array.from(values, (value) => value ?? null));
  }

  /** How many modules there are. */
  get moduleCount(): number {
    return new Set([...this.tensors.values()].map(({ module }) => module)).size;
  }

  #summaryOf({ module, tensor }: TraceRecord): TensorSummary {
    const key = JSON.stringify([module, tensor]);
    let summary = this.tensors.get(key);
    if (summary !== undefined) return summary;
    if (this.tensors.size === TENSOR_LIMIT) {
      throw new HooklineError("FILE_FORMAT", {
        message:
          `cannot report on the trace: it names more than ${TENSOR_LIMIT} tensors of modules`,
        fix: "check that `module` holds a module's path and nothing that changes from call to call",
        details: { limit: TENSOR_LIMIT },
      });
    }
    summary = {
      module,
      tensor,
      records: 0,
      notFinite: 0,
      dtype: undefined,
      shape: undefined,
      ranges: [],
    };
    this.tensors.set(key, summary);
    return summary;
  }

  /** The statistic's place; -1 beyond the limit. */
  #placeOf(stat: string): number {
    const known = this.statistics.indexOf(stat);
    if (known >= 0 || this.statistics.length === STATISTICS_LIMIT) return known;
    return this.statistics.push(stat) - 1;
  }
}

function note({ ranges }: TensorSummary, place: number, value: number): void {
  while (ranges.length <= place) {
    ranges.push({ least: Infinity, most: -Infinity, last: null, notFinite: 0 });
  }
  const range = ranges[place] as StatisticRange;
  range.last = value;
  if (!Number.isFinite(value)) range.notFinite++;
  else {
    range.least = Math.min(range.least, value);
    range.most = Math.max(range.most, value);
  }
}

function isBad(stat: string, value: number): boolean {
  return !Number.isFinite(value) || (stat === "nan_count" || stat === "inf_count") && value > 0;
}
