// What a plugin may do in this process: the one value that every check reads. It is made once, when the
// plugin is loaded (resolve_rights.ts), frozen, and never widened. It checks nothing by itself.

/** The file of grants, in the application's folder: what rights come from, and what no plugin writes. */
export const LOCK_FILE = "hookline.lock.json";

/** How much of an activation a plugin may see: each level holds those before it. */
export type ReadLevel = "none" | "shape" | "stats" | "values";

/** Where one right of a plugin comes from. */
export interface RightSource {
  /** The permission as grants write it, such as `read-activations:stats` or `fs-write:/data/trace`. */
  readonly permission: string;
  /** Who granted it: the lock file's entry, or the application itself. */
  readonly grantedBy: string;
  /** What made it smaller than the manifest asks for; absent when nothing did. */
  readonly limitedBy?: string;
}

/** The rights of one plugin: manifest ∩ grants ∩ what the process has. Frozen. */
export interface EffectiveRights {
  /** The plugin's name. */
  readonly plugin: string;
  /** How much of the activations of {@linkcode modules} it may see. */
  readonly readActivations: ReadLevel;
  /** Globs of the modules that the rights extend to. */
  readonly modules: readonly string[];
  /** Whether it may change inputs and outputs of modules. */
  readonly writeActivations: boolean;
  /** Whether what it writes may have other dimension sizes. */
  readonly changesShape: boolean;
  /** Whether it may run instead of a module. */
  readonly replaceForward: boolean;
  /** Whether, running instead of a module, it may leave the original out. */
  readonly skipForward: boolean;
  /** Names of the model's own inputs whose tensors it may see; `*` for all. */
  readonly readInputs: readonly string[];
  /** Names of the model's own outputs whose tensors it may see; `*` for all. */
  readonly readOutputs: readonly string[];
  /** Whether it may say where weights lie. */
  readonly manageResidency: boolean;
  /** Absolute real paths of files and folders that it may read, sorted. */
  readonly fsRead: readonly string[];
  /** Absolute real paths of folders that it may write below, sorted. */
  readonly fsWrite: readonly string[];
  /** Names of environment variables that it may read; `PREFIX_*` for several. */
  readonly env: readonly string[];
  /** Hosts, with or without a port, that it may reach. */
  readonly net: readonly string[];
  /** Where each right comes from, in the order of the permissions. */
  readonly because: readonly RightSource[];
}
