// Holds a model against itself: the plain whole model is the reference, a plan with every module tapped
// and a plan cut at many modules are the candidates. Hooks would see the same numbers as the whole model
// computes exactly when both agree with it. It knows no file of inputs and prints nothing.

import { HooklineError } from "../errors/hookline_error.ts";
import { equalBlocks } from "../graph/equal_blocks.ts";
import type { GraphModule } from "../graph/graph_module.ts";
import { type ModuleSelector, selectModules } from "../graph/selector.ts";
import type { ValueSpec } from "../sessions/engine.ts";
import { chooseEngine } from "../sessions/engine_choice.ts";
import type { TensorMap } from "../tensor/tensor.ts";
import { SplitChoice } from "./_split_choice.ts";
import { isWithin, tensorDifference, toleranceOf } from "./_tensor_difference.ts";
import type { Model } from "./model.ts";
import { type ModelSource, ModelStructure } from "./model_structure.ts";
import { openModel, type OpenOptions } from "./open_model.ts";
import { type Plan, segmentsOf } from "./plan.ts";
import { ValueTypes } from "./value_types.ts";

/** Which modules the graph is cut after. */
export type SplitKind = "leaves" | "blocks" | "all";

/** Options of {@linkcode verifyModel}. */
export interface VerifyOptions extends OpenOptions {
  /** The inputs, or what makes them from the inputs that the model declares. */
  readonly feeds: TensorMap | ((inputs: readonly ValueSpec[]) => TensorMap | Promise<TensorMap>);
  /**
   * Where to cut: `"leaves"` (the default: modules without modules inside), `"blocks"` (the outermost
   * modules that are equal to a sibling), `"all"`, or a selector. A module that is called like one of
   * these words is named by a glob, `{blocks}`. Modules that cannot be cut are left out and counted.
   */
  readonly split?: SplitKind | ModuleSelector;
  /** Timed runs of each plan, interleaved; 5 by default. */
  readonly rounds?: number;
  /** Absolute tolerance of float outputs; 1e-5, and 1e-2 for half floats, by default. */
  readonly atol?: number;
  /** Relative tolerance of float outputs; 1e-5, and 1e-2 for half floats, by default. */
  readonly rtol?: number;
  /** The clock, in milliseconds; `performance.now` by default. */
  readonly now?: () => number;
  /** Told what happens next. */
  readonly onProgress?: (what: string) => void;
}

/** How a comparison ended. */
export type VerifyStatus = "exact" | "within tolerance" | "differs";

/** How one plan compares with the whole model. */
export interface VerifyPart {
  /** `"exact"` when no bit of any output differs. */
  readonly status: VerifyStatus;
  /** Bits that differ, over all outputs. */
  readonly bitsDiffering: number;
  /** Largest absolute difference of any output; Infinity where a NaN or a form differs. */
  readonly maxAbs: number;
  /** Median time over the whole model's median time. */
  readonly ratio: number;
  /** What was left out, as a number of values (taps) or modules (cuts). */
  readonly skipped: number;
  /** The numbers of `skipped` by reason. */
  readonly skippedBecause: Readonly<Record<string, number>>;
}

/** What `hookline verify --json` prints. */
export interface VerifyDocument {
  /** The worse of the two comparisons. */
  readonly status: VerifyStatus;
  /** One session with every module's outputs as further outputs. */
  readonly tapped: VerifyPart & {
    /** Values that were tapped. */
    readonly taps: number;
  };
  /** A session for each part between cuts. */
  readonly split: VerifyPart & {
    /** Sessions. */
    readonly segments: number;
    /** Modules that the graph was cut after. */
    readonly modules: number;
  };
  /** False when the whole model does not give the same bits twice: then nothing can be exact. */
  readonly repeatable: boolean;
  /** Outputs that were compared. */
  readonly outputs: number;
  /** Timed runs of each plan. */
  readonly rounds: number;
  /** Median time of the whole model, in milliseconds. */
  readonly wholeMs: number;
  /** The engine. */
  readonly engine: string;
  /** The execution provider. */
  readonly provider: string;
  /** How far ONNX Runtime was allowed to rewrite the graph. */
  readonly optimization: string;
}

