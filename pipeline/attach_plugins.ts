// Several plugins on one model that is open already, outside of a pipeline. Invariant: they are attached all
// or not at all, and the order in which they are named changes nothing.

import { HooklineError } from "../errors/hookline_error.ts";
import type { Model } from "./model.ts";
import type { Plugin } from "./plugin.ts";

/**
 * Prepares and attaches plugins, sorted by name; what is returned takes them off again.
 *
 * @throws {HooklineError} HOOK_ORDER_UNKNOWN when one requires another that is absent, PIPELINE_INVALID
 * when two share a name, and what the plugins throw; the model is then as it was.
 *
 * @example
 * ```ts
 * import { attachPlugins, openModel } from "@hookline/hookline";
 * import { nanGuard } from "@hookline/hookline/plugins/nan-guard";
 * await using model = await openModel("bert.onnx");
 * await using _plugins = await attachPlugins(model, [nanGuard()]);
 * console.log(model.plan().kind); // tapped
 * ```
 */
export async function attachPlugins(
  model: Model,
  plugins: readonly Plugin[],
  modelName: string = model.label,
): Promise<AsyncDisposable> {
  const sorted = [...plugins].sort((left, right) => left.name < right.name ? -1 : 1);
  const names = new Set(sorted.map(({ name }) => name));
  const twice = sorted.find(({ name }, index) => sorted[index + 1]?.name === name);
  if (twice !== undefined) {
    throw new HooklineError("PIPELINE_INVALID", {
      message: `cannot attach plugins to "${modelName}": two are called "${twice.name}"`,
      fix: "give each plugin once",
      details: { plugin: twice.name },
    });
  }
  requirePresent(sorted, names);
  await using stack = new AsyncDisposableStack();
  for (const plugin of sorted) {
    await plugin.prepare?.(model, { modelName });
    const attached = plugin.attach(model, { modelName });
    if (attached !== undefined) stack.use(attached as AsyncDisposable);
  }
  return stack.move();
}

/**
 * Checks that every plugin that another one requires is there.
 *
 * @throws {HooklineError} HOOK_ORDER_UNKNOWN.
 */
export function requirePresent(plugins: readonly Plugin[], names: ReadonlySet<string>): void {
  for (const { name, requires = [] } of plugins) {
    const missing = requires.find((required) => !names.has(required));
    if (missing === undefined) continue;
    throw new HooklineError("HOOK_ORDER_UNKNOWN", {
      message: `cannot attach the plugin "${name}": it requires "${missing}", which is absent`,
      fix: `add the plugin "${missing}", or leave "${name}" out`,
      details: { plugin: name, requires: missing },
    });
  }
}
