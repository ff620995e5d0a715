import assert from "node:assert/strict";
import { cudaEntries, type CudaOptions } from "../../../sessions/providers/cuda_options.ts";
import { expectCode } from "../expect_code.ts";

Deno.test("cudaEntries() gives the provider's own keys", () => {
  assert.deepEqual([...cudaEntries({})], [["device_id", "0"]]);
  const entries = cudaEntries({
    deviceId: 2,
    memoryLimitBytes: 3 * 2 ** 30,
    arenaExtendStrategy: "kSameAsRequested",
    streamAddress: 0x7f00_0000_0000n,
  });
  assert.deepEqual(Object.fromEntries(entries), {
    device_id: "2",
    gpu_mem_limit: "3221225472",
    arena_extend_strategy: "kSameAsRequested",
    user_compute_stream: "139637976727552",
  });
});

Deno.test("cudaEntries() refuses what the provider would take without a word", async () => {
  const wrong: Readonly<Record<string, unknown>>[] = [
    { deviceId: -1 },
    { deviceId: 0.5 },
    { memoryLimitBytes: 0 },
    { memoryLimitBytes: "2GiB" },
    { arenaExtendStrategy: "kNextPowerOf2" },
    { streamAddress: 5 },
    { streamAddress: 0n },
    { graphCapture: true },
  ];
  for (const options of wrong) {
    await expectCode(
      "OPTION_INVALID",
      () => Promise.resolve().then(() => cudaEntries(options as CudaOptions)),
    );
  }
});
