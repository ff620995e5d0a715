// NVIDIA GPUs. onnxruntime-node carries no CUDA: its provider library comes from elsewhere and has to be of
// the very same version. The probe looks for that file first, then for NVIDIA's libraries, because a
// failing load prints to standard error from native code, and then runs a model.

import { CUDA_PACKAGE, cudaProviderLibrary } from "../_cuda_provider_library.ts";
import type { Engine } from "../engine.ts";
import { ortLibraryFolder } from "../_ort_library.ts";
import { probeSession } from "./_probe_session.ts";
import type { ProbeOptions, ProbeResult, ProviderDescriptor } from "./descriptor.ts";
import process from "node:process";

const PACKAGE = `${CUDA_PACKAGE.name}@${CUDA_PACKAGE.version}`;
const FIX_MISSING =
  `run "deno cache npm:${PACKAGE}", from which the native engine takes ONNX Runtime 1.29's CUDA ` +
  'provider, or put its two libraries there, or use provider "cpu"';
const FIX_LOAD =
  'install the CUDA 13 runtime, cuBLAS, cuRAND and cuDNN 9 libraries and a driver for them (the missing one is named on standard error), or use provider "cpu"';

async function probe(
  engine: Engine,
  options: ProbeOptions = { byName: true },
): Promise<ProbeResult> {
  const { name, beside, packaged } = cudaProviderLibrary();
  if (name === null) {
    return {
      available: false,
      reason: `CUDA does not exist on ${process.platform}`,
      fix: 'use provider "cpu"',
    };
  }
  const isNative = engine.name === "native";
  if (beside !== "present" && !(isNative && packaged !== null)) {
    if (beside === "absent") {
      return {
        available: false,
        reason: `${name} does not lie beside ONNX Runtime`,
        fix: FIX_MISSING,
      };
    }
    if (!options.byName) return unreadable(name);
  }
  if (isNative) {
    const { missingCudaLibrary } = await import("../native/cuda_libraries.ts");
    const missing = missingCudaLibrary();
    if (missing !== null) {
      return {
        available: false,
        reason: `${missing.name} cannot be opened: ${missing.reason}`,
        fix: `${missing.fix}, or use provider "cpu"`,
      };
    }
  }
  return await probeSession(engine, "cuda", FIX_LOAD);
}

function unreadable(library: string): ProbeResult {
  const folder = ortLibraryFolder();
  return {
    available: false,
    reason: `this process may not look for ${library} in ${folder ?? "the package's folder"}`,
    fix: folder === null
      ? 'ask for provider "cuda" by name'
      : `grant --allow-read=${folder}, or ask for provider "cuda" by name`,
  };
}

/** The CUDA provider, device 0. */
export const cudaProvider: ProviderDescriptor = {
  name: "cuda",
  platforms: ["linux", "win32"],
  determinism: "tolerance",
  executionProviders: () => [{ name: "cuda", deviceId: 0 }],
  probe,
};
