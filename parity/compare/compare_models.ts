// Compares two models, or one model under two settings, and names the modules that bring an error in.
// It opens both sides, matches them, runs them and puts the answer together; how is in the files beside.

import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { HooklineError } from "../../errors/hookline_error.ts";
import { requireOptions } from "../../errors/option_names.ts";
import type { ModelSource } from "../../pipeline/model_structure.ts";
import type { OpenOptions } from "../../pipeline/open_model.ts";
import type { OptimizationLevel } from "../../sessions/engine.ts";
import { openSessions } from "../../sessions/session_ledger.ts";
import { availableCores, threadBudget } from "../../sessions/thread_budget.ts";
import type { DType } from "../../tensor/dtype.ts";
import { emptyTensorMap, type TensorMap } from "../../tensor/tensor.ts";
import { BoundaryStore } from "./boundary_store.ts";
import { castTensor, coarserDType } from "./cast_tensor.ts";
import type { ComparedModel, ComparedTensor, CompareReport } from "./compare_report.ts";
import { compareVerdict } from "./_compare_verdict.ts";
import { runComparison } from "./_comparison.ts";
import type { CompareEvidence, CompareSide } from "./evidence.ts";
import { matchInputs, pathOf } from "./input_match.ts";
import { matchModules } from "./module_match.ts";
import type { ModuleMatch } from "./module_pairs.ts";
import { type FeedsOption, givenFeeds, openHost } from "./open_host.ts";
import type { PartHost } from "./part_run.ts";
import { checkTolerance, compareTolerance } from "./tensor_error.ts";

/** Options of {@linkcode compareModels}. */
export interface CompareOptions
  extends Pick<OpenOptions, "provider" | "engine" | "optimization" | "threads"> {
  /** The reference's inputs, or what makes them from the inputs that it declares. */
  readonly feeds: FeedsOption;
  /** The candidate's execution provider; the reference's when left out. */
  readonly candidateProvider?: OpenOptions["provider"] | undefined;
  /** The candidate's engine; the reference's when left out. */
  readonly candidateEngine?: OpenOptions["engine"] | undefined;
  /** How far ONNX Runtime may rewrite the candidate; as the reference when left out. */
  readonly candidateOptimization?: OptimizationLevel | undefined;
  /** Tolerance relative to a tensor's largest magnitude, for every float dtype. */
  readonly rtol?: number | undefined;
  /** Absolute tolerance, for every float dtype. */
  readonly atol?: number | undefined;
  /** Renames: `REFERENCE_PREFIX=CANDIDATE_PREFIX`, each a dotted path or empty. */
  readonly map?: readonly string[];
  /** Bytes of activations that are kept in memory; more go to a temporary file. 512 MiB by default. */
  readonly memory?: number | undefined;
  /** Told what happens next. */
  readonly onProgress?: (what: string) => void;
}

/** Options of {@linkcode compareWithEvidence}. */
export interface EvidenceOptions extends CompareOptions {
  /** Called once with all that is known, while both models are still open: for a repro. */
  readonly evidence?: (evidence: CompareEvidence) => void | Promise<void>;
}

const OPTIONS: readonly (keyof CompareOptions)[] = [
  "feeds",
  "provider",
  "engine",
  "optimization",
  "threads",
  "candidateProvider",
  "candidateEngine",
  "candidateOptimization",
  "rtol",
  "atol",
  "map",
  "memory",
  "onProgress",
];
const DEFAULT_MEMORY = 536_870_912;

/**
 * Compares a candidate with a reference on the same inputs, module by module. Every module gets two
 * errors: *inherited*, in the candidate's own run, and *local*, when its inputs are the reference's. A
 * module whose local error is above tolerance brings the error in; the others only pass it on.
 *
 * With `candidate` null the reference is compared with itself under other settings. Modules are matched
 * by path, by a prefix that one side has alone, then by structure. Weights are never read into
 * JavaScript; activations beyond `memory` wait in a temporary file.
 *
 * @param reference The model to trust.
 * @param candidate The model to judge, or null for the same one under the candidate's settings.
 * @throws {HooklineError} COMPARE_INCOMPARABLE when the two take other inputs or have nothing in common,
 * OPTION_INVALID for a bad option or for one model under equal settings, and what opening and running the
 * reference throws. A candidate that fails while it runs is reported, not thrown.
 *
 * @example
 * ```ts ignore
 * const report = await compareModels("fp32.onnx", "fp16.onnx", {
 *   feeds: async (inputs) => await loadInputs(await inputSource("inputs"), inputs),
 * });
 * console.log(report.status, report.introducedBy[0]?.module);
 * ```
 */
