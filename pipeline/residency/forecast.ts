// What a schedule is expected to cost: memory, time and numbers, before anything runs.

import type { ResidencyStrategy } from "../../hooks/residency_request.ts";
import type { BlockWeights } from "./block_weights.ts";

/** What a schedule is expected to cost. */
export interface ResidencyForecast {
  /** Bytes of weights that stay in memory. */
  readonly residentByteLength: number;
  /** Bytes of weights that pass through memory in one run. */
  readonly streamedByteLength: number;
  /**
   * Resident memory of a run above that before it: streamed weights in memory at once, and activations. On
   * a device, of its memory.
   */
  readonly peakByteLength: number;
  /** Activations in `peakByteLength`; null when sizes of the inputs are not known, and none are in it. */
  readonly activationByteLength: number | null;
  /** Time of a run whose files the system has cached, over a fully resident run. On the CPU. */
  readonly hotRatio: number;
  /** `bit-exact`: the numbers of a resident run; `tolerance`: they may differ in the last digits. */
  readonly numerics: "bit-exact" | "tolerance";
}

/** What to foretell from. */
export interface ForecastRequest {
  readonly strategy: ResidencyStrategy;
  readonly streamed: readonly BlockWeights[];
  readonly windowByteLength: number;
  readonly residentByteLength: number;
  readonly activationByteLength: number | null;
}

/**
 * Measured: 24 blocks of 44 MB, fp32, 128 tokens, 2 threads. Of `inputs` where they are read: 1.9 to 3 on the
 * native engine, 3.2 to 4.4 on the napi engine; those that are mapped cost 1.0 to 1.2 of `mapped`.
 */
const HOT_RATIO: Readonly<Record<ResidencyStrategy, number>> = {
  prepacked: 1.05,
  mapped: 1.5,
  inputs: 3,
  sessions: 3,
};

/** The forecast. */
export function forecast(request: ForecastRequest): ResidencyForecast {
  const { strategy, streamed, windowByteLength, residentByteLength, activationByteLength } =
    request;
  const streamedByteLength = streamed.reduce((sum, block) => sum + block.byteLength, 0);
  const whole = streamedByteLength + residentByteLength;
  const part = whole === 0 ? 0 : streamedByteLength / whole;
  return Object.freeze({
    residentByteLength,
    streamedByteLength,
    peakByteLength: windowByteLength + (activationByteLength ?? 0),
    activationByteLength,
    hotRatio: 1 + (HOT_RATIO[strategy] - 1) * part,
    numerics: streamed.length === 0 || strategy === "prepacked" || strategy === "sessions"
      ? "bit-exact"
      : "tolerance",
  });
}
