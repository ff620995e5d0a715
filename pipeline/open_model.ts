// Opens a model: reads its structure, decides engine and provider, and says why. No session is opened
// before the first run.

import { HooklineError } from "../errors/hookline_error.ts";
import { requireOptions } from "../errors/option_names.ts";
import { isSwitchedOn, readVariable } from "../host/environment.ts";
import type { Engine, OptimizationLevel } from "../sessions/engine.ts";
import { chooseEngine } from "../sessions/engine_choice.ts";
import { cudaEntries, type CudaOptions } from "../sessions/providers/cuda_options.ts";
import { type ResolvedProvider, resolveProvider } from "../sessions/provider.ts";
import { openSessions } from "../sessions/session_ledger.ts";
import { availableCores, threadBudget } from "../sessions/thread_budget.ts";
import { Model } from "./model.ts";
import { type ModelSource, ModelStructure, type ModuleBoundaries } from "./model_structure.ts";

/** Options of {@linkcode openModel}. */
export interface OpenOptions {
  /**
   * Execution provider: `"auto"` (the default) takes CUDA where it runs and the CPU elsewhere, and says
   * which; `"cpu"`, `"cuda"` or `"webgpu"` is taken or refused, never replaced.
   */
  readonly provider?: "auto" | "cpu" | "cuda" | "webgpu";
  /**
   * Engine: `"auto"` (the default) takes `"native"` where Deno lets it work (`--allow-ffi` without a list
   * of paths) and `"napi"` elsewhere, and says which; a name is taken or refused, never replaced; or one
   * of your own, as tests do.
   */
  readonly engine?: "auto" | "napi" | "native" | Engine;
  /**
   * How far ONNX Runtime may rewrite the graph; `"all"` by default, as ONNX Runtime itself does.
   * `"disabled"` makes tapped and split plans equal to the whole model bit for bit.
   */
  readonly optimization?: OptimizationLevel;
  /** Threads that compute one operator; all cores by default. */
  readonly threads?: number;
  /** The folder of external weight files, for a model given as bytes. */
  readonly weightFolder?: string;
  /** Modules that you name yourself, by the values that enter and leave them. */
  readonly boundaries?: ModuleBoundaries;
  /** Bytes of weights that sessions of plans not in use may keep; 256 MiB by default. */
  readonly idleByteBudget?: number;
  /** Settings of CUDA, for the native engine; without effect where `"auto"` takes the CPU. */
  readonly cuda?: CudaOptions;
  /**
   * True records what a run asks of the device (CUDA graphs, WebGPU's graph capture) the second time that
   * feeds have certain dtypes and shapes, and plays that from then on: one call instead of one an operator.
   * Each recording keeps the memory of its run, up to eight; other shapes run as usual. For the native engine
   * on a device and plans that are not split, and only for models that run there whole: others are refused
   * with SESSION_CREATE. Without effect where `"auto"` takes the CPU. Not run with CUDA.
   */
  readonly recordsRuns?: boolean;
}

const OPTIONS: readonly (keyof OpenOptions)[] = [
  "provider",
  "engine",
  "optimization",
  "threads",
  "weightFolder",
  "boundaries",
  "idleByteBudget",
  "cuda",
  "recordsRuns",
];
const IDLE_BYTE_BUDGET = 268_435_456;
const LEVELS: readonly OptimizationLevel[] = ["disabled", "basic", "extended", "layout", "all"];

/** Switches the activation trace on; its other variables are read by the plugin. */
const TRACE_SWITCH = "HOOKLINE_TRACE_ACTIVATIONS";

/**
 * Opens a model from a path, a `file:` URL, its bytes, or a skeleton. Weights are not read: a 2 GB model
 * opens in milliseconds.
 *
 * With `HOOKLINE_TRACE_ACTIVATIONS=1` in the environment, and the permission to read it, the model is
 * traced: see `docs/plugins/activation_trace.md`.
 *
 * @throws {HooklineError} a MODEL_ code when the file is damaged or missing, PROVIDER_UNKNOWN,
 * PROVIDER_UNAVAILABLE, ENGINE_UNKNOWN, ENGINE_UNAVAILABLE or OPTION_INVALID.
 *
 * @example
 * ```ts
 * import { openModel } from "@hookline/hookline";
 * await using model = await openModel("bert.onnx", { provider: "auto" });
 * for (const module of model.modules.slice(0, 5)) console.log(module.path, module.className);
 * ```
 */