export async function compareModels(
  reference: ModelSource,
  candidate: ModelSource | null,
  options: CompareOptions,
): Promise<CompareReport> {
  return await compareWithEvidence(reference, candidate, options);
}

/** The same, for those who work on with what a comparison knows. */
export async function compareWithEvidence(
  reference: ModelSource,
  candidate: ModelSource | null,
  { evidence, ...options }: EvidenceOptions,
): Promise<CompareReport> {
  checkOptions(options);
  const { memory = DEFAULT_MEMORY, onProgress = () => {}, rtol, atol } = options;
  onProgress("opening");
  const threads = options.threads ?? threadBudget(availableCores(), openSessions());
  const given = { ...settingsOf(options), threads };
  const left = await openHost(reference, given);
  const right = await openHost(candidate ?? reference, {
    ...given,
    ...definedOnly({
      provider: options.candidateProvider,
      engine: options.candidateEngine,
      optimization: options.candidateOptimization,
    }),
  });
  refuseSelf([reference, left], [candidate ?? reference, right]);
  matchInputs(left.structure, right.structure); // before anybody is asked for inputs
  const feeds = await givenFeeds(options.feeds, left.structure.inputs);
  const sides = {
    reference: { ...left, feeds },
    candidate: { ...right, feeds: candidateFeeds(left, right, feeds) },
  };
  onProgress("matching modules");
  const wanted = matchModules(left.structure, right.structure, options.map ?? []);
  await using store = new BoundaryStore(memory);
  const result = await runComparison({
    ...sides,
    match: wanted,
    store,
    budgetByteLength: memory,
    tolerance: { rtol, atol },
    onProgress,
  });
  const { match } = result;
  const { introducedBy, rows, notes } = compareVerdict(result);
  const tolerance = (one: DType, other: DType = one) => compareTolerance(one, other, options);
  requireCommon(sides, match, rows);
  const isMissing = rows.some((row) => row.module === "" && row.inherited === null);
  const report: CompareReport = {
    status: introducedBy.length > 0 || isMissing || result.candidateFailure !== null
      ? "diverged"
      : "same",
    introducedBy,
    modules: rows,
    onlyReference: match.onlyReference,
    onlyCandidate: match.onlyCandidate,
    matchedBy: match.matchedBy,
    reference: describeSide(left, reference),
    candidate: describeSide(right, candidate ?? reference),
    tolerance: tolerancesOf(rows, tolerance),
    memory: store.use,
    notes: [...inputNotes(left, right), ...match.notes, ...result.notes, ...notes],
  };
  await evidence?.({
    report,
    ...sides,
    match,
    values: result.values,
    store,
    ownNodes: (pair) => {
      const call = result.calls.find((one) => one.call.pair === pair)?.call;
      return call === undefined || call.inside.length === 0
        ? pair.candidate.nodes
        : call.own?.nodes ?? [];
    },
    tolerance,
    feeds: { reference: sides.reference.feeds, candidate: sides.candidate.feeds },
  });
  return report;
}

function settingsOf({ provider, engine, optimization }: CompareOptions): OpenOptions {
  return definedOnly({ provider, engine, optimization });
}

function definedOnly<Options extends object>(
  options: Options,
): { [Name in keyof Options]?: Exclude<Options[Name], undefined> } {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as { [Name in keyof Options]?: Exclude<Options[Name], undefined> };
}

