// From what a person writes (a folder, a manifest, `npm:` or `jsr:` specifier) to a folder on disk that can
// be hashed before any of its code runs. It checks no manifest. A package that lies on a server is brought
// to disk first: only the files that its manifest signs.

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import { parseManifest } from "./read_manifest.ts";

/** How {@linkcode locatePlugin} finds plugins. */
export interface LocateOptions {
  /** Where packages that lie on a server are brought to; `.hookline/plugins` by default. */
  readonly downloadFolder?: string;
}

/**
 * The path of a plugin's manifest or folder.
 *
 * An npm package must export `./plugin.json`. A JSR package is taken from disk where `links`, a workspace
 * or a vendor folder holds it, and downloaded otherwise: its manifest must then have `integrity`.
 *
 * @throws {HooklineError} PLUGIN_NOT_FOUND when the specifier leads nowhere.
 */
export async function locatePlugin(
  specifier: string,
  options: LocateOptions = {},
): Promise<string> {
  if (specifier.startsWith("npm:")) return await locatePackage(specifier, options);
  if (specifier.startsWith("jsr:")) return await locatePackage(specifier, options);
  if (specifier.startsWith("file:")) return fileURLToPath(specifier);
  if (/^[a-z][a-z0-9+.-]+:/i.test(specifier)) {
    throw notFound(specifier, "only folders, npm: and jsr: specifiers are plugins");
  }
  return specifier;
}

async function locatePackage(specifier: string, options: LocateOptions): Promise<string> {
  const manifest = /\.json$/.test(specifier) ? specifier : `${specifier}/plugin.json`;
  const url = isDeno()
    ? await resolveInDeno(specifier, manifest)
    : resolveInNode(specifier, manifest);
  if (url.startsWith("file:")) return fileURLToPath(url);
  return await downloadPlugin(url, options.downloadFolder ?? join(".hookline", "plugins"));
}

function isDeno(): boolean {
  return typeof (globalThis as { readonly Deno?: object }).Deno === "object";
}

/** Importing the manifest makes Deno fetch the package; then it can say where that lies. */
async function resolveInDeno(specifier: string, manifest: string): Promise<string> {
  try {
    await import(manifest, { with: { type: "json" } });
    return import.meta.resolve(manifest);
  } catch (cause) {
    // Hookline itself may be a package in node_modules, from where Deno resolves no npm: specifiers.
    const installed = installedPath(manifest);
    if (installed !== null) return installed;
    throw notFound(specifier, causeText(cause), cause);
  }
}

/** Node knows no npm: specifiers: the package is one that the application has installed. */
function resolveInNode(specifier: string, manifest: string): string {
  const installed = installedPath(manifest);
  if (installed !== null) return installed;
  throw notFound(specifier, "the application has installed no such package");
}

/** Where the application's node_modules holds a file of a package; null where they do not. */
function installedPath(manifest: string): string | null {
  const path = manifest.replace(/^(npm|jsr):\/?/, "").replace(/^((?:@[^/]+\/)?[^/@]+)@[^/]+/, "$1");
  try {
    return pathToFileURL(createRequire(join(process.cwd(), "noop.js")).resolve(path)).href;
  } catch {
    return null;
  }
}

/**
 * Brings a plugin to disk: its manifest, and the files that the manifest signs.
 *
 * @returns The folder that holds it, below `folder`.
 * @throws {HooklineError} PLUGIN_NOT_FOUND when a file cannot be fetched, HOOK_INTEGRITY_UNSIGNED when
 * the manifest signs nothing, HOOK_INTEGRITY_MODIFIED when a file is not the signed one.
 */
export async function downloadPlugin(manifestUrl: string, folder: string): Promise<string> {
  const bytes = await fetchBytes(manifestUrl);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw notFound(manifestUrl, `its manifest is no JSON: ${causeText(cause)}`, cause);
  }
  const manifest = parseManifest(value, manifestUrl);
  const { name, version, integrity } = manifest;
  if (integrity === null) {
    throw new HooklineError("HOOK_INTEGRITY_UNSIGNED", {
      message: `cannot download ${name} ${version}: its manifest signs no files`,
      fix: "ask its author to run `hookline plugin check --sign` before publishing",
      details: { plugin: name, version },
    });
  }
  const target = join(folder, `${name}-${version}`);
  const files = new Map<string, Uint8Array>([["./plugin.json", bytes]]);
  for (const [path, wanted] of Object.entries(integrity)) {
    const file = await fetchBytes(new URL(path, manifestUrl).href);
    const found = `sha256-${createHash("sha256").update(file).digest("base64")}`;
    if (found !== wanted) {
      throw new HooklineError("HOOK_INTEGRITY_MODIFIED", {
        message: `cannot download ${name} ${version}: ${path} differs from the manifest`,
        fix: "tell its author; nothing of it was kept",
        details: { plugin: name, files: [path] },
      });
    }
    files.set(path, file);
  }
  // Only now: a plugin that is not whole leaves nothing on disk.
  for (const [path, file] of files) {
    const place = join(target, path);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, file);
  }
  return target;
}

async function fetchBytes(url: string): Promise<Uint8Array> {
  try {
    const response = await fetch(url);
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`the server answered ${response.status}`);
    }
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw notFound(url, causeText(cause), cause);
  }
}

function notFound(specifier: string, found: string, cause?: unknown): HooklineError {
  return new HooklineError("PLUGIN_NOT_FOUND", {
    message: `cannot find the plugin "${specifier}": ${found.split("\n")[0]}`,
    fix:
      "give a folder with a plugin.json, or the specifier of a package that exports ./plugin.json",
    details: { specifier },
    cause,
  });
}
