/**
 * Writes statistics of every module's output to a JSONL file while a model runs, so that two runs (here
 * and in PyTorch, before and after a change, on two machines) can be compared module by module.
 *
 * @example
 * ```ts
 * import { definePipeline } from "@hookline/hookline";
 * import { activationTrace } from "@hookline/hookline/plugins/activation-trace";
 * const trace = activationTrace({ layers: "layer\\.\\d+$", output: "<tmp>/trace_<pid>.jsonl" });
 * await using pipeline = await definePipeline({
 *   models: { encoder: "bert.onnx" },
 *   provider: "cpu",
 *   plugins: [trace],
 * }).open();
 * console.log(pipeline.models.encoder.explain());
 * ```
 *
 * @module
 */

import {
  type GraphModule,
  HooklineError,
  HookRegistry,
  type Model,
  type ModelHook,
  type Plugin,
  type PluginContext,
} from "../../mod.ts";
import { nameVariable, optionsFromVariables } from "./environment.ts";
import { type LabelMap, resolveLabels } from "./labels.ts";
import { type ActivationTraceOptions, resolveOptions, type TraceSettings } from "./options.ts";
import { SharedSink } from "./shared_sink.ts";
import { CallTraceHook, InputTraceHook, OutputTraceHook } from "./trace_hooks.ts";
import { type RecorderSubject, TraceRecorder } from "./trace_recorder.ts";

export type { LabelList, LabelMap, ModuleLabels } from "./labels.ts";
export type { ActivationTraceOptions } from "./options.ts";
export { TRACE_STATISTICS, type TraceStatistic } from "./statistics.ts";

/** A trace as a plugin; attach it to as many models as you like, they share its file. */
export interface ActivationTracePlugin extends Plugin {
  /**
   * Begins to trace a model. Nothing is registered and no file opened when anything is refused; a second
   * time for the same model gives what the first one gave. Undefined when the trace is not enabled, or
   * when all modules of a model without any are to be traced.
   *
   * @throws {HooklineError} HOOK_MATCH_EMPTY or SELECTOR_SYNTAX for the chosen modules, OPTION_INVALID
   * for labels that do not fit, HOOK_NAME_DUPLICATE when another trace of this name is on the model,
   * FILE_WRITE when the file cannot be opened.
   */
  attach(model: Model, context: PluginContext): ActivationTrace | undefined;
}

/** A trace that is attached to one model. */
export interface ActivationTrace extends AsyncDisposable {
  /** The file. */
  readonly path: string;
  /** Paths of the traced modules, in execution order. */
  readonly modules: readonly string[];
  /** How many records were made up to now. */
  readonly recordCount: number;
  /** Ends the trace after the calls in flight and closes the file. A second time it does nothing. */
  detach(): Promise<void>;
}

/**
 * A trace of activations.
 *
 * Every forward of every chosen module makes a record for each of its tensors; records reach the file
 * when the call of the model ends. While the trace is on, the chosen modules' outputs are taps of one
 * session: nothing is cut. The file's form is described in docs/plugins/activation_trace.md.
 *
 * @throws {HooklineError} OPTION_INVALID when an option is wrong by itself.
 *
 * @example
 * ```ts
 * import { openModel, tensor } from "@hookline/hookline";
 * import { activationTrace } from "@hookline/hookline/plugins/activation-trace";
 * await using model = await openModel("bert.onnx", { provider: "cpu" });
 * const plugin = activationTrace({ stats: ["abs_mean", "shape"], output: "<tmp>/t_<pid>.jsonl" });
 * await using trace = plugin.attach(model, { modelName: "bert" });
 * const ids = tensor("int64", [1, 2], BigInt64Array.of(0n, 1n));
 * await model.run({ input_ids: ids, attention_mask: ids, token_type_ids: ids });
 * console.log(trace?.recordCount, trace?.modules[0]); // 54 embeddings
 * ```
 */
export function activationTrace(options: ActivationTraceOptions = {}): ActivationTracePlugin {
  const settings = resolveOptions(options);
  const sink = new SharedSink(settings);
  const attached = new WeakMap<Model, AttachedTrace>();
  return Object.freeze({
    name: settings.name,
    attach(model: Model, context: PluginContext): ActivationTrace | undefined {
      if (options.enabled === false) return undefined;
      const before = attached.get(model);
      if (before?.isActive === true) return before;
      const trace = attach(settings, { model, context, sink });
      if (trace !== undefined) attached.set(model, trace);
      return trace;
    },
  });
}

