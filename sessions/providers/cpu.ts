// The CPU: part of every ONNX Runtime, so it is never probed by running anything.

import type { ProviderDescriptor } from "./descriptor.ts";

/**
 * The CPU provider. Bitwise: the same session settings, the number of threads among them, give the same
 * bits on the same processor; another processor may take other kernels.
 */
export const cpuProvider: ProviderDescriptor = {
  name: "cpu",
  platforms: ["linux", "darwin", "win32"],
  determinism: "bitwise",
  executionProviders: () => ["cpu"],
  probe: () =>
    Promise.resolve({
      available: true,
      detail: "part of every ONNX Runtime",
    }),
};
