// Where ONNX Runtime's CUDA provider lies: beside ONNX Runtime's own library, or in the npm package that
// carries it, installed next to onnxruntime-node. Looks without a prompt and loads nothing.

import { statSync } from "node:fs";
import process from "node:process";
import { dirname, join } from "node:path";
import { isGranted } from "../host/environment.ts";
import { isReadDenied } from "./_file_errors.ts";
import { ortLibraryFolder } from "./_ort_library.ts";

/** The package of the provider that was built with the ONNX Runtime in use, 1.29.0. */
export const CUDA_PACKAGE = {
  name: "com.github.asus4.onnxruntime.linux-x64-gpu",
  version: "0.4.9",
} as const;

/** What a look at the files found. */
export interface CudaProviderLibrary {
  /** File name of the library; null where there is none for this system. */
  readonly name: string | null;
  /** Beside ONNX Runtime, where every engine finds it. */
  readonly beside: "present" | "absent" | "unreadable";
  /** Absolute path in the package; null when it is not there, or must not be looked for. */
  readonly packaged: string | null;
}

/** Looks for the provider's library; `ortFolder` is where ONNX Runtime's own lies. */
export function cudaProviderLibrary(
  ortFolder: string | null = ortLibraryFolder(),
): CudaProviderLibrary {
  const name = libraryName();
  if (name === null || ortFolder === null) return { name, beside: "unreadable", packaged: null };
  const candidates = process.platform === "linux" && process.arch === "x64"
    ? packageFolders(ortFolder).map((folder) => join(folder, "Plugins", "Linux", "x64", name))
    : [];
  return {
    name,
    beside: presence(join(ortFolder, name)),
    packaged: candidates.find((path) => presence(path) === "present") ?? null,
  };
}

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

/** `…/onnxruntime-node/bin/…` in node_modules, `…/onnxruntime-node/1.29.0/bin/…` in Deno's cache. */
function packageFolders(ortFolder: string): readonly string[] {
  const root = dirname(dirname(dirname(dirname(ortFolder))));
  const { name, version } = CUDA_PACKAGE;
  return [join(dirname(root), name), join(dirname(dirname(root)), name, version)];
}

/** Looks without a prompt: nobody asked this process for that file. */
function presence(path: string): CudaProviderLibrary["beside"] {
  if (!isGranted({ name: "read", path })) return "unreadable";
  try {
    return statSync(path).isFile() ? "present" : "absent";
  } catch (error) {
    return isReadDenied(error) ? "unreadable" : "absent";
  }
}
