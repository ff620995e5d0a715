// Everything that can be said of a plugin's folder before it is published or granted: its manifest, its
// files, its imports, and whether the code implements the hooks that the manifest declares. For the last
// it loads the code, at a chosen level, with a temporary folder as its only right to files.

import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import { temporaryFolder } from "../host/temporary_folder.ts";
import {
  compareHooks,
  hookWords,
  implementedPhases,
  natureOf,
} from "../manifest/declared_hooks.ts";
import type { EffectiveRights } from "../manifest/effective_rights.ts";
import { requireHookApi, requireRuntime } from "../manifest/hook_api.ts";
import { checkIntegrity, hashFiles } from "../manifest/integrity.ts";
import { importFaults } from "../manifest/module_imports.ts";
import type { DeclaredHook, IsolationLevel } from "../manifest/plugin_manifest.ts";
import type { PluginOptions } from "../manifest/plugin_module.ts";
import { openManifest, type PluginFolder } from "../manifest/read_manifest.ts";
import { openHost } from "./hosted_plugin.ts";

/** One thing about a plugin. */
export interface PluginFinding {
  /** The error code that loading would end with, or the one nearest to it. */
  readonly code: string;
  /** `error` keeps the plugin from working; `warning` is worth knowing. */
  readonly severity: "error" | "warning";
  /** JSON Pointer into the manifest; empty for what is not in it. */
  readonly pointer: string;
  /** What was found. */
  readonly message: string;
}

/** How {@linkcode checkPlugin} checks. */
export interface CheckPluginOptions {
  /** Where the code is loaded, or null to leave it alone; `"inline"` by default. */
  readonly level?: IsolationLevel | null;
  /** What the code is given as `host.options`. */
  readonly options?: PluginOptions;
  /** See `loadPlugin`. */
  readonly unstableWorkerOptions?: boolean;
}

/** What was found out about a plugin's folder. */
export interface PluginCheck {
  /** `good` when no finding is an error. */
  readonly status: "good" | "bad";
  /** All findings, errors first. */
  readonly findings: readonly PluginFinding[];
  /** The folder, when its manifest could be read. */
  readonly folder: PluginFolder | null;
}

/** Checks a plugin's folder, or one manifest in it. Never throws for what is wrong with the plugin. */
export async function checkPlugin(
  path: string,
  options: CheckPluginOptions = {},
): Promise<PluginCheck> {
  let folder: PluginFolder;
  try {
    folder = openManifest(path);
  } catch (error) {
    return checked(manifestFindings(error), null);
  }
  const { manifest } = folder;
  const findings: PluginFinding[] = [
    ...attempt(() => requireHookApi(manifest), "/apiVersion"),
    ...attempt(() => requireRuntime(manifest), "/engines"),
    ...attempt(() => void checkIntegrity(folder, { allowUnsigned: true }), "/integrity"),
  ];
  if (manifest.integrity === null) {
    findings.push(warning("HOOK_INTEGRITY_UNSIGNED", "/integrity", {
      message: "nothing signs the files: `hookline plugin check --sign` does, before publishing",
    }));
  }
  if (!existsSync(join(folder.root, manifest.main))) {
    const message = `there is no file ${manifest.main}`;
    findings.push({ code: "PLUGIN_MODULE", severity: "error", pointer: "/main", message });
  } else {
    findings.push(...importFindings(folder));
    const level = options.level === undefined ? "inline" : options.level;
    if (level !== null && !findings.some(({ severity }) => severity === "error")) {
      findings.push(...await hookFindings(folder, level, options));
    }
  }
  return checked(findings, folder);
}

function checked(findings: readonly PluginFinding[], folder: PluginFolder | null): PluginCheck {
  const errors = findings.filter(({ severity }) => severity === "error");
  const warnings = findings.filter(({ severity }) => severity === "warning");
  return {
    status: errors.length === 0 ? "good" : "bad",
    findings: [...errors, ...warnings],
    folder,
  };
}

function warning(
  code: PluginFinding["code"],
  pointer: string,
  { message }: { readonly message: string },
): PluginFinding {
  return { code, severity: "warning", pointer, message };
}

function findingOf(error: unknown, pointer: string): PluginFinding {
  const code = error instanceof HooklineError ? error.code : "PLUGIN_MODULE";
  return { code, severity: "error", pointer, message: causeText(error) };
}

function attempt(check: () => void, pointer: string): PluginFinding[] {
  try {
    check();
    return [];
  } catch (error) {
    return [findingOf(error, pointer)];
  }
}

