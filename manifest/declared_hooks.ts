// The words of a manifest and the methods of code, each in terms of the other. It holds the table that
// makes "declared equals implemented" a comparison of two lists.

import type { HookAccess, HookPhase } from "../hooks/model_hook.ts";
import type { DeclaredHook, PluginKind, PluginManifest } from "./plugin_manifest.ts";
import type { PluginHook, PluginPhase } from "./plugin_module.ts";

/** The access that the hooks of each kind of plugin have. */
export const KIND_ACCESS: Readonly<Record<PluginKind, HookAccess>> = {
  observer: "observe",
  transformer: "edit",
  replacer: "replace",
  resident: "residency",
};

/** The accesses that hooks of a plugin with a factory may have: its own, and weaker ones. */
export const KIND_ACCESSES: Readonly<Record<PluginKind, readonly HookAccess[]>> = {
  observer: ["observe"],
  transformer: ["edit", "observe"],
  replacer: ["replace", "edit", "observe"],
  resident: ["residency", "observe"],
};

/** What decides how the methods of a hook are called in a manifest. */
export interface HookNature {
  /** Its access. */
  readonly access: HookAccess;
  /** For observers: before or after all changes. */
  readonly observes: "raw" | "final";
  /** For residency hooks: what they ask of the host, which then loads and unloads in their place. */
  readonly residency?: unknown;
}

function wordOf(phase: HookPhase, { access, observes }: HookNature): DeclaredHook | null {
  switch (phase) {
    case "preForward":
      return access === "residency" ? "load" : "pre";
    case "newForward":
      return "replace";
    case "postForward":
      return access === "observe"
        ? `observe:${observes}`
        : access === "residency"
        ? "unload"
        : "post";
    case "onUnwind":
      return "error";
    default:
      return null;
  }
}

/** The words for the methods that a hook implements. */
export function hookWords(phases: Iterable<HookPhase>, nature: HookNature): DeclaredHook[] {
  const asked: DeclaredHook[] = nature.residency === undefined ? [] : ["load", "unload"];
  return [...new Set([...asked, ...[...phases].flatMap((phase) => wordOf(phase, nature) ?? [])])];
}

/** The nature of the hooks of a plugin that is not a factory. */
export function natureOf({ kind, hooks }: PluginManifest): HookNature {
  return {
    access: KIND_ACCESS[kind],
    observes: hooks.includes("observe:raw") ? "raw" : "final",
  };
}

const CALL_PHASES: readonly PluginPhase[] = ["preForward", "newForward", "postForward", "onUnwind"];

/** The methods of a call that a plugin's hook implements. */
export function implementedPhases(hook: PluginHook): readonly PluginPhase[] {
  return CALL_PHASES.filter((phase) => typeof hook[phase] === "function");
}

/** How what the code implements differs from what the manifest declares. */
export interface HookDifference {
  /** Implemented and not declared, sorted. */
  readonly undeclared: readonly DeclaredHook[];
  /** Declared and not implemented, sorted. */
  readonly unimplemented: readonly DeclaredHook[];
}

/**
 * Compares the declared hooks with those that all hooks of a plugin implement together. `skip` is a right
 * of `replace` and has no method of its own.
 */
export function compareHooks(
  manifest: PluginManifest,
  implemented: Iterable<DeclaredHook>,
): HookDifference {
  const found = new Set(implemented);
  return {
    undeclared: [...found].filter((hook) => !manifest.hooks.includes(hook)).sort(),
    unimplemented: manifest.hooks.filter((hook) => hook !== "skip" && !found.has(hook)).sort(),
  };
}
