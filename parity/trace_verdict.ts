// Turns what a comparison of two traces found into its answer: the status, what stands on one side only,
// and what a reader must know to believe it. It reads no file.

import type { ModuleEntry, TensorEntry, TraceDifference, TraceSide } from "./_trace_entries.ts";
import { compareHeaders, type HeaderDifference } from "./trace_headers.ts";
import type { LineDamage } from "./trace_lines.ts";
import type { NameRule } from "./trace_names.ts";
import { traceNotes } from "./_trace_notes.ts";
import {
  damageProblem,
  incomparableProblem,
  requireRecords,
  requireUsedRules,
  type TraceFindings,
  type TraceProblem,
} from "./_trace_problem.ts";
import type { TraceSource } from "./trace_source.ts";

export type { TraceDifference } from "./_trace_entries.ts";
export type { TraceProblem } from "./_trace_problem.ts";

/** What `diffTraces` answers; what `hookline diff --json` prints. */
export interface TraceDiff {
  /** `"incomparable"` when the files have too little in common for either other word. */
  readonly status: "same" | "diverged" | "incomparable";
  /** The diverging pair that ran first in the reference; null when there is none. */
  readonly first: TraceDifference | null;
  /** Pairs of records that belong together. */
  readonly aligned: number;
  /** Pairs that have a statistic in common. */
  readonly compared: number;
  /** Pairs that differ by more than the tolerance. */
  readonly diverged: number;
  /** What the reference has alone. */
  readonly onlyReference: readonly OneSidedRecords[];
  /** What the candidate has alone. */
  readonly onlyCandidate: readonly OneSidedRecords[];
  /** The worst differences, worst first, ten at most. */
  readonly worst: readonly TraceDifference[];
  /** Every module, in the order in which the files have them. */
  readonly modules: readonly ModuleDifference[];
  /** What was read. */
  readonly reference: TraceFileFacts;
  /** What was read. */
  readonly candidate: TraceFileFacts;
  /** Which statistics were compared, and which one side has alone. */
  readonly statistics: {
    readonly compared: readonly string[];
    readonly onlyReference: readonly string[];
    readonly onlyCandidate: readonly string[];
    /** How many values were compared. */
    readonly values: number;
  };
  /** Names that were taken for one another. */
  readonly renames: readonly Rename[];
  /** Fields of the headers that differ; empty when one file has no header. */
  readonly headers: readonly HeaderDifference[];
  /** What else a reader should know. */
  readonly notes: readonly string[];
  /** How many records of its own file a record waited for. */
  readonly window: number;
  /** Why the answer is no plain yes or no: too little in common, or damaged lines; else null. */
  readonly problem: TraceProblem | null;
}

/** Records of one tensor that one file has alone. */
export interface OneSidedRecords {
  /** The module's path, as that file has it. */
  readonly module: string;
  /** The tensor's label. */
  readonly tensor: string;
  /** How many. */
  readonly records: number;
  /** The first one's step. */
  readonly step: number | null;
  /** The first one's call. */
  readonly call: number;
  /** The first one's line. */
  readonly line: number;
}

/** One module's row. */
export interface ModuleDifference {
  /** Its path, as the reference has it. */
  readonly module: string;
  /** Its path in the candidate, where that is another one. */
  readonly candidateModule?: string;
  /** Pairs of records. */
  readonly aligned: number;
  /** Pairs that differ by more than the tolerance. */
  readonly diverged: number;
  /** The largest error over its tolerance; 0 when all is equal, null when nothing was aligned. */
  readonly ratio: number | null;
  /** Where that is. */
  readonly worst: TraceDifference | null;
  /** Records that the reference has alone. */
  readonly onlyReference: number;
  /** Records that the candidate has alone. */
  readonly onlyCandidate: number;
}

/** What a file held. */
export interface TraceFileFacts {
  /** The path as it was given. */
  readonly path: string;
  /** Its lines. */
  readonly lines: number;
  /** Its records. */
  readonly records: number;
  /** Its modules. */
  readonly modules: number;
  /** How many of them have a partner. */
  readonly alignedModules: number;
  /** How many lines were damaged and left out. */
  readonly damagedLines: number;
  /** The first twenty of them. */
  readonly damage: readonly LineDamage[];
}

/** Names that were taken for one another. */
export interface Rename {
  /** A prefix, or a tensor's label, as the reference has it. */
  readonly reference: string;
  /** As the candidate has it. */
  readonly candidate: string;
  /** Who said so: the caller, the guess at prefixes, or the rule that `out` and `out[0]` may be one. */
  readonly by: NameRule["by"] | "label";
  /** How many modules it is about. */
  readonly modules: number;
}

