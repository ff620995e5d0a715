// What a plugin's realm may read, made safe to grant: Deno follows a symbolic link inside an allowed folder
// out of it, so a folder is granted by its real path and only when no link lies below it. It grants
// nothing itself.

import { lstatSync, readdirSync, realpathSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { causeText } from "../../errors/cause_text.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import type { HostSpec } from "./host_spec.ts";

/** More entries than this below one granted folder are refused rather than walked. */
const ENTRY_LIMIT = 100_000;

/**
 * The folders and files that the plugin may read: its own folder first, then what it was granted.
 *
 * @throws {HooklineError} PLUGIN_ISOLATION when one of them is or holds a symbolic link, cannot be read,
 * or when the main module lies outside the plugin's folder.
 */
export function readablePaths(spec: HostSpec): readonly string[] {
  const { root, mainUrl, rights: { plugin, fsRead } } = spec;
  const main = mainUrl.startsWith("file:") ? fileURLToPath(mainUrl) : "";
  if (!main.startsWith(root + sep)) {
    throw unsafe(plugin, root, `its main module "${mainUrl}" lies outside its folder`);
  }
  for (const path of [root, ...fsRead]) refuseLinks(plugin, path);
  return [root, ...fsRead];
}

function refuseLinks(plugin: string, root: string): void {
  let left = ENTRY_LIMIT;
  const walk = (path: string): void => {
    if (left-- <= 0) throw unsafe(plugin, root, `it holds more than ${ENTRY_LIMIT} entries`);
    const found = lstatSync(path);
    if (found.isSymbolicLink()) throw unsafe(plugin, root, `"${path}" is a symbolic link`);
    if (found.isDirectory()) {
      for (const name of readdirSync(path).sort()) {
        walk(join(path, name));
      }
    }
  };
  try {
    if (realpathSync(root) !== root) {
      throw unsafe(plugin, root, `its real path is "${realpathSync(root)}"`);
    }
    walk(root);
  } catch (cause) {
    if (cause instanceof HooklineError) throw cause;
    throw unsafe(plugin, root, causeText(cause), cause);
  }
}

function unsafe(plugin: string, path: string, why: string, cause?: unknown): HooklineError {
  return new HooklineError("PLUGIN_ISOLATION", {
    message: `cannot isolate plugin "${plugin}" with "${path}": ${why}`,
    fix: "put real files in the place of links, and name folders by their real path",
    details: { plugin, path },
    cause,
  });
}
