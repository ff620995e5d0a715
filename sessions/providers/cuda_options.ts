// Settings of the CUDA provider that only the native engine can pass on. CUDA graphs are
// `SessionSettings.recordsRuns`: WebGPU has the same.

import { HooklineError } from "../../errors/hookline_error.ts";
import { requireOptions } from "../../errors/option_names.ts";

/**
 * Settings of the CUDA provider. Not run with a device. Source: "CUDA Execution Provider", "Configuration
 * Options", ONNX Runtime documentation.
 */
export interface CudaOptions {
  /** Which device; 0, the first, when left out. */
  readonly deviceId?: number;
  /** Most bytes that a session's arena may take; the whole device when left out. */
  readonly memoryLimitBytes?: number;
  /** How the arena grows: to the next power of two, which is the default, or by what was asked for. */
  readonly arenaExtendStrategy?: "kNextPowerOfTwo" | "kSameAsRequested";
  /** Address of a CUDA stream of yours to compute on; it outlives the model. */
  readonly streamAddress?: bigint;
}

const NAMES: readonly (keyof CudaOptions)[] = [
  "deviceId",
  "memoryLimitBytes",
  "arenaExtendStrategy",
  "streamAddress",
];
const STRATEGIES: readonly unknown[] = ["kNextPowerOfTwo", "kSameAsRequested"];

/**
 * The provider's own keys and values. Pure.
 *
 * @throws {HooklineError} OPTION_INVALID for an option that does not exist or is outside its range.
 */
export function cudaEntries(options: CudaOptions): ReadonlyMap<string, string> {
  requireOptions("use CUDA", options, NAMES);
  const { deviceId = 0, memoryLimitBytes, arenaExtendStrategy, streamAddress } = options;
  if (!Number.isInteger(deviceId) || deviceId < 0) {
    throw invalid("deviceId", deviceId, "a whole number from 0");
  }
  const entries = new Map([["device_id", String(deviceId)]]);
  if (memoryLimitBytes !== undefined) {
    if (!Number.isSafeInteger(memoryLimitBytes) || memoryLimitBytes < 1) {
      throw invalid("memoryLimitBytes", memoryLimitBytes, "a whole number of bytes");
    }
    entries.set("gpu_mem_limit", String(memoryLimitBytes));
  }
  if (arenaExtendStrategy !== undefined) {
    if (!STRATEGIES.includes(arenaExtendStrategy)) {
      throw invalid("arenaExtendStrategy", arenaExtendStrategy, STRATEGIES.join(" or "));
    }
    entries.set("arena_extend_strategy", arenaExtendStrategy);
  }
  if (streamAddress !== undefined) {
    if (typeof streamAddress !== "bigint" || streamAddress <= 0n) {
      throw invalid("streamAddress", streamAddress, "an address as a bigint");
    }
    entries.set("user_compute_stream", String(streamAddress));
  }
  return entries;
}

function invalid(option: string, found: unknown, wanted: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot use CUDA with ${option} ${String(found)}: wanted ${wanted}`,
    fix: `give ${wanted}, or leave ${option} out`,
    details: { option: `cuda.${option}` },
  });
}
