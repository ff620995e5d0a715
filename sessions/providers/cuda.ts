// NVIDIA GPUs. onnxruntime-node carries no CUDA: its provider library has to lie beside the addon and
// has to be of the very same version. The probe looks for that file first, because a failing load prints
// to standard error from native code, and then runs a model.

import { statSync } from "node:fs";
import process from "node:process";
import { join } from "node:path";
import { isGranted } from "../../host/environment.ts";
import type { Engine } from "../engine.ts";
import { isReadDenied } from "../_file_errors.ts";
import { ortLibraryFolder } from "../_ort_library.ts";
import { probeSession } from "./_probe_session.ts";
import type { ProbeOptions, ProbeResult, ProviderDescriptor } from "./descriptor.ts";

const FIX_MISSING =
  'put ONNX Runtime\'s CUDA provider library of the same version there (npm com.github.asus4.onnxruntime.linux-x64-gpu 0.4.9 for 1.29.0), or use provider "cpu"';
const FIX_LOAD =
  'install the CUDA 13 runtime, cuBLAS, cuRAND and cuDNN 9 libraries and a driver for them (the missing one is named on standard error), or use provider "cpu"';

/** Name of the provider library, or null where none exists. */
function libraryName(): string | null {
  switch (process.platform) {
    case "linux":
      return "libonnxruntime_providers_cuda.so";
    case "win32":
      return "onnxruntime_providers_cuda.dll";
    default:
      return null;
  }
}

/** Looks without a prompt: nobody asked this process for that file. */
function presence(path: string): "present" | "absent" | "unreadable" {
  if (!isGranted({ name: "read", path })) return "unreadable";
  try {
    return statSync(path).isFile() ? "present" : "absent";
  } catch (error) {
    return isReadDenied(error) ? "unreadable" : "absent";
  }
}

async function probe(
  engine: Engine,
  options: ProbeOptions = { byName: true },
): Promise<ProbeResult> {
  const library = libraryName();
  if (library === null) {
    return {
      available: false,
      reason: `CUDA does not exist on ${process.platform}`,
      fix: 'use provider "cpu"',
    };
  }
  const folder = ortLibraryFolder();
  const found = folder === null ? "unreadable" : presence(join(folder, library));
  if (found === "absent") {
    return {
      available: false,
      reason: `${library} does not lie beside ONNX Runtime`,
      fix: FIX_MISSING,
    };
  }
  if (found === "unreadable" && !options.byName) {
    return {
      available: false,
      reason: `this process may not look for ${library} in ${folder ?? "the package's folder"}`,
      fix: folder === null
        ? 'ask for provider "cuda" by name'
        : `grant --allow-read=${folder}, or ask for provider "cuda" by name`,
    };
  }
  return await probeSession(engine, "cuda", FIX_LOAD);
}

/** The CUDA provider, device 0. */
export const cudaProvider: ProviderDescriptor = {
  name: "cuda",
  platforms: ["linux", "win32"],
  determinism: "tolerance",
  executionProviders: () => [{ name: "cuda", deviceId: 0 }],
  probe,
};
