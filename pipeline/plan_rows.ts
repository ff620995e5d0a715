// The rows of a plan whose sessions are open. A module that hooks look at in a run is no part of a row, so
// there are rows for each set of such modules that has come.
//
// Invariant: a row that was given out keeps its chain until `release`, when no run is in flight.

import type { Engine, EngineSession } from "../sessions/engine.ts";
import type { ModuleStep, Plan, PlanStep } from "./plan.ts";
import { type ChainedRow, chainRows, segmentRows } from "./segment_rows.ts";

/** Sets of modules whose rows are kept; with others, everything runs step by step. */
const KEPT_SETS = 8;

/** Rows by their first step. */
type Rows = ReadonlyMap<PlanStep, ChainedRow>;

/** What rows are made of. */
export interface PlanRowsOptions {
  readonly plan: Plan;
  readonly engine: Engine;
  /** One for each segment; null for one that is opened for each call of its module. */
  readonly sessions: readonly (EngineSession | null)[];
  /** Whether a module's weights come by themselves; see `RowRequest`. */
  readonly comesByItself: (step: ModuleStep) => boolean;
}

/** The rows of one plan over certain sessions. */
export class PlanRows {
  readonly #options: PlanRowsOptions;
  readonly #known = new Map<string, Rows>();

  constructor(options: PlanRowsOptions) {
    this.#options = options;
  }

  /** Whether these are the sessions that the rows run. */
  isOf(sessions: readonly (EngineSession | null)[]): boolean {
    return this.#options.sessions.every((session, index) => session === sessions[index]);
  }

  /** The rows of a run in which hooks look at these modules. */
  beside(seen: readonly string[]): Rows {
    const key = JSON.stringify(seen);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= KEPT_SETS) return new Map();
    const { plan: { steps, outputs }, engine, sessions, comesByItself } = this.#options;
    const rows = segmentRows({
      steps,
      wanted: outputs,
      comesByItself: (step) => !seen.includes(step.module) && comesByItself(step),
    });
    const made = chainRows(engine, rows, ({ index }) => sessions[index] ?? null);
    this.#known.set(key, made);
    return made;
  }

  /** No run may come for a while: frees what is large. */
  rest(): void {
    for (const rows of this.#known.values()) for (const { chain } of rows.values()) chain.rest();
  }

  /** Nothing native is left of them; they may run again while the sessions are open. */
  release(): void {
    for (const rows of this.#known.values()) for (const { chain } of rows.values()) chain.release();
  }
}
