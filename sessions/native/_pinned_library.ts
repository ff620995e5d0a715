// Keeps a shared library in the process for good. Deno closes a library with the isolate that opened it,
// a worker's among them; the threads and the environment of ONNX Runtime would then run code that is gone.

import { encodePath } from "./_native_text.ts";

/** How a system's loader is asked to keep what is loaded already. */
interface Loader {
  readonly libraries: readonly string[];
  /** `RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE`. Source: dlfcn.h of glibc and of macOS. */
  readonly flags: number;
}

const LOADERS: Readonly<Record<string, Loader>> = {
  linux: { libraries: ["libc.so.6", "libdl.so.2"], flags: 0x1006 },
  darwin: { libraries: ["libSystem.B.dylib"], flags: 0x92 },
};

/**
 * Pins the library at `path`, which is open. False where that cannot be done: then whoever opened it must
 * not close it.
 */
export function pinLibrary(path: string): boolean {
  if (Deno.build.os === "windows") return pinOnWindows(path);
  const loader = LOADERS[Deno.build.os];
  return loader?.libraries.some((library) => pinBy(library, loader.flags, path)) ?? false;
}

function pinBy(library: string, flags: number, path: string): boolean {
  try {
    const loader = Deno.dlopen(library, {
      dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
    });
    try {
      return loader.symbols.dlopen(encodePath(path), flags) !== null;
    } finally {
      loader.close();
    }
  } catch {
    return false; // another C library, or the function is elsewhere
  }
}

function pinOnWindows(path: string): boolean {
  try {
    const loader = Deno.dlopen("kernel32.dll", {
      LoadLibraryW: { parameters: ["buffer"], result: "pointer" },
    });
    try {
      return loader.symbols.LoadLibraryW(encodePath(path)) !== null;
    } finally {
      loader.close();
    }
  } catch {
    return false;
  }
}
