// Several models that belong together (a text encoder, a denoiser, a decoder), opened and closed as one,
// with the same plugins on each. Invariant: a pipeline that fails to open leaves nothing open.

import { HooklineError } from "../errors/hookline_error.ts";
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
   * @throws whatever `openModel` or a plugin throws; then nothing stays open.
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
 * @throws {HooklineError} PIPELINE_INVALID when there is no model or two plugins share a name.
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
  const { models, plugins = [], ...shared } = definition;
  const names = Object.keys(models) as Name[];
  if (names.length === 0) throw invalid("it has no models", "name at least one model");
  const seen = new Set<string>();
  for (const plugin of plugins) {
    if (seen.has(plugin.name)) {
      throw invalid(`two plugins are called "${plugin.name}"`, "give each plugin once");
    }
    seen.add(plugin.name);
  }
  return {
    async open(): Promise<Pipeline<Name>> {
      await using stack = new AsyncDisposableStack();
      const opened = Object.create(null) as Record<Name, Model>;
      for (const name of names) {
        const { source, options } = split(models[name]);
        const model = stack.use(await openModel(source, { ...shared, ...options }));
        opened[name] = model;
        for (const plugin of plugins) {
          const attached = plugin.attach(model, { modelName: name });
          if (attached === undefined) continue;
          if (Symbol.asyncDispose in attached) stack.use(attached);
          else stack.use(attached);
        }
      }
      return new Pipeline<Name>(Object.freeze(opened), stack.move());
    },
  };
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
