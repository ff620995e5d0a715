// Execution providers as the C API takes them. CUDA has a call of its own and options that the addon
// cannot pass; every other provider is appended by its name.
//
// Not run: CUDA, for want of a device. Without its library the update of its options fails, which is
// what the tests see.

import type { ExecutionProvider } from "../providers/descriptor.ts";
import type { NativeHost } from "./_native_host.ts";
import { encodeText, handleIn, outCell, TextList } from "./_native_text.ts";

/**
 * Settings of the CUDA provider. Source: "CUDA Execution Provider", "Configuration Options", ONNX
 * Runtime documentation.
 */
export interface CudaOptions {
  /** Most bytes that its arena may take; the whole device when left out. */
  readonly memoryLimitBytes?: number;
  /** How the arena grows: to the next power of two, or by what was asked for. */
  readonly arenaExtendStrategy?: "kNextPowerOfTwo" | "kSameAsRequested";
  /** True to capture the session's kernels once and replay them: shapes and addresses must not change. */
  readonly graphCapture?: boolean;
  /** Address of a CUDA stream of yours to compute on. */
  readonly streamAddress?: bigint;
}

/** Names in the C API, where they differ from ours. */
const PROVIDER_NAMES: Readonly<Record<string, string>> = { webgpu: "WebGPU" };

/**
 * Appends a provider to session options. Returns what to call once the session is open, or null.
 *
 * @throws {OrtStatusError} when ONNX Runtime has no such provider or cannot load its library.
 */
export function appendProvider(
  host: NativeHost,
  options: Deno.PointerObject,
  provider: ExecutionProvider,
  cuda: CudaOptions,
): (() => void) | null {
  const { api, check } = host;
  const { name, deviceId = 0 } = typeof provider === "string" ? { name: provider } : provider;
  if (name === "cpu") return null; // always there, and last
  if (name === "cuda") return appendCuda(host, options, cudaEntries(deviceId, cuda));
  const text = encodeText(PROVIDER_NAMES[name] ?? name);
  check(api.SessionOptionsAppendExecutionProvider(options, text, null, null, 0n));
  return null;
}

/** The provider's own keys and values. */
export function cudaEntries(deviceId: number, options: CudaOptions): ReadonlyMap<string, string> {
  const { memoryLimitBytes, arenaExtendStrategy, graphCapture, streamAddress } = options;
  const entries = new Map([["device_id", String(deviceId)]]);
  if (memoryLimitBytes !== undefined) entries.set("gpu_mem_limit", String(memoryLimitBytes));
  if (arenaExtendStrategy !== undefined) entries.set("arena_extend_strategy", arenaExtendStrategy);
  if (graphCapture === true) entries.set("enable_cuda_graph", "1");
  if (streamAddress !== undefined) entries.set("user_compute_stream", String(streamAddress));
  return entries;
}

function appendCuda(
  { api, check }: NativeHost,
  options: Deno.PointerObject,
  entries: ReadonlyMap<string, string>,
): () => void {
  const cell = outCell();
  check(api.CreateCUDAProviderOptions(cell));
  const handle = handleIn(cell);
  try {
    const keys = new TextList([...entries.keys()]);
    const values = new TextList([...entries.values()]);
    const count = BigInt(entries.size);
    check(api.UpdateCUDAProviderOptions(handle, keys.addresses, values.addresses, count));
    check(api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, handle));
  } catch (error) {
    api.ReleaseCUDAProviderOptions(handle);
    throw error;
  }
  return () => api.ReleaseCUDAProviderOptions(handle);
}
