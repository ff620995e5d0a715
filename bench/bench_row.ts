// One line of the benchmark report and how it is made from a race. The fields are those of
// `deno task bench --json`: fields may be added, never renamed.

import type { Race } from "./harness.ts";
import { interquartileRange, median, type MedianInterval, medianInterval } from "./statistics.ts";

/** What a row must stay below. */
export interface BenchTarget {
  /** The field that is compared. */
  readonly field: "ratio" | "upper" | "value" | "overhead" | "overheadUpper";
  /** The largest good value. */
  readonly limit: number;
}

/** One comparison. */
export interface BenchRow {
  /** What is measured, `bench.case`. */
  readonly name: string;
  /** Ours over the peer's: the median over all rounds of the two samples of one round. */
  readonly ratio: number;
  /** What the peer is. */
  readonly versus: string;
  /** The unit of `value`, `peer`, `spread` and `overhead`. */
  readonly unit: string;
  /** Our median. */
  readonly value: number;
  /** The peer's median. */
  readonly peer: number;
  /** Rounds that counted. */
  readonly runs: number;
  /** The interquartile range of our samples. */
  readonly spread: number;
  /** The ratio's upper bound at 95 %, by bootstrap over the rounds. */
  readonly upper: number;
  /** The median over all rounds of ours less the peer's. */
  readonly overhead: number;
  /** The upper bound of `overhead` at 95 %. */
  readonly overheadUpper: number;
  /** What the row must stay below, or null. */
  readonly target: BenchTarget | null;
  /** Whether it does; null without a target. */
  readonly met: boolean | null;
}

/** What to compare. */
export interface Comparison {
  /** The row's name. */
  readonly name: string;
  /** What the peer is, in words. */
  readonly versus: string;
  /** The unit to report in; samples are milliseconds. */
  readonly unit: "ms" | "µs";
  /** Our samples, one a round. */
  readonly ours: readonly number[];
  /** The peer's samples of the same rounds. */
  readonly peer: readonly number[];
  /** How many consecutive rounds belong to one opening; all when left out. */
  readonly groupLength?: number;
  /** What the row must stay below. */
  readonly target?: BenchTarget;
}

/** The row of a comparison. */
export function compareSamples(comparison: Comparison): BenchRow {
  const factor = comparison.unit === "ms" ? 1 : 1000;
  return makeRow({
    ...comparison,
    ours: comparison.ours.map((sample) => sample * factor),
    peer: comparison.peer.map((sample) => sample * factor),
  });
}

/** The row of two contestants of one race. */
export function compareContestants(
  race: Race,
  names: { readonly ours: string; readonly peer: string },
  comparison: Omit<Comparison, "ours" | "peer" | "groupLength">,
): BenchRow {
  return compareSamples({
    ...comparison,
    ours: race.samples(names.ours),
    peer: race.samples(names.peer),
    groupLength: race.groupLength,
  });
}

/** The row of samples that are in their unit already: bytes, counts. */
export function makeRow(
  comparison: Omit<Comparison, "unit"> & { readonly unit: string },
): BenchRow {
  const { name, versus, unit, ours, peer, groupLength, target = null } = comparison;
  if (ours.length !== peer.length) throw new RangeError(`${name}: samples do not pair up`);
  const pairs = (combine: (own: number, other: number) => number): MedianInterval =>
    medianInterval(ours.map((own, round) => combine(own, peer[round] ?? NaN)), groupLength);
  const ratio = pairs((own, other) => own / other);
  const overhead = pairs((own, other) => own - other);
  const row = {
    name,
    ratio: ratio.median,
    versus,
    unit,
    value: median(ours),
    peer: median(peer),
    runs: ours.length,
    spread: interquartileRange(ours),
    upper: ratio.upper,
    overhead: overhead.median,
    overheadUpper: overhead.upper,
    target,
  };
  return { ...row, met: target === null ? null : row[target.field] <= target.limit };
}

const COLUMNS = ["name", "ratio", "≤95%", "value", "peer", "spread", "unit", "runs", "target"];

/** The rows as a table for people. */
export function formatTable(rows: readonly BenchRow[]): string {
  const lines = [
    COLUMNS,
    ...rows.map((row) => [
      row.name,
      ...[row.ratio, row.upper, row.value, row.peer, row.spread].map((value) => digits(value)),
      row.unit,
      String(row.runs),
      row.target === null
        ? ""
        : `${row.target.field} ${digits(row[row.target.field])} ≤ ${row.target.limit}: ` +
          (row.met ? "met" : "MISSED"),
    ]),
  ];
  const widths = COLUMNS.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0))
  );
  const table = lines.map((line) =>
    line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()
  );
  const peers = rows.map((row) => `${row.name}: over ${row.versus}`);
  return [...table, "", ...peers].join("\n");
}

function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 3 : 4);
}
