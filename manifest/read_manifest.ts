// From a folder, or from the manifest file itself, to a checked manifest. No code of the plugin is loaded
// for this. Invariant: the root is a real path, so that later checks of "inside the root" hold.

import { createHash } from "node:crypto";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import { requireHookApi, requireRuntime } from "./hook_api.ts";
import { manifestIssues } from "./manifest_rules.ts";
import { readSchema, type SchemaIssue } from "./manifest_schema.ts";
import type { PluginManifest } from "./plugin_manifest.ts";

/** The name of the manifest in a plugin's folder. */
export const MANIFEST_FILE = "plugin.json";

/** A plugin on disk whose manifest was read and whose code was not. */
export interface PluginFolder {
  /** Real path of its folder. */
  readonly root: string;
  /** Real path of its manifest. */
  readonly manifestPath: string;
  /** What the manifest says. */
  readonly manifest: PluginManifest;
  /** sha256 of the manifest's bytes, in hex. */
  readonly manifestSha256: string;
}

/** The largest manifest that is read, in bytes. */
const MANIFEST_MAX = 1_048_576;

/**
 * Reads and checks a manifest.
 *
 * @param path The plugin's folder, or a manifest in it of another name (`*.plugin.json`).
 * @throws {HooklineError} PLUGIN_NOT_FOUND when there is none or it cannot be read, MANIFEST_INVALID with
 * the JSON Pointer of the first fault and all of them in `findings`, HOOK_API_RANGE or PLUGIN_UNSUITED
 * when it was written for another Hookline or runtime.
 */
export function readManifest(path: string): PluginFolder {
  const folder = openManifest(path);
  requireHookApi(folder.manifest);
  requireRuntime(folder.manifest);
  return folder;
}

/** {@linkcode readManifest} without the question whether the plugin works here. */
export function openManifest(path: string): PluginFolder {
  const { manifestPath, bytes } = readBytes(path);
  return {
    root: dirname(manifestPath),
    manifestPath,
    manifest: parseManifest(parseJson(bytes, path), path),
    manifestSha256: createHash("sha256").update(bytes).digest("hex"),
  };
}

/**
 * Checks what a manifest says; `label` names it in errors.
 *
 * @throws {HooklineError} MANIFEST_INVALID.
 */
export function parseManifest(value: unknown, label: string): PluginManifest {
  const read = readSchema(value);
  if ("issues" in read) throw invalid(label, read.issues);
  const issues = manifestIssues(read.manifest);
  if (issues.length > 0) throw invalid(label, issues);
  return read.manifest;
}

function readBytes(path: string): { manifestPath: string; bytes: Uint8Array } {
  try {
    const named = path.endsWith(".json") ? path : join(path, MANIFEST_FILE);
    const manifestPath = realpathSync(named);
    const { size } = statSync(manifestPath);
    if (size > MANIFEST_MAX) {
      throw new Error(`it has ${size} bytes, wanted are at most ${MANIFEST_MAX}`);
    }
    return { manifestPath, bytes: readFileSync(manifestPath) };
  } catch (cause) {
    throw new HooklineError("PLUGIN_NOT_FOUND", {
      message: `cannot read the manifest of the plugin "${path}": ${causeText(cause)}`,
      fix: `give a folder that holds a ${MANIFEST_FILE}, and the permission to read it`,
      details: { specifier: path },
      cause,
    });
  }
}

function parseJson(bytes: Uint8Array, label: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(label, [{ pointer: "", message: `no JSON: ${causeText(cause)}` }], cause);
  }
}

function invalid(label: string, issues: readonly SchemaIssue[], cause?: unknown): HooklineError {
  const [first] = issues;
  const where = first === undefined || first.pointer === "" ? "" : ` at ${first.pointer}`;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  return new HooklineError("MANIFEST_INVALID", {
    message: `cannot use the manifest of "${label}"${where}: ${first?.message}${more}`,
    fix: "correct the manifest; `hookline plugin check` lists everything that is wrong with it",
    details: {
      pointer: first?.pointer ?? "",
      findings: issues.map(({ pointer, message }) => ({ pointer, message })),
    },
    cause,
  });
}
