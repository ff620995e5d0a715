// Where onnxruntime-node keeps its native library, found without loading it.

import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The library's file name where onnxruntime-node has one; the addon links to this very file. */
const LIBRARY_NAMES: Readonly<Record<string, string>> = {
  linux: "libonnxruntime.so.1",
  darwin: "libonnxruntime.1.dylib",
  win32: "onnxruntime.dll",
};

/** Folder of the native library that onnxruntime-node loads here; null when it cannot be told. */
export function ortLibraryFolder(): string | null {
  try {
    const entry = fileURLToPath(import.meta.resolve("onnxruntime-node"));
    const { platform, arch } = process;
    return join(dirname(entry), "..", "bin", "napi-v6", platform, arch);
  } catch {
    return null; // not resolvable from here, as in a bundle
  }
}

/** The library that the addon links to; null when its place or name cannot be told. */
export function ortLibraryPath(): string | null {
  const folder = ortLibraryFolder();
  const name = LIBRARY_NAMES[process.platform];
  return folder === null || name === undefined ? null : join(folder, name);
}
