// GPUs through Dawn, which onnxruntime-node carries. Without a Vulkan, Metal or Direct3D 12 driver the
// session fails to open with "Failed to get a WebGPU adapter" and Dawn prints one line to standard error
// at the process's end; it ends no process. Verified on ONNX Runtime 1.29, Linux without Vulkan.

import type { ProviderDescriptor } from "./descriptor.ts";
import { probeSession } from "./_probe_session.ts";
import { vulkanAdvice } from "./_vulkan_advice.ts";

/** The WebGPU provider; taken only when asked for by name. */
export const webgpuProvider: ProviderDescriptor = {
  name: "webgpu",
  platforms: ["linux", "darwin", "win32"],
  determinism: "tolerance",
  executionProviders: () => ["webgpu"],
  async probe(engine) {
    const found = await probeSession(engine, "webgpu", "");
    return found.available ? found : { ...found, fix: vulkanAdvice() };
  },
};
