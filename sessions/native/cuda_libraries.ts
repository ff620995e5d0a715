// The libraries of NVIDIA that the CUDA provider links to, opened one by one before it: a failing load of
// the provider only says that it failed, and prints from native code. Not run with a device.

/** A library that cannot be opened. */
export interface MissingLibrary {
  /** Its file name. */
  readonly name: string;
  /** What the system's loader says. */
  readonly reason: string;
  /** Where it comes from. */
  readonly fix: string;
}

const TOOLKIT =
  "install the CUDA 13 runtime libraries, or Python's nvidia-* packages of CUDA 13 with their lib " +
  "folders in LD_LIBRARY_PATH";

/**
 * What the provider of ONNX Runtime 1.29 needs on Linux, each before what links to it. cuDNN is opened by
 * the provider itself. Source: the NEEDED entries of libonnxruntime_providers_cuda.so in
 * com.github.asus4.onnxruntime.linux-x64-gpu 0.4.9.
 */
const NEEDED: readonly (readonly [name: string, fix: string])[] = [
  ["libcuda.so.1", "install NVIDIA's driver, 580 or newer for CUDA 13"],
  ["libcudart.so.13", TOOLKIT],
  ["libcublasLt.so.13", TOOLKIT],
  ["libcublas.so.13", TOOLKIT],
  ["libcurand.so.10", TOOLKIT],
  ["libcudnn.so.9", "install cuDNN 9 for CUDA 13, and put its folder in LD_LIBRARY_PATH"],
];

/** The first library that is missing; null when there is none, or on a system other than Linux. */
export function missingCudaLibrary(
  needed: readonly (readonly [name: string, fix: string])[] = NEEDED,
): MissingLibrary | null {
  if (Deno.build.os !== "linux") return null;
  for (const [name, fix] of needed) {
    try {
      Deno.dlopen(name, {}).close();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      return { name, reason: text.replace(/^Could not open library: /, ""), fix };
    }
  }
  return null;
}
