// How much each module's precision costs at the model's outputs: one module at a time is replaced by a
// coarser one, everything else stays. A replacing hook does it, so what cannot be cut is left out and said.

import { HooklineError } from "../../errors/hookline_error.ts";
import { requireOptions } from "../../errors/option_names.ts";
import type { GraphModule } from "../../graph/graph_module.ts";
import { type ForwardCall, ModelHook } from "../../hooks/model_hook.ts";
import { type ModuleSelector, selectModules } from "../../graph/selector.ts";
import type { Model } from "../../pipeline/model.ts";
import type { ModelSource } from "../../pipeline/model_structure.ts";
import { openModel, type OpenOptions } from "../../pipeline/open_model.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";
import type { TensorError } from "../compare/compare_report.ts";
import { type FeedsOption, givenFeeds, openHost } from "../compare/open_host.ts";
import {
  checkTolerance,
  type CompareToleranceOptions,
  tensorError,
} from "../compare/tensor_error.ts";
import type { Rounding } from "./rounded_weights.ts";
import {
  otherSubstitutes,
  roundedSubstitutes,
  type Substitute,
  type SubstituteMaker,
} from "./_substitutes.ts";

/** Options of {@linkcode moduleSensitivity}. */
export interface SensitivityOptions
  extends
    Pick<OpenOptions, "provider" | "engine" | "optimization" | "threads">,
    CompareToleranceOptions {
  /** The inputs, or what makes them from the inputs that the model declares. */
  readonly feeds: FeedsOption;
  /**
   * What a module is replaced by: itself with weights, inputs and outputs rounded to `"float16"` (the
   * default) or `"bfloat16"`; itself with weight matrices in 255 steps (`"int8"`); or what `other` has in
   * its place.
   */
  readonly substitute?: Rounding | "other";
  /** The model that substitutes are taken from, with `substitute: "other"`. */
  readonly other?: ModelSource;
  /** Renames for `other`: `REFERENCE_PREFIX=CANDIDATE_PREFIX`. */
  readonly map?: readonly string[];
  /** The modules; those without modules inside when left out. */
  readonly modules?: ModuleSelector;
  /** Told which module is next. */
  readonly onProgress?: (what: string) => void;
}

const OPTIONS: readonly (keyof SensitivityOptions)[] = [
  "provider",
  "engine",
  "optimization",
  "threads",
  "rtol",
  "atol",
  "feeds",
  "substitute",
  "other",
  "map",
  "modules",
  "onProgress",
];
const SUBSTITUTES: readonly string[] = ["float16", "bfloat16", "int8", "other"];

/** What replacing one module does to one output of the model. */
export interface OutputEffect {
  /** The output's name. */
  readonly output: string;
  /** How far it is from that of the model as it is. */
  readonly error: TensorError;
}

/** What replacing one module does. */
export interface ModuleEffect {
  /** The module's path. */
  readonly module: string;
  /** The class that exported it, or null. */
  readonly className: string | null;
  /** The model's outputs, the worst first. */
  readonly outputs: readonly OutputEffect[];
}

/** A ranking of modules. */
export interface Sensitivity {
  /** What stood in for each module. */
  readonly substitute: Rounding | "other";
  /** The worst first: by error over tolerance, then by the ratio of signal to noise. */
  readonly modules: readonly ModuleEffect[];
  /** Modules that could not be replaced, and why. */
  readonly skipped: readonly { readonly module: string; readonly because: string }[];
}

/**
 * Replaces one module at a time by a coarser one and ranks the modules by what that does to the model's
 * outputs. The effects of several replaced modules do not simply add up; the ranking says where precision
 * is worth most.
 *
 * @throws {HooklineError} OPTION_INVALID, HOOK_MATCH_EMPTY or SELECTOR_SYNTAX for `modules`,
 * COMPARE_INCOMPARABLE when `other` takes other inputs, and what opening and running a model throws.
 *
 * @example
 * ```ts ignore
 * const { modules } = await moduleSensitivity("bert.onnx", { feeds, substitute: "int8" });
 * console.log(modules[0]?.module, modules[0]?.outputs[0]?.error.sqnrDb);
 * ```
 */
