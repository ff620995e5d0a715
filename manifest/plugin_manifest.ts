// A plugin's manifest as a value: what `plugin.json` says, checked and with its defaults filled in. The
// schema (manifest_schema.ts) decides what is allowed; a type test holds the two equal.

import type { ReadLevel } from "./effective_rights.ts";

/** What a plugin does to the models that it is attached to; it decides the access of its hooks. */
export type PluginKind = "observer" | "transformer" | "replacer" | "resident";

/** When a plugin's hooks run. The hooks that the code makes must be exactly those that it declares. */
export type DeclaredHook =
  | "observe:raw"
  | "observe:final"
  | "pre"
  | "post"
  | "replace"
  | "skip"
  | "load"
  | "unload"
  | "error";

/** Where a plugin runs: in this isolate, in a worker, or in a process of its own. */
export type IsolationLevel = "inline" | "worker" | "process";

/** A right as it is granted. */
export type Grant =
  | {
    readonly id: "read-activations";
    readonly level: Exclude<ReadLevel, "none">;
    readonly modules: readonly string[];
  }
  | {
    readonly id: "write-activations";
    readonly modules: readonly string[];
    readonly shape: "preserve" | "any";
  }
  | { readonly id: "replace-forward" | "skip-forward"; readonly modules: readonly string[] }
  | { readonly id: "read-inputs" | "read-outputs"; readonly tensors: readonly string[] }
  | { readonly id: "manage-residency" }
  | { readonly id: "fs-read" | "fs-write"; readonly paths: readonly string[] }
  | { readonly id: "env"; readonly names: readonly string[] }
  | { readonly id: "net"; readonly hosts: readonly string[] };

/** A right that a plugin asks for, with the reason that is shown to whoever grants it. */
export type PermissionRequest = Grant & { readonly reason: string };

/** How much the model's numbers change when the plugin is attached. */
export type Numerics = "transparent" | "changes" | {
  readonly tolerant: { readonly atol: number; readonly rtol: number };
};

/**
 * What one hook of a plugin may use, by its own word: granting it is accepting them. An absent bound is
 * none, but for those that a worker or process always has. Bytes are at most 2^40.
 */
export interface Budgets {
  /** Time of one call of one method, in milliseconds; at most 2147483647. */
  readonly msPerCall?: number;
  /** Bytes that a plugin may keep between calls; the heap of a plugin in a process of its own. */
  readonly retainedBytes?: number;
  /** Bytes that a plugin may write to its files. */
  readonly outputBytes?: number;
}

/** A checked manifest; frozen. */
export interface PluginManifest {
  /** Version of the manifest's form. */
  readonly manifestVersion: 1;
  /**
   * The plugin's name, by which hooks are ordered: `^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`, but neither
   * `constructor` nor `prototype`.
   */
  readonly name: string;
  /** The plugin's version, semver. */
  readonly version: string;
  /** Versions of the hook API that it works with, a semver range. */
  readonly apiVersion: string;
  /** Versions of runtimes and of ONNX Runtime that it works with, semver ranges by name. */
  readonly engines: {
    /** Versions of Deno. */
    readonly deno?: string;
    /** Versions of Node. */
    readonly node?: string;
    /** Versions of ONNX Runtime. */
    readonly "onnxruntime-node"?: string;
  };
  /** What it does, in a sentence. */
  readonly description: string;
  /** SPDX identifier of its licence. */
  readonly license: string;
  /** The module that is loaded, relative to the manifest. */
  readonly main: string;
  /**
   * Null for a plugin whose main module exports a `PluginModule` by default. Otherwise the named export
   * that makes a `Plugin` from options: code that registers its hooks on models by itself. It is trusted
   * like the application, so it runs inline and nowhere else.
   */
  readonly factory: string | null;
  /** `sha256-` and the hash in base64, by path relative to the manifest; null for an unsigned plugin. */
  readonly integrity: Readonly<Record<string, string>> | null;
  /** What it does to models. */
  readonly kind: PluginKind;
  /** When its hooks run. */
  readonly hooks: readonly DeclaredHook[];
  /** Which modules it hooks. */
  readonly match: {
    /** Globs of module paths. */
    readonly modules: readonly string[];
    /** Globs of those among them that it leaves alone. */
    readonly exclude: readonly string[];
    /** Execution providers that it works with; empty for all. */
    readonly eps: readonly string[];
    /** Dtypes that it works with; empty for all. */
    readonly dtypes: readonly string[];
  };
  /** Where its hooks stand among others. */
  readonly order: {
    /** Plugins that stand inside it. */
    readonly before: readonly string[];
    /** Plugins that stand outside it. */
    readonly after: readonly string[];
    /** Plugins that must be there. */
    readonly requires: readonly string[];
  };
  /** What it needs. */
  readonly permissions: readonly PermissionRequest[];
  /** What it can do without. */
  readonly optionalPermissions: readonly PermissionRequest[];
  /** How much it changes the model's numbers. */
  readonly numerics: Numerics;
  /** Whether the same inputs give the same effects. */
  readonly determinism: "deterministic" | "nondeterministic";
  /** What it may use. */
  readonly budgets: Budgets;
  /** What it keeps between calls: told to whoever reads, not enforced. */
  readonly state: "none" | "global" | "per-context";
  /** Whether calls of it may overlap: told to whoever reads, not enforced. */
  readonly concurrency: "parallel-safe" | "serial" | "exclusive";
  /** The least isolation that it accepts. */
  readonly isolation: IsolationLevel;
}
