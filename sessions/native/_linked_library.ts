// Makes ONNX Runtime find a CUDA provider that lies in a package of its own. It looks for providers in the
// folder that its own library was opened from, and nowhere else: registered by its path alone, the provider
// does not even link ("undefined symbol: Provider_GetHost"). So a private folder gets links to both, and
// the library is opened there. Measured on ONNX Runtime 1.29.

import { dirname, join } from "node:path";
import { cudaProviderLibrary } from "../_cuda_provider_library.ts";
import { missingCudaLibrary } from "./cuda_libraries.ts";

/** The provider, and what it and ONNX Runtime meet through. */
const PROVIDER_FILES = ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"];

/**
 * The path to open ONNX Runtime's library by: `path` itself, or a link to it beside links to the provider
 * when there is a use for them and this process may make them.
 */
export function libraryWithCuda(path: string): string {
  const { beside, packaged } = cudaProviderLibrary(dirname(path));
  if (beside === "present" || packaged === null || missingCudaLibrary() !== null) return path;
  if (!mayLink()) return path;
  const folder = Deno.makeTempDirSync({ prefix: "hookline-cuda-" }); // for its owner alone
  const linked = join(folder, "libonnxruntime.so.1");
  try {
    Deno.symlinkSync(path, linked);
    for (const file of PROVIDER_FILES) {
      Deno.symlinkSync(join(dirname(packaged), file), join(folder, file));
    }
  } catch {
    Deno.removeSync(folder, { recursive: true });
    return path;
  }
  addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  return linked;
}

/** Deno makes links only for those who may read and write everywhere. */
function mayLink(): boolean {
  const names = ["read", "write"] as const;
  return names.every((name) => Deno.permissions.querySync({ name }).state === "granted");
}