const DEFAULT_ROUNDS = 5;

/** What is left for `openModel`, which refuses names that it does not know. */
function openOptions(options: VerifyOptions): OpenOptions {
  const { feeds: _f, split: _s, rounds: _r, atol: _a, rtol: _t, now: _n, onProgress: _p, ...rest } =
    options;
  return rest;
}

/**
 * Runs a model whole, tapped at every module, and cut at many modules, on the same inputs, and says how
 * the outputs compare.
 *
 * A value that cannot leave ONNX Runtime (a sequence, an optional, a type that JavaScript cannot hold)
 * is not tapped, and no cut is made that it would cross; both are counted. A model with nothing to tap
 * or cut is exact. All sessions stay open until the end.
 *
 * @throws {HooklineError} what opening and running the model throws; HOOK_MATCH_EMPTY or SELECTOR_SYNTAX
 * for `split`; OPTION_INVALID for `rounds`, `atol` or `rtol`.
 *
 * @example
 * ```ts ignore
 * const { status } = await verifyModel("bert.onnx", { feeds, optimization: "disabled" });
 * console.log(status); // exact
 * ```
 */
export async function verifyModel(
  source: ModelSource,
  options: VerifyOptions,
): Promise<VerifyDocument> {
  checkOptions(options);
  const { rounds = DEFAULT_ROUNDS, onProgress = () => {} } = options;
  onProgress("opening");
  await using model = await openModel(source, {
    ...openOptions(options),
    idleByteBudget: Infinity,
  });
  const structure = new ModelStructure(source, options);
  const feeds = typeof options.feeds === "function"
    ? await options.feeds(model.inputs)
    : options.feeds;
  onProgress("running the whole model");
  const reference = await model.run(feeds);
  const again = compare(reference, await model.run(feeds), {});
  onProgress("looking at the types of values");
  const { engine } = await chooseEngine(options.engine ?? "auto");
  const choice = new SplitChoice(model, structure, new ValueTypes(structure, engine));
  const tapped = await choice.tapEverything();
  const split = await choice.cutAfter(splitModules(model, structure, options.split ?? "leaves"));
  const results: Comparison[] = [];
  for (const [name, { plan }] of [["tapped", tapped], ["split", split]] as const) {
    onProgress(`running the ${name} plan: ${segmentsOf(plan.steps).length} sessions`);
    results.push(compare(reference, await model.run(feeds, { plan }), options));
  }
  onProgress(`timing ${rounds} rounds`);
  const times = await measure(model, feeds, {
    plans: [tapped.plan, split.plan],
    rounds,
    now: options.now ?? (() => performance.now()),
    // A plan that has run before may run in a quicker way: every run counts.
    onRun: (index, outputs) => {
      const found = compare(reference, outputs, options);
      results[index] = worse(results[index] as Comparison, found);
    },
  });
  const [wholeMs = 0, tappedMs = 0, splitMs = 0] = times;
  const part = (index: number, elapsedMs: number, plan: Plan): Omit<VerifyPart, "skipped"> => ({
    ...(results[index] as Comparison),
    ratio: plan.kind === "whole" ? 1 : elapsedMs / wholeMs,
    skippedBecause: index === 0 ? tapped.skippedBecause : split.skippedBecause,
  });
  const taps = segmentsOf(tapped.plan.steps).reduce((sum, { taps }) => sum + taps.length, 0);
  return {
    status: worst(results.map(({ status }) => status)),
    tapped: { taps, ...part(0, tappedMs, tapped.plan), skipped: total(tapped.skippedBecause) },
    split: {
      segments: split.plan.kind === "whole" ? 1 : segmentsOf(split.plan.steps).length,
      modules: split.modules.length,
      ...part(1, splitMs, split.plan),
      skipped: total(split.skippedBecause),
    },
    repeatable: again.bitsDiffering === 0,
    outputs: Object.keys(reference).length,
    rounds,
    wholeMs,
    engine: model.engine,
    provider: model.provider.name,
    optimization: options.optimization ?? "all",
  };
}

