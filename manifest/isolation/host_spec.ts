// What a level of isolation is asked to host, and what it gives back: the contract between the loading of
// plugins and workers or processes. Types alone. It knows no transport.

import type { ModuleFacts } from "../../hooks/model_hook.ts";
import type { Audit } from "../audit.ts";
import type { EffectiveRights } from "../effective_rights.ts";
import type { Budgets } from "../plugin_manifest.ts";
import type { PluginHook, PluginOptions } from "../plugin_module.ts";

/** What to host. */
export interface HostSpec {
  /** The plugin's folder: an absolute real path. */
  readonly root: string;
  /** The main module as a `file:` URL below the folder. */
  readonly mainUrl: string;
  /** What the plugin may do; anything else is denied. */
  readonly rights: EffectiveRights;
  /** What the application passes to the plugin. */
  readonly options: PluginOptions;
  /** What it may use. Without `msPerCall` one method may take {@linkcode DEFAULT_CALL_MS}. */
  readonly budgets: Budgets;
  /** Gets every attempt that was denied, and every file that was opened. */
  readonly audit: Audit;
  /** Gets what the plugin logs and prints, a line at a time; standard error by default. */
  readonly log?: (line: string) => void;
}

/** A plugin that runs in a realm of its own. */
export interface HostedModule extends AsyncDisposable {
  /**
   * Makes the hook of one module there. Its methods return promises; tensors that they return are
   * checked, and memory of the host's own.
   *
   * The hook's methods throw what the plugin threw, as an `Error` of the same name and message;
   * HOOK_BUDGET when it took too long or too much memory, and PLUGIN_ISOLATION when its realm has ended:
   * then and from then on. The caller's `signal.reason` when `call.signal` aborts.
   *
   * @throws {HooklineError} PLUGIN_MODULE when `createHook` threw or returned no hook.
   */
  createHook(module: ModuleFacts): Promise<PluginHook | null>;
  /** Why it no longer runs, or null while it does. */
  readonly ended: Error | null;
  /**
   * Lets the plugin close itself, then ends its realm. A second call does nothing.
   *
   * @throws {HooklineError} PLUGIN_MODULE when its `close` threw; its realm has ended all the same.
   */
  close(): Promise<void>;
  /** Ends its realm at once. */
  kill(): void;
}

/** Longest time of one call of a method where the manifest sets no bound, in milliseconds. */
export const DEFAULT_CALL_MS = 60_000;

/** The program that limits, on Linux, the memory of a plugin's process outside of its heap. */
export const LIMIT_SHELL = "/bin/sh";

/** Heap of a plugin in a process of its own where the manifest sets no bound, in bytes. */
export const DEFAULT_HEAP_BYTES: number = 512 * 2 ** 20;