/**
 * The trace that the environment asks for, once `HOOKLINE_TRACE_ACTIVATIONS` is on: `openModel` attaches
 * it then. `read` gives the value of a variable, or undefined where it is not set or may not be read.
 *
 * @throws {HooklineError} OPTION_INVALID, with the name of the variable that is wrong.
 *
 * @example
 * ```ts
 * import { traceFromEnvironment } from "@hookline/hookline/plugins/activation-trace";
 * const variables = new Map([["HOOKLINE_TRACE_STATS", "abs_mean,max"]]);
 * console.log(traceFromEnvironment((name) => variables.get(name)).name);
 * ```
 */
export function traceFromEnvironment(
  read: (variable: string) => string | undefined,
): ActivationTracePlugin {
  try {
    return activationTrace(optionsFromVariables(read));
  } catch (error) {
    throw nameVariable(error);
  }
}

/** One attachment: the handles of its hooks, the model's own last. */
class AttachedTrace implements ActivationTrace {
  readonly path: string;
  readonly modules: readonly string[];
  readonly #recorder: TraceRecorder;
  readonly #hooks: AsyncDisposableStack;

  constructor(
    recorder: TraceRecorder,
    hooks: AsyncDisposableStack,
    facts: { readonly path: string; readonly modules: readonly string[] },
  ) {
    this.path = facts.path;
    this.modules = facts.modules;
    this.#recorder = recorder;
    this.#hooks = hooks;
  }

  get recordCount(): number {
    return this.#recorder.recordCount;
  }

  get isActive(): boolean {
    return this.#recorder.isOpen;
  }

  detach(): Promise<void> {
    return this.#hooks.disposeAsync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.detach();
  }
}

function attach(
  settings: TraceSettings,
  { model, context, sink }: {
    readonly model: Model;
    readonly context: PluginContext;
    readonly sink: SharedSink;
  },
): AttachedTrace | undefined {
  const { modules, untraced } = chooseModules(model, settings);
  if (modules.length === 0) return undefined;
  const labels: LabelMap = settings.labels;
  const outputs = resolveLabels(model, modules, { labels, side: "out" });
  const inputs = resolveLabels(model, modules, { labels, side: "in" });
  refuseSecond(model, settings.name, modules);
  const subject: RecorderSubject = {
    model,
    modelName: context.modelName,
    moduleCount: modules.length,
    untraced,
  };
  const recorder = new TraceRecorder(settings, subject, sink);
  const hooks = new AsyncDisposableStack();
  {
    // Undone at once when anything is refused; kept when all of it was accepted.
    using attempt = new DisposableStack();
    const register = (path: string, hook: ModelHook): void => {
      hooks.use(attempt.use(model.registry(path).register(hook, { plugin: settings.name })));
    };
    // Detached in reverse, so the model's own hook goes last and closes the trace.
    register("", new CallTraceHook(recorder));
    for (const { path } of modules) {
      const tensors = { inputs: inputs.get(path) ?? [], outputs: outputs.get(path) ?? [] };
      register(
        path,
        settings.inputs
          ? new InputTraceHook(recorder, tensors)
          : new OutputTraceHook(recorder, tensors),
      );
    }
    recorder.open();
    attempt.move();
  }
  const paths = Object.freeze(modules.map(({ path }) => path));
  return new AttachedTrace(recorder, hooks, { path: sink.path, modules: paths });
}

/** The modules to trace, never the model itself, and those inside control flow, which cannot be. */
function chooseModules(
  model: Model,
  { selector }: TraceSettings,
): { readonly modules: readonly GraphModule[]; readonly untraced: readonly string[] } {
  const found = selector === null ? model.modules : model.select(selector);
  const named = found.filter((module) => module.path !== "");
  const modules = named.filter(({ insideBody, calls }) => insideBody === null && calls.length > 0);
  const untraced = named.filter(({ insideBody }) => insideBody !== null).map(({ path }) => path);
  if (selector !== null && modules.length === 0) {
    const shown = named[0]?.path;
    throw new HooklineError("HOOK_MATCH_EMPTY", {
      message: shown === undefined
        ? `cannot trace "${model.label}": the model itself is never traced, only its modules`
        : `cannot trace "${model.label}": of the chosen modules ("${shown}", …) each is a container ` +
          "that is never called, or lies inside control flow",
      fix: "choose other modules; `hookline inspect` lists them",
      details: { nearest: named.slice(0, 3).map(({ path }) => path) },
    });
  }
  return { modules, untraced };
}

/** Before a file is opened: a model takes one trace of a name. */
function refuseSecond(model: Model, name: string, modules: readonly GraphModule[]): void {
  for (const path of ["", ...modules.map((module) => module.path)]) {
    if (HookRegistry.find(model, path)?.has(name) !== true) continue;
    throw new HooklineError("HOOK_NAME_DUPLICATE", {
      message: `cannot trace "${model.label}" twice: it has a trace called "${name}" already`,
      fix: "detach the first one, or give this one another name",
      details: { hook: name, module: path },
    });
  }
}
