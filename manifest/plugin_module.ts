// What a stranger's plugin is in code: the default export of its main module, the hooks that it makes,
// and the one object through which it may touch anything. Types alone: a plugin needs no more than
// `import type` of them, so that it runs where nothing of Hookline can be imported. It knows nothing of
// registries, sessions or levels of isolation. Invariant: what is not in PluginHost is not granted.

import type { ForwardCall, HookPhase, ModuleFacts, OriginalForward } from "../hooks/model_hook.ts";
import type { TensorMap } from "../tensor/tensor.ts";
import type { CallTensors } from "./tensor_facts.ts";

/** A value that JSON can hold; what a plugin is given as options. */
export type PluginOptions =
  | null
  | boolean
  | number
  | string
  | readonly PluginOptions[]
  | { readonly [key: string]: PluginOptions };

/** The methods that a {@linkcode PluginHook} may have, by name. */
export type PluginPhase = Extract<
  HookPhase,
  "preForward" | "newForward" | "postForward" | "onUnwind" | "resetState"
>;

/** One forward call of one module, as a plugin's hook sees it: plain data and the caller's signal. */
export interface PluginCall extends Omit<ForwardCall, "signal"> {
  /** The call's tensors described: all that is told at the read levels `shape` and `stats`. */
  readonly tensors?: CallTensors;
  /** The caller's signal; absent in a worker and in a process of its own, where it cannot reach. */
  readonly signal?: AbortSignal | undefined;
}

/** What `preForward` and `postForward` of a plugin's hook may return: nothing, or the tensors that change. */
export type PluginResult = TensorMap | undefined | void | Promise<TensorMap | undefined | void>;

/**
 * A hook of a plugin: the methods of `ModelHook` that run during a call, on a plain object. Name,
 * access, order and patterns are the manifest's, not the code's. `inputs` and `outputs` hold what the
 * plugin was granted to read and nothing else. An observer's are lent for the call: writing into them
 * changes nothing and is written down, and what is to be kept must be copied.
 */
export interface PluginHook {
  /** Runs before the forward. A transformer or replacer may return inputs that change. */
  preForward?(call: PluginCall, inputs: TensorMap): PluginResult;
  /** Runs instead of the forward and returns every output; replacers only. */
  newForward?(
    call: PluginCall,
    inputs: TensorMap,
    original: OriginalForward,
  ): TensorMap | Promise<TensorMap>;
  /** Runs after the forward. A transformer or replacer may return outputs that change. */
  postForward?(call: PluginCall, outputs: TensorMap, inputs: TensorMap | null): PluginResult;
  /** Runs instead of `postForward`, once, when the call failed after this hook was entered. */
  onUnwind?(call: PluginCall, error: unknown): void | Promise<void>;
  /** Forgets what the hook gathered over earlier runs of this module. */
  resetState?(module: ModuleFacts): void | Promise<void>;
}

/** A file that a plugin writes, below the folder that it was granted. */
export interface PluginSink {
  /** Appends text (as UTF-8) or bytes. */
  write(chunk: string | Uint8Array): void;
  /** Closes the file; writing afterwards throws. A second call does nothing. */
  close(): void;
}

/** All that a plugin may touch: the capability object. */
export interface PluginHost {
  /** Environment variables, the granted ones that are set; no others. */
  readonly env: Readonly<Record<string, string>>;
  /** What the application passed for this plugin. */
  readonly options: PluginOptions;
  /**
   * Opens a new or emptied file of this name below the folder that `fs-write` grants; `/` may separate
   * folders in it, `..` may not stand in it.
   *
   * @throws an error with the code HOOK_PERMISSION_DENIED without the grant, or for a name that leaves it.
   */
  openSink(name: string): PluginSink;
  /** Writes a line to the host's log under the plugin's name. */
  log(message: string): void;
}

/**
 * What a plugin's main module exports by default. Plain objects: the module needs only `import type`
 * from Hookline.
 *
 * @example
 * ```ts
 * import type { PluginModule } from "@hookline/hookline";
 *
 * const plugin: PluginModule = {
 *   createHook(module, host) {
 *     let calls = 0;
 *     return {
 *       postForward() {
 *         calls++;
 *         host.log(`${module.path}: call ${calls}`);
 *       },
 *     };
 *   },
 * };
 * export default plugin;
 * ```
 */
export interface PluginModule {
  /**
   * Makes the hook of one matched module, or null to leave that module alone. Called once per module,
   * in the order of their paths.
   */
  createHook(
    module: ModuleFacts,
    host: PluginHost,
  ): PluginHook | null | Promise<PluginHook | null>;
  /** Called once at the end. */
  close?(): void | Promise<void>;
}
