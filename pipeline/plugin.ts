// What a plugin is to the pipeline: a name and a way to attach itself to a model. Manifests and grants
// come before this, hooks after it.

import type { Model } from "./model.ts";

/** A plugin that is ready to be attached to models. */
export interface Plugin {
  /** The plugin's name, unique within a pipeline. */
  readonly name: string;
  /** Names of plugins without which this one cannot be in a pipeline. */
  readonly requires?: readonly string[];
  /**
   * Awaited before `attach` for the same model: what cannot be done at once, such as loading code or
   * starting a worker. A pipeline does it by itself.
   */
  prepare?(model: Model, context: PluginContext): Promise<void>;
  /**
   * Registers the plugin's hooks on one model. What is returned is disposed when the model or pipeline
   * closes; throwing leaves the model without the plugin.
   */
  attach(model: Model, context: PluginContext): Disposable | AsyncDisposable | void;
}

/** What a plugin may know of where it is attached. */
export interface PluginContext {
  /** The model's name in its pipeline. */
  readonly modelName: string;
}
