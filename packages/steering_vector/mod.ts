/**
 * A Hookline plugin that adds a vector to what chosen modules put out, at every position: activation
 * steering. The vector and its weight are options: `{ vector: number[], scale?: number }`.
 *
 * Shape: outputs are float32 `[…, width]`, `vector` holds `width` numbers; an output of another width is
 * left as it is.
 *
 * @example
 * ```ts ignore
 * import { definePipeline, loadPlugin } from "@hookline/hookline";
 * await using plugin = await loadPlugin("npm:@hookline/steering-vector", {
 *   modules: "encoder.layer.1",
 *   options: { vector: new Array(32).fill(0.1), scale: 4 },
 * });
 * await using pipeline = await definePipeline({
 *   models: { encoder: "bert.onnx" },
 *   plugins: [plugin],
 * }).open();
 * ```
 *
 * Source: activation addition (Turner et al., arXiv 2308.10248).
 *
 * @module
 */

import type { PluginModule, PluginOptions, Tensor } from "@hookline/hookline";

/**
 * The plugin: it makes one hook for each module that its manifest, or the application, chooses.
 *
 * `createHook` throws a TypeError when `vector` is no list of finite numbers.
 */
const plugin: PluginModule = {
  createHook(_module, host) {
    const steps = stepsOf(host.options);
    return {
      postForward(_call, outputs) {
        const steered: Record<string, Tensor> = {};
        for (const [name, tensor] of Object.entries(outputs)) {
          const { shape, data } = tensor;
          if (!(data instanceof Float32Array) || shape.at(-1) !== steps.length) continue;
          const sum = data.map((value, index) => value + (steps[index % steps.length] ?? 0));
          steered[name] = { ...tensor, data: sum };
        }
        return steered;
      },
    };
  },
};

/** What is added to each element of a row. Without options that is nothing. */
function stepsOf(options: PluginOptions): readonly number[] {
  if (options === null) return [];
  const { vector, scale = 1 } = options as { readonly vector?: unknown; readonly scale?: unknown };
  const isNumber = (value: unknown): value is number => Number.isFinite(value);
  if (!Array.isArray(vector) || !vector.every(isNumber) || !isNumber(scale)) {
    throw new TypeError("steering-vector wants { vector: number[], scale?: number }");
  }
  return vector.map((value) => value * scale);
}

export default plugin;
