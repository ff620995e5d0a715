// Our settings as an OrtSessionOptions. It takes the same checked, closed list of options that the
// addon gets (session_options.ts), so both engines open the same session.

import type { OptimizationLevel } from "../engine.ts";
import type { OrtSessionOptions } from "../session_options.ts";
import type { NativeHost } from "./_native_host.ts";
import { encodePath, encodeText, handleIn, outCell } from "./_native_text.ts";
import type { SharedWeights } from "./shared_weights.ts";
import { appendProvider, type ProviderSettings } from "./_provider_options.ts";

/** `GraphOptimizationLevel`. Source: onnxruntime_c_api.h. */
const LEVELS: Readonly<Record<OptimizationLevel, number>> = {
  disabled: 0,
  basic: 1,
  extended: 2,
  layout: 3,
  all: 99,
};

/** What only this engine can do with a session. */
export interface NativeSessionExtras extends ProviderSettings {
  /** Weights that replace the model's initializers of their names; they outlive the session. */
  readonly sharedWeights?: SharedWeights;
  /** Which of them the model has; all when left out. */
  readonly sharedNames?: readonly string[];
}

/** A handle that is released with a block. */
export interface OwnedHandle extends Disposable {
  readonly handle: Deno.PointerObject;
}

/** Makes the options of one session; they may be released as soon as it is open. */
export function sessionOptionsHandle(
  host: NativeHost,
  options: OrtSessionOptions,
  extras: NativeSessionExtras = {},
): OwnedHandle {
  const { api, check } = host;
  const cell = outCell();
  check(api.CreateSessionOptions(cell));
  const handle = handleIn(cell);
  using stack = new DisposableStack();
  stack.defer(() => api.ReleaseSessionOptions(handle));
  check(api.SetSessionLogId(handle, encodeText(options.logId.replaceAll("\0", ""))));
  check(api.SetSessionLogSeverityLevel(handle, options.logSeverityLevel));
  check(api.SetSessionGraphOptimizationLevel(handle, LEVELS[options.graphOptimizationLevel]));
  setThreads(host, handle, options);
  if (options.enableCpuMemArena === false) check(api.DisableCpuMemArena(handle));
  if (options.optimizedModelFilePath !== undefined) {
    check(api.SetOptimizedModelFilePath(handle, encodePath(options.optimizedModelFilePath)));
  }
  for (const [key, value] of entries("session", options.extra.session)) {
    check(api.AddSessionConfigEntry(handle, encodeText(key), encodeText(value)));
  }
  const { sharedWeights, sharedNames = [...sharedWeights?.names ?? []] } = extras;
  if (sharedWeights !== undefined) {
    for (const name of sharedNames) {
      check(api.AddInitializer(handle, encodeText(name), sharedWeights.values.handle(name)));
    }
  }
  for (const provider of options.executionProviders) {
    const release = appendProvider(host, handle, provider, extras);
    if (release !== null) stack.defer(release);
  }
  const owned = stack.move();
  return { handle, [Symbol.dispose]: () => owned.dispose() };
}

/**
 * A session that wants as many threads as the shared pool has takes them from there; any other number
 * gets a pool of its own, because the number of threads can change the last bits.
 */
function setThreads(
  { api, check, environment }: NativeHost,
  handle: Deno.PointerObject,
  { intraOpNumThreads, interOpNumThreads }: OrtSessionOptions,
): void {
  if (intraOpNumThreads === environment.poolThreads) {
    check(api.DisablePerSessionThreads(handle));
    return;
  }
  check(api.SetIntraOpNumThreads(handle, intraOpNumThreads));
  check(api.SetInterOpNumThreads(handle, interOpNumThreads));
}

/** A tree of entries as ONNX Runtime's flat keys: `session.intra_op.allow_spinning`. */
function* entries(prefix: string, tree: object): Generator<readonly [string, string]> {
  for (const [name, value] of Object.entries(tree)) {
    const key = `${prefix}.${name}`;
    if (typeof value === "string") yield [key, value];
    else yield* entries(key, value as object);
  }
}
