// What each step of each tensor was off by, gathered while two traces are compared: the answer itself keeps one
// worst difference a tensor.

import type { ComparedRecords } from "../trace_diff.ts";
import { TOLERANCE_SCALE } from "./_level_scale.ts";
import { levelOf } from "./_page_values.ts";
import { type GridTable, StepGrid } from "./_step_grid.ts";

export type { GridSeries, GridTable } from "./_step_grid.ts";

/** What each step was off by; give {@linkcode DiffHeat.onCompared} to `diffTraces`. */
export interface DiffHeat {
  /** Takes one pair of records. */
  readonly onCompared: (records: ComparedRecords) => void;
  /** What was gathered. */
  readonly finish: () => DiffHeatTable;
}

/** A finished {@linkcode DiffHeat}. */
export interface DiffHeatTable {
  /** Error over tolerance by tensor and step. */
  readonly grid: GridTable;
  /** By module: how many pairs of records lie on each level. */
  readonly levels: ReadonlyMap<string, readonly number[]>;
}

/** Gathers what each step was off by, in bounded memory. */
export function diffHeat(): DiffHeat {
  const grid = new StepGrid();
  const levels = new Map<string, number[]>();
  return {
    onCompared(records) {
      grid.add(records, [records.ratio]);
      let counts = levels.get(records.module);
      if (counts === undefined) {
        counts = TOLERANCE_SCALE.levels.map(() => 0);
        levels.set(records.module, counts);
      }
      const level = levelOf(records.ratio, TOLERANCE_SCALE.edges);
      counts[level] = (counts[level] ?? 0) + 1;
    },
    finish: () => ({ grid: grid.finish(), levels }),
  };
}
