// Several models that belong together (a text encoder, a denoiser, a decoder), opened and closed as one,
// with the same plugins on each. Invariant: a pipeline that fails to open leaves nothing open.

import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import { requirePresent } from "./attach_plugins.ts";
import type { Model } from "./model.ts";
import type { ModelSource } from "./model_structure.ts";
import { openModel, type OpenOptions } from "./open_model.ts";
import type { Plugin } from "./plugin.ts";

/** A model of a pipeline: where it comes from, and how it differs from the pipeline's options. */
export type PipelineModel = ModelSource | (OpenOptions & { readonly source: ModelSource });

/** What {@linkcode definePipeline} takes. */
export interface PipelineDefinition<Name extends string>
  extends Omit<OpenOptions, "boundaries" | "weightFolder"> {
  /** The models by name. */
  readonly models: Readonly<Record<Name, PipelineModel>>;
  /** Plugins to attach to every model, in any order: the order of hooks is decided by their names. */
  readonly plugins?: readonly Plugin[];
}

/** A pipeline that can be opened. */
export interface PipelineRecipe<Name extends string> {
  /**
   * Opens every model and attaches every plugin.
   *
   * @throws {HooklineError} whatever `openModel` or a plugin throws, PIPELINE_INVALID for a plugin that
   * fails otherwise; then nothing stays open.
   */
  open(): Promise<Pipeline<Name>>;
}

/** An open pipeline; close it with `await using` or `close`. */
export class Pipeline<Name extends string> {
  /** The models by name. */
  readonly models: Readonly<Record<Name, Model>>;
  readonly #stack: AsyncDisposableStack;

  /** Use `definePipeline(…).open()`. */
  constructor(models: Readonly<Record<Name, Model>>, stack: AsyncDisposableStack) {
    this.models = models;
    this.#stack = stack;
  }

  /** Detaches the plugins and closes the models, in the reverse order of opening. */
  close(): Promise<void> {
    return this.#stack.disposeAsync();
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Describes a pipeline of models; opening it is a separate step.
 *
 * @throws {HooklineError} PIPELINE_INVALID when there is no model, a model or plugin is missing or
 * incomplete, or two plugins share a name.
 *
 * @example
 * ```ts
 * import { definePipeline, traceStep } from "@hookline/hookline";
 * await using pipeline = await definePipeline({
 *   models: { encoder: "bert.onnx", unet: "unet.onnx" },
 *   provider: "cpu",
 * }).open();
 * for (let step = 0; step < 3; step++) {
 *   await traceStep(step, () => pipeline.models.unet.prepare());
 * }
 * ```
 */
export function definePipeline<Name extends string>(
  definition: PipelineDefinition<Name>,
): PipelineRecipe<Name> {
  const names = checkDefinition(definition);
  const { models, plugins = [], ...shared } = definition;
  return {
    async open(): Promise<Pipeline<Name>> {
      await using stack = new AsyncDisposableStack();
      const opened = Object.create(null) as Record<Name, Model>;
      for (const name of names) {
        const { source, options } = split(models[name]);
        const model = stack.use(await openModel(source, { ...shared, ...options }));
        opened[name] = model;
        for (const plugin of plugins) {
          await plugin.prepare?.(model, { modelName: name });
          const attached = attach(plugin, model, name);
          if (attached !== null) stack.use(attached as AsyncDisposable);
        }
      }
      return new Pipeline<Name>(Object.freeze(opened), stack.move());
    },
  };
}

/** The names of the models, after every check that opens nothing. */
function checkDefinition<Name extends string>(definition: PipelineDefinition<Name>): Name[] {
  const { models, plugins = [] } = (definition ?? {}) as Partial<PipelineDefinition<Name>>;
  if (typeof models !== "object" || models === null) {
    throw invalid("its models are missing", "give { models: { NAME: PATH } }");
  }
  const names = Object.keys(models) as Name[];
  if (names.length === 0) throw invalid("it has no models", "name at least one model");
  for (const name of names) {
    const model = models[name] as PipelineModel | null | undefined;
    const isGiven = (value: unknown): boolean => value !== undefined && value !== null;
    if (isGiven(model) && isGiven(split(model as PipelineModel).source)) continue;
    throw invalid(`its model "${name}" is missing`, `give "${name}" a path, or leave it out`);
  }
  if (!Array.isArray(plugins)) throw invalid("its plugins are no list", "give plugins: [PLUGIN]");
  const seen = new Set<string>();
  for (const [index, plugin] of (plugins as readonly unknown[]).entries()) {
    const { name, attach } = (plugin ?? {}) as Partial<Plugin>;
    if (typeof name !== "string" || name === "") {
      throw invalid(`its plugin ${index} has no name`, "give plugins with a name and attach()");
    }
    if (typeof attach !== "function") {
      throw invalid(`its plugin "${name}" has no attach()`, "implement Plugin");
    }
    if (seen.has(name)) throw invalid(`two plugins are called "${name}"`, "give each plugin once");
    seen.add(name);
  }
  requirePresent(plugins, seen);
  return names;
}

/** Attaches a plugin; what it returned to be disposed of, or null. */
function attach(
  plugin: Plugin,
  model: Model,
  modelName: string,
): Disposable | AsyncDisposable | null {
  const refused = (what: string, fix: string, cause?: unknown): HooklineError =>
    new HooklineError("PIPELINE_INVALID", {
      message: `cannot attach plugin "${plugin.name}" to "${modelName}": ${what}`,
      fix,
      details: { plugin: plugin.name, model: modelName },
      cause,
    });
  let attached: unknown;
  try {
    attached = plugin.attach(model, { modelName });
  } catch (cause) {
    if (cause instanceof HooklineError) throw cause;
    throw refused(
      `it threw: ${causeText(cause)}`,
      "mend the plugin; the error that it threw is this error's cause",
      cause,
    );
  }
  if (attached === undefined) return null;
  const found = (typeof attached === "object" && attached !== null ? attached : {}) as
    & Partial<Disposable & AsyncDisposable>
    & { readonly then?: unknown };
  if (typeof found.then === "function") {
    Promise.resolve(attached).catch(() => {}); // its failure must not end the process
    throw refused("its attach() returned a promise", "attach without waiting; prepare before it");
  }
  const dispose = found[Symbol.asyncDispose] ?? found[Symbol.dispose];
  if (typeof dispose === "function") return attached as Disposable | AsyncDisposable;
  throw refused(
    "its attach() returned something that cannot be disposed of",
    "return nothing, or an object with [Symbol.dispose]() or [Symbol.asyncDispose]()",
  );
}

function split(model: PipelineModel): { source: ModelSource; options: OpenOptions } {
  if (typeof model === "object" && "source" in model) {
    const { source, ...options } = model;
    return { source, options };
  }
  return { source: model, options: {} };
}

function invalid(found: string, wanted: string): HooklineError {
  return new HooklineError("PIPELINE_INVALID", {
    message: `cannot define the pipeline: ${found}`,
    fix: wanted,
  });
}
