// Segments that follow one another with nothing in between that anybody sees: what of their values leaves
// the row, and the engine's chain that runs it without coming back for the rest. A module that stands alone
// only because its weights are streamed can be part of a row. It runs nothing itself.

import type { Engine, EngineSession, SessionChain } from "../sessions/engine.ts";
import type { ModuleStep, PlanStep, SegmentStep } from "./plan.ts";

/** A row of segments. */
export interface SegmentRow {
  /** The segments, two or more. */
  readonly segments: readonly SegmentStep[];
  /** For each segment the module that it is all of, when that is a step of its own; else null. */
  readonly modules: readonly (string | null)[];
  /** What they read of what was there before. */
  readonly inputs: readonly string[];
  /** What later steps, or the caller of the region, read of what they make. */
  readonly outputs: readonly string[];
}

/** A row with what runs it. */
export interface ChainedRow {
  readonly row: SegmentRow;
  readonly chain: SessionChain;
}

/** What rows are made of. */
export interface RowRequest {
  readonly steps: readonly PlanStep[];
  /** What the caller of the region reads. */
  readonly wanted: readonly string[];
  /** Whether a module's weights come by themselves, so that its segment can be part of a row. */
  readonly comesByItself: (step: ModuleStep) => boolean;
}

/** The rows of a region and of those inside its modules, as long as they come, by their first step. */
export function segmentRows(
  { steps, wanted, comesByItself }: RowRequest,
): ReadonlyMap<PlanStep, SegmentRow> {
  const segmentOf = (step: PlanStep): SegmentStep | null => {
    if (step.kind === "segment") return step.isWhole ? null : step;
    if (step.kind !== "module" || !comesByItself(step)) return null;
    const [only, ...others] = step.steps;
    return only?.kind === "segment" && others.length === 0 ? only : null;
  };
  const rows = new Map<PlanStep, SegmentRow>();
  for (let start = 0; start < steps.length; start++) {
    const step = steps[start] as PlanStep;
    if (step.kind === "module") {
      const inside = { steps: step.steps, wanted: step.outputs, comesByItself };
      for (const [first, row] of segmentRows(inside)) rows.set(first, row);
    }
    const segments: SegmentStep[] = [];
    const modules: (string | null)[] = [];
    for (const next of steps.slice(start)) {
      const segment = segmentOf(next);
      if (segment === null) break;
      segments.push(segment);
      modules.push(next.kind === "module" ? next.module : null);
    }
    if (segments.length < 2) continue;
    const later = new Set([...wanted, ...steps.slice(start + segments.length).flatMap(readsOf)]);
    rows.set(step, { segments, modules, ...borderOf(segments, later) });
    start += segments.length - 1;
  }
  return rows;
}

/** The chains of rows whose sessions the engine can join, by their first step. */
export function chainRows(
  engine: Engine,
  rows: ReadonlyMap<PlanStep, SegmentRow>,
  sessionOf: (segment: SegmentStep) => EngineSession | null,
): ReadonlyMap<PlanStep, ChainedRow> {
  const chained = new Map<PlanStep, ChainedRow>();
  for (const [step, row] of rows) {
    const links = row.segments.flatMap((segment) => {
      const session = sessionOf(segment);
      return session === null ? [] : [{ session, fetches: segment.outputs }];
    });
    if (links.length < row.segments.length) continue;
    const chain = engine.chain?.(links, row.outputs) ?? null;
    if (chain !== null) chained.set(step, { row, chain });
  }
  return chained;
}

/** What a step reads. */
export function readsOf(step: PlanStep): readonly string[] {
  return step.kind === "segment" || step.kind === "module" ? step.inputs : step.values;
}

function borderOf(
  segments: readonly SegmentStep[],
  later: ReadonlySet<string>,
): Pick<SegmentRow, "inputs" | "outputs"> {
  const inputs = new Set<string>();
  const made = new Set<string>();
  for (const segment of segments) {
    for (const name of segment.inputs) if (!made.has(name)) inputs.add(name);
    for (const name of segment.outputs) made.add(name);
  }
  return { inputs: [...inputs], outputs: [...made].filter((name) => later.has(name)) };
}
