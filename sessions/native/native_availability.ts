// Whether the native engine may be chosen here, and why not. It opens no library and asks for no
// permission: where the library is missing, the addon that links to it cannot be loaded either.

import { ortLibraryPath } from "../_ort_library.ts";

/** A reason against the native engine, with what to do about it. */
export interface NativeRefusal {
  /** Why not, in words, without a trailing period. */
  readonly reason: string;
  /** One imperative line. */
  readonly fix: string;
}

/**
 * The reason against the native engine in this process; null when there is none.
 *
 * @param byName True when the user named the engine: then a worker is the user's own matter.
 */
export function nativeRefusal({ byName }: { readonly byName: boolean }): NativeRefusal | null {
  return permissionRefusal() ?? libraryRefusal() ?? (byName ? null : workerRefusal());
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

/** A worker may be ended at any time, and its memory with it, while another thread still computes there. */
function workerRefusal(): NativeRefusal | null {
  if (!("DedicatedWorkerGlobalScope" in globalThis)) return null;
  return {
    reason: "a worker may be ended while it computes",
    fix: 'use engine "native" by name in a worker that ends by itself alone',
  };
}
