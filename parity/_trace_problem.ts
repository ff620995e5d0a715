// When two traces give no plain yes or no: no records, too little in common, damaged lines. It words what
// was found on both sides, so that a reader sees which of the two files to look at.

import type { ErrorCode } from "../errors/codes.ts";
import { type ErrorDetail, HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { TraceAligner } from "./trace_alignment.ts";
import type { TensorEntry } from "./_trace_entries.ts";
import type { TraceComparison } from "./_trace_comparison.ts";
import type { NameTable } from "./trace_names.ts";
import type { TraceSource } from "./trace_source.ts";

/** All that reading two traces to the end has found. */
export interface TraceFindings {
  /** The reference, read to its end. */
  readonly left: TraceSource;
  /** The candidate, read to its end. */
  readonly right: TraceSource;
  /** What belongs together. */
  readonly aligner: TraceAligner;
  /** How names were matched. */
  readonly names: NameTable;
  /** What differs. */
  readonly comparison: TraceComparison;
  /** How many records of its own file a record waited for. */
  readonly window: number;
}

/** Why an answer is no plain yes or no. */
export interface TraceProblem {
  /** The code of the case. */
  readonly code: ErrorCode;
  /** What was found. */
  readonly message: string;
  /** What to do now. */
  readonly fix: string;
  /** Structured facts. */
  readonly details: Readonly<Record<string, ErrorDetail>>;
}

/** Below this share of the smaller file's records, "same" would say nothing. */
export const LEAST_COVERAGE = 0.5;
const NAMES_SHOWN = 5;
const NAMES_SEARCHED = 2_000;

/**
 * Refuses a file without records.
 *
 * @throws {HooklineError} FILE_FORMAT when it holds none.
 */
export function requireRecords(source: TraceSource): void {
  if (source.recordCount > 0) return;
  const [first] = source.damage;
  const found = first !== undefined
    ? `line ${first.line}: ${first.reason}`
    : source.lineCount === 0
    ? "it is empty"
    : "it holds headers and notes alone";
  throw new HooklineError("FILE_FORMAT", {
    message: `cannot compare "${source.path}": it holds no record of a trace (${found})`,
    fix: first === undefined
      ? "trace again; a step filter keeps nothing of a run that sets no steps"
      : "give the JSONL file that `hookline trace` or FastVideo wrote",
    details: { file: source.path, line: first?.line ?? null, notes: [...source.notes] },
  });
}

/**
 * Refuses a rename of the caller's that was about nothing.
 *
 * @throws {HooklineError} OPTION_INVALID when the candidate has no module of the prefix.
 */
export function requireUsedRules({ names, aligner }: TraceFindings): void {
  const unused = names.rules.find((rule, at) => rule.by === "map" && names.uses[at] === 0);
  if (unused === undefined) return;
  const paths = [...aligner.modules.values()].flatMap(({ candidatePath }) => candidatePath ?? []);
  const nearest = nearestNames(unused.candidate, paths.slice(0, NAMES_SEARCHED));
  const shown = nearest.length === 0 ? paths.slice(0, NAMES_SHOWN) : nearest;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot map "${unused.reference}" to "${unused.candidate}": the candidate has no ` +
      `module below "${unused.candidate}", but ${quoted(shown)}`,
    fix: "the reference's prefix comes first: --map REFERENCE_PREFIX=CANDIDATE_PREFIX",
    details: { option: "map", nearest: shown },
  });
}

/** Why the files cannot be compared; null when they can. */
export function incomparableProblem(
  init: TraceFindings,
  tensors: readonly TensorEntry[],
): TraceProblem | null {
  const { left, right, comparison } = init;
  const { aligned, reshaped } = comparison;
  const smaller = Math.min(left.recordCount, right.recordCount);
  if (aligned >= LEAST_COVERAGE * smaller && aligned > 0) {
    if (reshaped <= aligned / 2) return null;
    return {
      code: "TRACE_INCOMPARABLE",
      message: `cannot compare the traces: ${reshaped} of ${aligned} pairs have another shape`,
      fix: "trace both models on the same inputs, of the same sizes",
      details: { aligned, reshaped },
    };
  }
  const share = aligned === 0
    ? "no record of one has a partner in the other"
    : `only ${aligned} of ${smaller} records have a partner`;
  return {
    code: "TRACE_INCOMPARABLE",
    message: `cannot compare the traces: ${share}; ${whyApart(init, tensors)}`,
    fix: init.names.ambiguous === null
      ? "trace the same model on the same inputs and steps, or name prefixes with --map"
      : `say which prefix is meant with --map: ${init.names.ambiguous}`,
    details: { aligned, ...nearestPaths(init.aligner) },
  };
}

/** The nearest thing to a reason that the names hold. */
function whyApart({ aligner }: TraceFindings, tensors: readonly TensorEntry[]): string {
  const both = tensors.find(({ reference, candidate }) => reference.lost && candidate.lost);
  if (both !== undefined) {
    const [one, other] = [both.reference.lost, both.candidate.lost];
    return `"${both.module.path}" is in both, at step ${one?.step} call ${one?.call} there and ` +
      `step ${other?.step} call ${other?.call} here`;
  }
  const shared = [...aligner.modules.values()]
    .find(({ inReference, candidatePath, tensors: own }) =>
      inReference && candidatePath !== null &&
      [...own.values()].every((entry) => entry.aligned === 0)
    );
  if (shared !== undefined) {
    return `"${shared.path}" is in both, with tensors ${quoted([...shared.tensors.keys()])}`;
  }
  const { referenceModules, candidateModules } = nearestPaths(aligner);
  return `the reference has ${quoted(referenceModules)}, the candidate ${quoted(candidateModules)}`;
}

/** Some paths of both sides, those of the candidate near to those of the reference. */
function nearestPaths(
  aligner: TraceAligner,
): { readonly referenceModules: string[]; readonly candidateModules: string[] } {
  const modules = [...aligner.modules.values()];
  const lonely = modules.filter(({ candidatePath }) => candidatePath === null);
  const others = modules
    .flatMap(({ inReference, candidatePath }) => inReference ? [] : candidatePath ?? [])
    .slice(0, NAMES_SEARCHED);
  const referenceModules = lonely.slice(0, NAMES_SHOWN).map(({ path }) => path);
  const near = referenceModules.flatMap((path) => nearestNames(path, others, 1));
  const candidateModules = [...new Set([...near, ...others])].slice(0, NAMES_SHOWN);
  return { referenceModules, candidateModules };
}

/** Damaged lines stand in the way of a yes. */
export function damageProblem(sources: readonly TraceSource[]): TraceProblem | null {
  const broken = sources.filter(({ damageCount }) => damageCount > 0);
  if (broken.length === 0) return null;
  const told = broken.map(({ path, damageCount, damage }) => {
    const [first] = damage;
    const more = damageCount > 1 ? ` and ${damageCount - 1} more` : "";
    return `line ${first?.line} of "${path}" is damaged (${first?.reason})${more}`;
  });
  return {
    code: "FILE_FORMAT",
    message: `cannot say that the traces are the same: ${told.join(", ")}; the rest is the same`,
    fix: "trace again to the end, or take the lines out",
    details: { files: broken.map(({ path }) => path) },
  };
}

function quoted(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.map((name) => `"${name}"`).join(", ");
}
