// Where onnxruntime-node keeps its native library, found without loading it.

import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

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