function manifestFindings(error: unknown): PluginFinding[] {
  const listed = error instanceof HooklineError ? error.details["findings"] : undefined;
  if (!Array.isArray(listed)) return [findingOf(error, "")];
  return (listed as { pointer: string; message: string }[]).map(({ pointer, message }) => ({
    code: "MANIFEST_INVALID",
    severity: "error",
    pointer,
    message,
  }));
}

function importFindings({ root, manifest }: PluginFolder): PluginFinding[] {
  const files = Object.keys(hashFiles(root, manifest.name).files);
  return importFaults(root, files).flatMap(({ file, specifier, kind }): PluginFinding[] => {
    const found = `${file} imports "${specifier}"`;
    // A factory is part of the application: it imports Hookline itself.
    if (manifest.factory !== null) return [];
    return [
      kind === "package"
        ? warning("PLUGIN_MODULE", "/main", {
          message: `${found}: a worker or process refuses packages`,
        })
        : {
          code: "PLUGIN_MODULE",
          severity: "error",
          pointer: "/main",
          message: kind === "outside"
            ? `${found}, which lies outside of the plugin's folder`
            : `${found}, which no hash covers (a test, or no file at all)`,
        },
    ];
  });
}

async function hookFindings(
  folder: PluginFolder,
  level: IsolationLevel,
  options: CheckPluginOptions,
): Promise<PluginFinding[]> {
  const { manifest } = folder;
  if (manifest.factory !== null) {
    return [warning("PLUGIN_ISOLATION", "/factory", {
      message: "a factory registers its hooks on a model: they are checked when it is attached",
    })];
  }
  let words: DeclaredHook[] | null;
  try {
    words = await implementedWords(folder, level, options);
  } catch (error) {
    return [findingOf(error, "/main")];
  }
  if (words === null) {
    return [warning("HOOK_ACCESS", "/hooks", {
      message: "the plugin made no hook for a made-up module, so its hooks were not checked",
    })];
  }
  const { undeclared, unimplemented } = compareHooks(manifest, words);
  return [
    ...undeclared.map((hook) => `the code implements "${hook}", which is not declared`),
    ...unimplemented.map((hook) => `"${hook}" is declared, and the code has no method for it`),
  ].map((message) => ({ code: "HOOK_ACCESS", severity: "error", pointer: "/hooks", message }));
}

/** The words for what the code implements on a made-up module; null when it made no hook for it. */
async function implementedWords(
  folder: PluginFolder,
  level: IsolationLevel,
  { options = null, unstableWorkerOptions = false }: CheckPluginOptions,
): Promise<DeclaredHook[] | null> {
  const { manifest, root } = folder;
  // Only where files are asked for, so that checking anything else needs no permission to write.
  const scratch = manifest.permissions.some(({ id }) => id === "fs-write")
    ? realpathSync(mkdtempSync(join(temporaryFolder(), "hookline-check-")))
    : null;
  try {
    const host = await openHost({
      folder,
      level,
      rights: noRights(manifest.name, scratch === null ? [] : [scratch]),
      integrity: "unsigned",
      codeSha256: null,
      mainUrl: pathToFileURL(join(root, manifest.main)).href,
      options,
      modules: null,
      unstableWorkerOptions,
      audit: () => {},
      log: () => {},
    });
    try {
      const hook = await host.createHook(madeUpModule(manifest.match.modules));
      return hook === null ? null : hookWords(implementedPhases(hook), natureOf(manifest));
    } finally {
      await host.close();
    }
  } finally {
    if (scratch !== null) rmSync(scratch, { recursive: true, force: true });
  }
}

function noRights(plugin: string, fsWrite: readonly string[]): EffectiveRights {
  return {
    plugin,
    readActivations: "none",
    modules: [],
    writeActivations: false,
    changesShape: false,
    replaceForward: false,
    skipForward: false,
    readInputs: [],
    readOutputs: [],
    manageResidency: false,
    fsRead: [],
    fsWrite,
    env: [],
    net: [],
    because: [],
  };
}

/** A module that the first glob would match. */
function madeUpModule(globs: readonly string[]): {
  readonly path: string;
  readonly className: null;
  readonly callCount: number;
} {
  const [glob = "**"] = globs;
  const path = glob.replaceAll("**", "layer").replaceAll("*", "0").replaceAll("?", "0")
    .replace(/\[(\d+)[^\]]*\]/g, "$1").replace(/\{([^,}]*)[^}]*\}/g, "$1");
  return { path, className: null, callCount: 1 };
}