export async function moduleSensitivity(
  source: ModelSource,
  options: SensitivityOptions,
): Promise<Sensitivity> {
  checkOptions(options);
  const { substitute = "float16", onProgress = () => {} } = options;
  const settings = openOptions(options);
  onProgress("opening");
  const host = await openHost(source, settings);
  const feeds = await givenFeeds(options.feeds, host.structure.inputs);
  const make = substitute === "other"
    ? await otherSubstitutes(
      host,
      await openHost(options.other as ModelSource, settings),
      options.map ?? [],
    )
    : roundedSubstitutes(host, substitute);
  // Plans come and go with the module at hand: none is worth keeping.
  await using model = await openModel(source, {
    ...settings,
    threads: host.settings.threads,
    idleByteBudget: 0,
  });
  onProgress("running the model as it is");
  const plain = await model.run(feeds);
  const effects: ModuleEffect[] = [];
  const skipped: { module: string; because: string }[] = [];
  for (const module of chosenModules(model, options.modules)) {
    onProgress(`replacing ${module.path}`);
    const found = await runReplaced(model, { module, make, feeds });
    if (typeof found === "string") skipped.push({ module: module.path, because: found });
    else effects.push(effectOf(module, { plain, found, tolerance: options }));
  }
  return { substitute, modules: effects.sort(byEffect), skipped };
}

function openOptions(options: SensitivityOptions): OpenOptions {
  const { provider, engine, optimization, threads } = options;
  return Object.fromEntries(
    Object.entries({ provider, engine, optimization, threads })
      .filter(([, value]) => value !== undefined),
  );
}

function chosenModules(model: Model, selector: ModuleSelector | undefined): readonly GraphModule[] {
  if (selector !== undefined) return selectModules(model.tree, selector);
  return model.modules.filter(({ children, calls, insideBody }) =>
    children.length === 0 && calls.length > 0 && insideBody === null
  );
}

/** The model's outputs with one module replaced; a text says why that is not possible. */
async function runReplaced(model: Model, { module, make, feeds }: {
  readonly module: GraphModule;
  readonly make: SubstituteMaker;
  readonly feeds: TensorMap;
}): Promise<TensorMap | string> {
  if (!module.isCuttable) return module.reason ?? "it cannot be cut";
  if (module.calls.length === 0) return "it is never called";
  const substitutes: Substitute[] = [];
  for (const [index, call] of module.calls.entries()) {
    const made = make(module.path, index, call);
    if (typeof made === "string") return made;
    substitutes.push(made);
  }
  try {
    using _handle = model.registry(module.path).register(new Replace(substitutes));
    return await model.run(feeds);
  } catch (error) {
    // The model ran as it is: whatever fails now is the substitute's doing.
    if (error instanceof HooklineError) return error.message;
    throw error;
  }
}

class Replace extends ModelHook {
  override readonly name = "substitute";
  override readonly access = "replace";
  readonly #substitutes: readonly Substitute[];

  constructor(substitutes: readonly Substitute[]) {
    super();
    this.#substitutes = substitutes;
  }

  override async newForward(call: ForwardCall, inputs: TensorMap): Promise<TensorMap> {
    return await (this.#substitutes[call.callIndex] as Substitute)(inputs);
  }
}

function effectOf(
  { path, className }: GraphModule,
  { plain, found, tolerance: { rtol, atol } }: {
    readonly plain: TensorMap;
    readonly found: TensorMap;
    readonly tolerance: CompareToleranceOptions;
  },
): ModuleEffect {
  const outputs = Object.entries(plain).map(([output, value]) => ({
    output,
    error: tensorError(value, found[output] as Tensor, { rtol, atol }),
  }));
  outputs.sort((left, right) => compareErrors(left.error, right.error));
  return { module: path, className, outputs };
}

function byEffect(left: ModuleEffect, right: ModuleEffect): number {
  const [one, other] = [left.outputs[0]?.error, right.outputs[0]?.error];
  return one === undefined || other === undefined ? 0 : compareErrors(one, other);
}

/** The worse first; what is equal keeps its order. */
function compareErrors(left: TensorError, right: TensorError): number {
  if (left.ratio !== right.ratio) return right.ratio - left.ratio;
  return left.sqnrDb === right.sqnrDb ? 0 : left.sqnrDb - right.sqnrDb;
}

function checkOptions(options: SensitivityOptions): void {
  requireOptions("measure sensitivity", options, OPTIONS);
  checkTolerance("measure sensitivity", options);
  const { substitute = "float16", other, map } = options;
  const refuse = (message: string, fix: string, option: string): HooklineError =>
    new HooklineError("OPTION_INVALID", {
      message: `cannot measure sensitivity: ${message}`,
      fix,
      details: { option },
    });
  if (!SUBSTITUTES.includes(substitute)) {
    throw refuse(
      `no substitute is called "${substitute}"`,
      `use one of ${SUBSTITUTES.join(", ")}`,
      "substitute",
    );
  }
  if ((substitute === "other") !== (other !== undefined)) {
    throw refuse(
      `substitute "other" and the option other belong together`,
      "give both or neither",
      "other",
    );
  }
  if (map !== undefined && substitute !== "other") {
    throw refuse("map without another model", "leave map out", "map");
  }
}