function refuseSelf(
  [reference, left]: readonly [ModelSource, PartHost],
  [candidate, right]: readonly [ModelSource, PartHost],
): void {
  const isSame = reference === candidate ||
    (realPathOf(reference) !== null && realPathOf(reference) === realPathOf(candidate));
  const { provider, optimization } = left.settings;
  if (
    !isSame || provider !== right.settings.provider || left.engine.name !== right.engine.name ||
    optimization !== right.settings.optimization
  ) return;
  const { label } = left.structure.skeleton;
  throw new HooklineError("OPTION_INVALID", {
    message:
      `cannot compare "${label}" with itself: both sides run on ${provider} (${left.engine.name}) at optimization ${optimization}`,
    fix: "name another model, or give the candidate another provider, engine or optimization level",
    details: { option: "candidate", provider, optimization },
  });
}

function realPathOf(source: ModelSource): string | null {
  try {
    if (typeof source === "string") return realpathSync(source);
    return source instanceof URL ? realpathSync(fileURLToPath(source)) : null;
  } catch {
    return null; // opening it says what is wrong
  }
}

/** The candidate's inputs, in its own names and element types. */
function candidateFeeds(left: PartHost, right: PartHost, feeds: TensorMap): TensorMap {
  const made = emptyTensorMap();
  const partners = matchInputs(left.structure, right.structure);
  for (const { name, dtype } of right.structure.inputs) {
    const partner = partners.get(name);
    const value = partner === undefined ? undefined : feeds[partner];
    if (value === undefined || dtype === null) continue; // the guard names what is missing
    made[name] = castTensor(value, dtype) ?? value;
  }
  return made;
}

/** Inputs whose names say nothing: their partners may be the wrong ones. */
function inputNotes(left: PartHost, right: PartHost): string[] {
  return [...matchInputs(left.structure, right.structure)].flatMap(([name, partner]) =>
    name === partner ? [] : [`the candidate's input "${name}" gets the reference's "${partner}"`]
  );
}

/** @throws {HooklineError} COMPARE_INCOMPARABLE when no module and no output has a partner. */
function requireCommon(
  { reference, candidate }: { readonly reference: CompareSide; readonly candidate: CompareSide },
  { matchedBy }: ModuleMatch,
  rows: readonly ComparedTensor[],
): void {
  if (matchedBy.path + matchedBy.prefix + matchedBy.structure > 0) return;
  const isComparable = (row: ComparedTensor): boolean =>
    row.inherited !== null && row.candidateShape === undefined;
  if (rows.some((row) => row.module === "" && isComparable(row))) return;
  const [left, right] = [reference, candidate].map(({ structure }) => pathOf(structure));
  throw new HooklineError("COMPARE_INCOMPARABLE", {
    message:
      `cannot compare "${left}" with "${right}": no module and no output of one belongs to one of the other`,
    fix:
      "compare two files of one network; --map OLD=NEW says which prefix of module paths became which",
    details: {
      referenceModules: reference.structure.tree.modules.length,
      candidateModules: candidate.structure.tree.modules.length,
    },
  });
}

function describeSide(
  { structure, engine, settings }: PartHost,
  source: ModelSource,
): ComparedModel {
  return {
    path: typeof source === "string" ? source : structure.skeleton.label,
    structureHash: structure.hash,
    nodes: structure.graph.nodes.length,
    modules: structure.tree.modules.length,
    engine: engine.name,
    provider: settings.provider,
    optimization: settings.optimization,
  };
}

function tolerancesOf(
  rows: readonly ComparedTensor[],
  tolerance: CompareEvidence["tolerance"],
): CompareReport["tolerance"] {
  const found = new Map<string, { readonly rtol: number; readonly atol: number }>();
  for (const { dtype, candidateDtype = dtype } of rows) {
    const coarser = coarserDType(dtype as DType, candidateDtype as DType);
    found.set(coarser, tolerance(coarser));
  }
  return Object.fromEntries([...found].sort(([left], [right]) => left < right ? -1 : 1));
}

function checkOptions(options: CompareOptions): void {
  requireOptions("compare models", options, OPTIONS);
  checkTolerance("compare models", options);
  const { memory } = options;
  if (memory === undefined || (typeof memory === "number" && memory >= 1 && memory < Infinity)) {
    return;
  }
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot compare models with memory ${String(memory)}: wanted a number, 1 or more`,
    fix: "give memory a number of bytes, or leave it out",
    details: { option: "memory" },
  });
}
