// Calls of `hookline plugin …` in folders of their own, with the worker flag that they need.

import { join } from "node:path";
import { type ManifestFields, withFolder, writePlugin } from "../manifest/_plugin_folders.ts";
import { called, documentOf, type Outcome } from "./_hookline.ts";

/** A folder with a plugin in it and a place for a file of grants. */
export interface PluginPlace {
  readonly folder: string;
  readonly plugin: string;
  readonly lock: string;
}

/** Writes a plugin and gives its place. */
export async function withPlugin(
  source: { readonly manifest?: ManifestFields; readonly code?: string },
  use: (place: PluginPlace) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const plugin = await writePlugin(join(folder, "plugin"), source);
    await use({ folder, plugin, lock: join(folder, "hookline.lock.json") });
  });
}

/** The document of a good or bad end, with its status. */
export async function pluginCall(
  ...args: readonly string[]
): Promise<{ readonly outcome: Outcome; readonly document: Record<string, unknown> }> {
  const outcome = await called(["plugin", ...args, "--json"]);
  return { outcome, document: documentOf(outcome) };
}
