// GPUs through Dawn, which onnxruntime-node carries. Without a Vulkan, Metal or Direct3D 12 driver the
// session fails to open with "Failed to get a WebGPU adapter" and Dawn prints one line to standard error
// at the process's end; it ends no process. Verified on ONNX Runtime 1.29, Linux without Vulkan.

import type { ProviderDescriptor } from "./descriptor.ts";
import { probeSession } from "./_probe_session.ts";

const FIX =
  'install a Vulkan driver (Mesa 25 or newer for software rendering) and libvulkan, or use provider "cpu"';

/** The WebGPU provider; taken only when asked for by name. */
export const webgpuProvider: ProviderDescriptor = {
  name: "webgpu",
  platforms: ["linux", "darwin", "win32"],
  determinism: "tolerance",
  executionProviders: () => ["webgpu"],
  probe: (engine) => probeSession(engine, "webgpu", FIX),
};
