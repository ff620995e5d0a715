// Whether the native engine may be chosen here, and why not. It opens no library and asks for no
// permission: where the library is missing, the addon that links to it cannot be loaded either.

import { ortLibraryPath } from "../_ort_library.ts";
import { isInWorker } from "./_worker_calls.ts";

/** A reason against the native engine, with what to do about it. */
export interface NativeRefusal {
  /** Why not, in words, without a trailing period. */
  readonly reason: string;
  /** One imperative line. */
  readonly fix: string;
}

/** The systems on which the engine was run. */
const RUN_ON: readonly string[] = ["linux"];

/**
 * The reason against the native engine in this process; null when there is none.
 *
 * @param byName True when the user named the engine: then a worker, and a system on which nobody has run
 * it, are the user's own matter.
 * @param os The operating system, this process's when left out.
 */
export function nativeRefusal(
  { byName, os = Deno.build.os }: { readonly byName: boolean; readonly os?: string },
): NativeRefusal | null {
  return permissionRefusal() ?? libraryRefusal() ??
    (byName ? null : systemRefusal(os) ?? workerRefusal());
}

function systemRefusal(os: string): NativeRefusal | null {
  if (RUN_ON.includes(os)) return null;
  return {
    reason: `it was never run on ${os}`,
    fix: 'use engine "native" by name to try it, or stay with engine "napi"',
  };
}

/** With a list of paths the first read through a pointer is refused. */
function permissionRefusal(): NativeRefusal | null {
  const status = Deno.permissions.querySync({ name: "ffi" });
  if (status.state === "granted" && !status.partial) return null;
  return {
    reason: "it needs --allow-ffi without a list of paths",
    fix: 'grant --allow-ffi without a list of paths, or use engine "napi", which takes a path',
  };
}

function libraryRefusal(): NativeRefusal | null {
  if (ortLibraryPath() !== null) return null;
  return {
    reason: "the library of onnxruntime-node cannot be found",
    fix: 'install onnxruntime-node 1.29.0 where Deno finds it, or use engine "napi"',
  };
}

/** In a worker it computes on the worker's own thread, as napi does; see `callsOnThisThread`. */
function workerRefusal(): NativeRefusal | null {
  if (!isInWorker()) return null;
  return {
    reason: "in a worker it cannot leave the event loop free",
    fix: 'use engine "native" by name, or stay with engine "napi"',
  };
}