function checkOptions(options: VerifyOptions): void {
  const invalid = (name: string, found: number, wanted: string): HooklineError =>
    new HooklineError("OPTION_INVALID", {
      message: `cannot verify a model with ${name} ${found}: wanted ${wanted}`,
      fix: `give ${wanted}, or leave ${name} out`,
      details: { option: name },
    });
  const { rounds, atol, rtol } = options;
  if (rounds !== undefined && !(Number.isSafeInteger(rounds) && rounds >= 1 && rounds <= 10_000)) {
    throw invalid("rounds", rounds, "a whole number from 1 to 10000");
  }
  for (const [name, value] of [["atol", atol], ["rtol", rtol]] as const) {
    if (value !== undefined && !(value >= 0)) throw invalid(name, value, "a number from 0");
  }
}

/** The modules that a kind or selector means; whether they can be cut is decided later. */
function splitModules(
  model: Model,
  structure: ModelStructure,
  split: SplitKind | ModuleSelector,
): readonly GraphModule[] {
  const { tree } = structure;
  switch (split) {
    case "leaves":
      return model.modules.filter((module) => module.children.length === 0 && module.path !== "");
    case "all":
      return model.modules.filter((module) => module.calls.length > 0 && module.path !== "");
    case "blocks": {
      const equal = new Set(equalBlocks(tree, structure.graph).flatMap((group) => group.paths));
      const isInside = ({ parent }: GraphModule): boolean =>
        parent !== null && (equal.has(parent) || isInside(tree.get(parent) as GraphModule));
      return model.modules.filter((module) => equal.has(module.path) && !isInside(module));
    }
    default:
      return selectModules(tree, split).filter((module) => module.path !== "");
  }
}

interface Comparison {
  readonly status: VerifyStatus;
  readonly bitsDiffering: number;
  readonly maxAbs: number;
}

function compare(
  reference: TensorMap,
  candidate: TensorMap,
  tolerance: { readonly atol?: number; readonly rtol?: number },
): Comparison {
  let bitsDiffering = 0;
  let maxAbs = 0;
  let status: VerifyStatus = "exact";
  for (const [name, wanted] of Object.entries(reference)) {
    const found = candidate[name];
    const difference = found === undefined
      ? { bitsDiffering: 1, maxAbs: Infinity, maxReference: 0 }
      : tensorDifference(wanted, found);
    if (difference.bitsDiffering === 0) continue;
    bitsDiffering += difference.bitsDiffering;
    maxAbs = Math.max(maxAbs, difference.maxAbs);
    const allowed = isWithin(difference, toleranceOf(wanted.dtype, tolerance));
    status = worst([status, allowed ? "within tolerance" : "differs"]);
  }
  return { status, bitsDiffering, maxAbs };
}

function worse(left: Comparison, right: Comparison): Comparison {
  return {
    status: worst([left.status, right.status]),
    bitsDiffering: Math.max(left.bitsDiffering, right.bitsDiffering),
    maxAbs: Math.max(left.maxAbs, right.maxAbs),
  };
}

function worst(all: readonly VerifyStatus[]): VerifyStatus {
  if (all.includes("differs")) return "differs";
  return all.includes("within tolerance") ? "within tolerance" : "exact";
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Median times of the whole model and of each plan, one run of each in every round. */
async function measure(
  model: Model,
  feeds: TensorMap,
  { plans, rounds, now, onRun }: {
    readonly plans: readonly Plan[];
    readonly rounds: number;
    readonly now: () => number;
    /** Gets what each run of a plan made, outside of the time. */
    readonly onRun: (index: number, outputs: TensorMap) => void;
  },
): Promise<number[]> {
  const times: number[][] = [[], ...plans.map(() => [])];
  for (let round = 0; round < rounds; round++) {
    for (const [index, plan] of [null, ...plans].entries()) {
      const start = now();
      const outputs = await (plan === null ? model.run(feeds) : model.run(feeds, { plan }));
      times[index]?.push(now() - start);
      if (plan !== null) onRun(index - 1, outputs);
    }
  }
  return times.map((series) => series.sort((left, right) => left - right)[series.length >> 1] ?? 0);
}
