// Output capture as a plugin of a pipeline: one capture per model, by the model's name. It adds nothing
// to what a capture does.

import { HooklineError, type Model, type Plugin, type PluginContext } from "../../mod.ts";
import type { CaptureOptions } from "./capture_options.ts";
import { OutputCapture } from "./output_capture.ts";

/**
 * Output capture for every model of a pipeline; make one with {@linkcode outputCapturePlugin}.
 */
export class OutputCapturePlugin implements Plugin {
  /** `output-capture`. */
  readonly name = "output-capture";
  readonly #options: (modelName: string) => CaptureOptions;
  readonly #captures = new Map<string, OutputCapture>();

  /** Use {@linkcode outputCapturePlugin}. */
  constructor(options: (modelName: string) => CaptureOptions) {
    this.#options = options;
  }

  /** Called by the pipeline for each of its models. */
  attach(model: Model, context: PluginContext): AsyncDisposable {
    const { modelName } = context;
    const capture = new OutputCapture(model, this.#options(modelName));
    this.#captures.set(modelName, capture);
    return {
      [Symbol.asyncDispose]: async () => {
        if (this.#captures.get(modelName) === capture) this.#captures.delete(modelName);
        await capture.dispose();
      },
    };
  }

  /**
   * The capture of one model of the open pipeline.
   *
   * @throws {HooklineError} OPTION_INVALID when no open pipeline has a model of this name.
   */
  of(modelName: string): OutputCapture {
    const capture = this.#captures.get(modelName);
    if (capture !== undefined) return capture;
    const names = [...this.#captures.keys()];
    throw new HooklineError("OPTION_INVALID", {
      message: `cannot capture outputs of "${modelName}": no open pipeline has such a model`,
      fix: names.length === 0
        ? "open the pipeline first, with this plugin in its definition"
        : `use ${names.join(", ")}`,
      details: { model: modelName, models: names },
    });
  }
}

/**
 * Output capture as a plugin of a pipeline.
 *
 * @param options The same for every model, or by the model's name.
 *
 * @example
 * ```ts
 * import { definePipeline } from "@hookline/hookline";
 * import { outputCapturePlugin } from "@hookline/hookline/plugins/output-capture";
 * const capture = outputCapturePlugin();
 * await using _pipeline = await definePipeline({
 *   models: { text: "bert.onnx" },
 *   plugins: [capture],
 * }).open();
 * console.log(capture.of("text").keys); // [ "hidden_states", "attentions" ]
 * ```
 */
export function outputCapturePlugin(
  options: CaptureOptions | ((modelName: string) => CaptureOptions) = {},
): OutputCapturePlugin {
  return new OutputCapturePlugin(typeof options === "function" ? options : () => options);
}
