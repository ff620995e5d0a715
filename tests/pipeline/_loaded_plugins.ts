// Plugins of strangers on a chain of layers, granted all that they ask for.

import { join } from "node:path";
import { grantRequested } from "../../manifest/grants.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import type { Model } from "../../pipeline/model.ts";
import { openModel } from "../../pipeline/open_model.ts";
import {
  type LoadedPlugin,
  loadPlugin,
  type LoadPluginOptions,
} from "../../pipeline/load_plugin.ts";
import { type ManifestFields, writePlugin } from "../manifest/_plugin_folders.ts";
import { chainModel } from "./_small_models.ts";

/** What a plugin is made from. */
export interface PluginSource {
  readonly manifest: ManifestFields;
  readonly code: string;
}

/** Writes, grants and loads a plugin. */
export async function loaded(
  folder: string,
  { manifest, code }: PluginSource,
  options: LoadPluginOptions = {},
): Promise<LoadedPlugin> {
  const place = join(folder, String(manifest["name"] ?? "plugin"));
  await writePlugin(place, { manifest, code });
  const grants = options.grants ?? grantRequested(readManifest(place));
  return await loadPlugin(place, { ...options, grants });
}

/** A chain of three layers on ONNX Runtime, exact. */
export function openChain(layers = 3): Promise<Model> {
  return openModel(chainModel(layers), { provider: "cpu", optimization: "disabled", threads: 1 });
}

/** Prepares and attaches. */
export async function attached(plugin: LoadedPlugin, model: Model): Promise<AsyncDisposable> {
  const context = { modelName: "chain" };
  await plugin.prepare?.(model, context);
  return plugin.attach(model, context) as AsyncDisposable;
}

/** Code of a transformer: each element becomes `value * factor + term`. */
export function affineCode(factor: number, term: number): string {
  return `export default {
    createHook: () => ({
      postForward(_call, outputs) {
        return Object.fromEntries(Object.entries(outputs).map(([name, { dtype, shape, data }]) =>
          [name, { dtype, shape, data: data.map((value) => value * ${factor} + ${term}) }]));
      },
    }),
  };`;
}
