// The version of the hook API that plugins are written against, and the one place that understands
// semver. It moves apart from the package's version: a release that changes no hook changes no API.

// @ts-types="@types/semver/functions/satisfies"
import satisfies from "semver/functions/satisfies.js";
// @ts-types="@types/semver/functions/valid"
import valid from "semver/functions/valid.js";
// @ts-types="@types/semver/ranges/valid"
import validRange from "semver/ranges/valid.js";
import { HooklineError } from "../errors/hookline_error.ts";
import { runtimeVersion } from "../host/versions.ts";
import type { PluginManifest } from "./plugin_manifest.ts";

/** The version of the hook API that this Hookline offers. */
export const HOOK_API_VERSION = "0.1.0";

/** True for a full version such as `1.2.0` or `1.2.0-beta.1`. */
export function isVersion(text: string): boolean {
  return valid(text) !== null;
}

/** True for a range such as `^1.2.0`, `>=2.9 <4` or `1.x || 2.x`. */
export function isVersionRange(text: string): boolean {
  return validRange(text) !== null;
}

/** Whether a version lies in a range. */
export function isInRange(version: string, range: string): boolean {
  return satisfies(version, range, { includePrerelease: true });
}

/**
 * Checks that a plugin was written for the hook API of this Hookline.
 *
 * @throws {HooklineError} HOOK_API_RANGE.
 */
export function requireHookApi(manifest: PluginManifest): void {
  const { name, version, apiVersion } = manifest;
  if (isInRange(HOOK_API_VERSION, apiVersion)) return;
  throw new HooklineError("HOOK_API_RANGE", {
    message:
      `cannot load ${name} ${version}: it needs hook API ${apiVersion}, this Hookline offers ${HOOK_API_VERSION}`,
    fix: `install a version of ${name} for hook API ${HOOK_API_VERSION}, or another Hookline`,
    details: { plugin: name, version, apiVersion, offered: HOOK_API_VERSION },
  });
}

/**
 * Checks that a plugin says it works with this runtime. A plugin that names no runtime works with all.
 *
 * @throws {HooklineError} PLUGIN_UNSUITED.
 */
export function requireRuntime(
  manifest: PluginManifest,
  runtime: string = runtimeVersion(),
): void {
  const engines: Readonly<Record<string, string>> = manifest.engines;
  const [name = "", version = ""] = runtime.split(" ");
  const named = Object.keys(engines).filter((engine) => engine === "deno" || engine === "node");
  const range = engines[name];
  if (named.length === 0 || (range !== undefined && isInRange(version, range))) return;
  throw unsuited(manifest, {
    needs: named.map((engine) => `${engine} ${engines[engine]}`).join(" or "),
    found: runtime,
  });
}

/**
 * Checks that a plugin says it works with this ONNX Runtime.
 *
 * @throws {HooklineError} PLUGIN_UNSUITED.
 */
export function requireOnnxRuntime(manifest: PluginManifest, version: string): void {
  const range = manifest.engines["onnxruntime-node"];
  if (range === undefined || isInRange(version, range)) return;
  throw unsuited(manifest, { needs: `ONNX Runtime ${range}`, found: version });
}

/** The error for a plugin that does not work here. */
export function unsuited(
  { name, version }: PluginManifest,
  { needs, found }: { readonly needs: string; readonly found: string },
): HooklineError {
  return new HooklineError("PLUGIN_UNSUITED", {
    message: `cannot use ${name} ${version}: it needs ${needs}, found is ${found}`,
    fix: `install a version of ${name} that works with ${found}, or change what it runs on`,
    details: { plugin: name, version, needs, found },
  });
}