/**
 * The answer.
 *
 * @throws {HooklineError} FILE_FORMAT when a file held no record, OPTION_INVALID when a rename of the
 * caller was about no module.
 */
export function traceVerdict(init: TraceFindings): TraceDiff {
  const { left, right, aligner, comparison, window } = init;
  for (const source of [left, right]) requireRecords(source);
  requireUsedRules(init);
  const modules = [...aligner.modules.values()];
  const tensors = modules.flatMap((module) => [...module.tensors.values()]);
  const facts = {
    reference: factsOf(left, modules.filter(({ inReference }) => inReference)),
    candidate: factsOf(right, modules.filter(({ candidatePath }) => candidatePath !== null)),
  };
  const problem = incomparableProblem(init, tensors);
  const status = problem !== null ? "incomparable" : comparison.diverged > 0 ? "diverged" : "same";
  const headers = headerDifferences(left, right);
  return Object.freeze({
    status,
    first: comparison.first,
    aligned: comparison.aligned,
    compared: comparison.compared,
    diverged: comparison.diverged,
    onlyReference: oneSided(tensors, "reference"),
    onlyCandidate: oneSided(tensors, "candidate"),
    worst: [...comparison.worst],
    modules: modules.map(rowOf),
    ...facts,
    statistics: {
      compared: [...comparison.statistics],
      onlyReference: [...comparison.onlyReference.keys()],
      onlyCandidate: [...comparison.onlyCandidate.keys()],
      values: comparison.comparer.comparedCount,
    },
    renames: renamesOf(init, modules),
    headers,
    notes: traceNotes(init, tensors, headers),
    window,
    problem: problem ?? (status === "same" ? damageProblem([left, right]) : null),
  });
}

function factsOf(source: TraceSource, modules: readonly ModuleEntry[]): TraceFileFacts {
  return {
    path: source.path,
    lines: source.lineCount,
    records: source.recordCount,
    modules: modules.length,
    alignedModules: modules.filter(isAligned).length,
    damagedLines: source.damageCount,
    damage: [...source.damage],
  };
}

function isAligned({ tensors }: ModuleEntry): boolean {
  return [...tensors.values()].some(({ aligned }) => aligned > 0);
}

function oneSided(tensors: readonly TensorEntry[], side: TraceSide): OneSidedRecords[] {
  return tensors.flatMap((entry) => {
    const { lost } = entry[side];
    if (lost === null) return [];
    const { path, candidatePath } = entry.module;
    const { count: records, step, call, line } = lost;
    const module = side === "reference" ? path : candidatePath ?? path;
    return [{ module, tensor: entry.tensor, records, step, call, line }];
  }).sort((one, other) => one.line - other.line);
}

function rowOf(module: ModuleEntry): ModuleDifference {
  const row = { aligned: 0, diverged: 0, onlyReference: 0, onlyCandidate: 0 };
  let worst: TraceDifference | null = null;
  for (const entry of module.tensors.values()) {
    row.aligned += entry.aligned;
    row.diverged += entry.diverged;
    row.onlyReference += entry.reference.lost?.count ?? 0;
    row.onlyCandidate += entry.candidate.lost?.count ?? 0;
    if (entry.worstRatio > (worst?.ratio ?? 0)) worst = entry.worst;
  }
  const { path, candidatePath } = module;
  const isRenamed = candidatePath !== null && candidatePath !== path;
  return {
    module: path,
    ...(isRenamed ? { candidateModule: candidatePath } : {}),
    ...row,
    ratio: row.aligned === 0 ? null : worst?.ratio ?? 0,
    worst,
  };
}

function renamesOf({ names }: TraceFindings, modules: readonly ModuleEntry[]): Rename[] {
  const labels = new Map<string, Rename>();
  for (const module of modules) {
    for (const [reference, candidate] of module.labels) {
      const key = `${reference}=${candidate}`;
      const count = (labels.get(key)?.modules ?? 0) + 1;
      labels.set(key, { reference, candidate, by: "label", modules: count });
    }
  }
  const rules = names.rules.map((rule, at) => ({ ...rule, modules: names.uses[at] ?? 0 }));
  return [...rules.filter(({ modules: count }) => count > 0), ...labels.values()];
}

function headerDifferences(left: TraceSource, right: TraceSource): HeaderDifference[] {
  const [one, other] = [left.headers[0], right.headers[0]];
  return one === undefined || other === undefined ? [] : compareHeaders(one, other);
}
