// Execution providers as the C API takes them. CUDA has a call of its own and options that the addon
// cannot pass; every other provider is appended by its name.
//
// CUDA was not run, for want of a device: with libraries that only pretend to be NVIDIA's, everything up to
// the count of devices was.

import { cudaEntries, type CudaOptions } from "../providers/cuda_options.ts";
import type { ExecutionProvider } from "../providers/descriptor.ts";
import { dirname, join } from "node:path";
import type { NativeHost } from "./_native_host.ts";
import { encodePath, encodeText, handleIn, outCell, TextList } from "./_native_text.ts";

/** Names in the C API, where they differ from ours. */
const PROVIDER_NAMES: Readonly<Record<string, string>> = { webgpu: "WebGPU" };

const WEBGPU_CAPTURE = encodeText("ep.webgpuexecutionprovider.enableGraphCapture");

/** Settings of providers that only the C API takes. */
export interface ProviderSettings {
  readonly cuda?: CudaOptions | undefined;
  /** See `SessionSettings.recordsRuns`. */
  readonly recordsRuns?: boolean | undefined;
}

/**
 * Appends a provider to session options. Returns what to call once the session is open, or null.
 *
 * @throws {OrtStatusError} when ONNX Runtime has no such provider or cannot load its library.
 */
export function appendProvider(
  host: NativeHost,
  options: Deno.PointerObject,
  provider: ExecutionProvider,
  { cuda = {}, recordsRuns = false }: ProviderSettings,
): (() => void) | null {
  const { api, check } = host;
  const { name, deviceId = 0 } = typeof provider === "string" ? { name: provider } : provider;
  if (name === "cpu") return null; // always there, and last
  if (name === "cuda") {
    const entries = new Map(cudaEntries({ deviceId, ...cuda }));
    if (recordsRuns) entries.set("enable_cuda_graph", "1");
    return appendCuda(host, options, entries);
  }
  if (name === "webgpu" && recordsRuns) {
    check(api.AddSessionConfigEntry(options, WEBGPU_CAPTURE, encodeText("1")));
  }
  const text = encodeText(PROVIDER_NAMES[name] ?? name);
  check(api.SessionOptionsAppendExecutionProvider(options, text, null, null, 0n));
  return null;
}

function appendCuda(
  host: NativeHost,
  options: Deno.PointerObject,
  entries: ReadonlyMap<string, string>,
): () => void {
  const { api, check } = host;
  const cell = outCell();
  check(api.CreateCUDAProviderOptions(cell));
  const handle = handleIn(cell);
  try {
    const keys = new TextList([...entries.keys()]);
    const values = new TextList([...entries.values()]);
    const count = BigInt(entries.size);
    check(api.UpdateCUDAProviderOptions(handle, keys.addresses, values.addresses, count));
    check(api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, handle));
    registerCuda(host);
  } catch (error) {
    api.ReleaseCUDAProviderOptions(handle);
    throw error;
  }
  return () => api.ReleaseCUDAProviderOptions(handle);
}

let isRegistered = false;

/** Makes the environment know how to copy from and to CUDA devices, once. Sessions compute without it. */
function registerCuda({ api, environment, path }: NativeHost): void {
  if (isRegistered) return;
  isRegistered = true;
  const library = join(
    dirname(path),
    Deno.build.os === "windows"
      ? "onnxruntime_providers_cuda.dll"
      : "libonnxruntime_providers_cuda.so",
  );
  const name = encodeText("hookline-cuda");
  const status = api.RegisterExecutionProviderLibrary(
    environment.handle,
    name,
    encodePath(library),
  );
  if (status !== null) api.ReleaseStatus(status); // a copy then says what it lacks
}