export async function openModel(source: ModelSource, options: OpenOptions = {}): Promise<Model> {
  requireOptions("open a model", options, OPTIONS);
  const { optimization = "all", threads = null, idleByteBudget = IDLE_BYTE_BUDGET } = options;
  const { recordsRuns = false } = options;
  checkOptions({ optimization, threads, idleByteBudget, recordsRuns });
  const isTraced = isSwitchedOn(TRACE_SWITCH, readVariable(TRACE_SWITCH));
  const structure = new ModelStructure(source, options);
  const { engine, because: engineReason } = await chooseEngine(options.engine ?? "auto");
  if (options.cuda !== undefined) checkCuda(options.cuda, options.provider ?? "auto", engine);
  if (recordsRuns) checkRecording(options.provider ?? "auto", engine);
  const provider: ResolvedProvider = await resolveProvider(options.provider ?? "auto", engine);
  const model = new Model(structure, {
    engine,
    engineReason,
    provider,
    optimization,
    threads: threads ?? threadBudget(availableCores(), openSessions()),
    idleByteBudget,
    cuda: options.cuda,
    recordsRuns: recordsRuns && provider.provider.name !== "cpu",
  });
  if (isTraced) await traceModel(model);
  return model;
}

/** The trace that the environment asks for. Its code is loaded here, and only when it is asked for. */
async function traceModel(model: Model): Promise<void> {
  try {
    const { traceFromEnvironment } = await import("../plugins/activation_trace/mod.ts");
    traceFromEnvironment(readVariable).attach(model, { modelName: model.label });
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** The options of CUDA are checked where they are given, not when the first session opens. */
function checkCuda(cuda: CudaOptions, provider: string, engine: Engine): void {
  cudaEntries(cuda);
  const why = provider !== "auto" && provider !== "cuda"
    ? `provider "${provider}" was asked for`
    : engine.name !== "native"
    ? `engine "${engine.name}" cannot pass them on`
    : null;
  if (why === null) return;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot open a model with options for CUDA: ${why}`,
    fix: 'use provider "cuda" with engine "native", or leave cuda out',
    details: { option: "cuda" },
  });
}

function checkRecording(provider: string, engine: Engine): void {
  const why = provider === "cpu"
    ? 'provider "cpu" was asked for'
    : engine.name !== "native"
    ? `engine "${engine.name}" cannot do it`
    : null;
  if (why === null) return;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot open a model that records its runs: ${why}`,
    fix: 'use provider "cuda" or "webgpu" with engine "native", or leave recordsRuns out',
    details: { option: "recordsRuns" },
  });
}

function checkOptions(options: {
  readonly optimization: string;
  readonly threads: number | null;
  readonly idleByteBudget: number;
  readonly recordsRuns: boolean;
}): void {
  const invalid = (name: string, found: unknown, wanted: string): HooklineError =>
    new HooklineError("OPTION_INVALID", {
      message: `cannot open a model with ${name} ${String(found)}: wanted ${wanted}`,
      fix: `give ${wanted}, or leave ${name} out`,
      details: { option: name },
    });
  if (!(LEVELS as readonly string[]).includes(options.optimization)) {
    throw invalid("optimization", `"${options.optimization}"`, `one of ${LEVELS.join(", ")}`);
  }
  if (
    options.threads !== null &&
    (!Number.isSafeInteger(options.threads) || options.threads < 1 || options.threads > 1024)
  ) {
    throw invalid("threads", options.threads, "a whole number from 1 to 1024");
  }
  if (typeof options.recordsRuns !== "boolean") {
    throw invalid("recordsRuns", options.recordsRuns, "true or false");
  }
  const budget: unknown = options.idleByteBudget;
  if (typeof budget !== "number" || !(budget >= 0)) {
    throw invalid("idleByteBudget", options.idleByteBudget, "a number of bytes");
  }
}
