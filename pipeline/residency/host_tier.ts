// Weights in the process's memory on their way from files to a device. Those of some modules stay here once
// they were read, those of others are read anew for each call, into memory that goes round.
//
// Invariant: what somebody has taken is neither written to nor freed before it is given back.

import type { DeviceUploads, HostStage } from "../../sessions/device_uploads.ts";

/** Weights that go to a device together. */
export interface StagedWeights {
  readonly byteLength: number;
  /** Whether they stay in the process's memory. */
  readonly stays: boolean;
  /** The device's copies, which begin in memory of their own kind. */
  readonly uploads: DeviceUploads;
  /** Reads them. */
  readonly fill: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>;
}

/** The weights of one plan in the process's memory. */
export class HostTier {
  readonly #kept = new Map<StagedWeights, HostStage>();
  readonly #taken = new Map<StagedWeights, HostStage>();
  readonly #idle: { readonly uploads: DeviceUploads; readonly stage: HostStage }[] = [];

  /** Bytes that are in the process's memory. */
  get byteLength(): number {
    const idle = this.#idle.map(({ stage }) => stage);
    return [...this.#kept.values(), ...this.#taken.values(), ...idle]
      .reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  }

  /**
   * Memory with the weights in it, until {@linkcode give}. One taker at a time.
   *
   * @throws what reading them throws.
   */
  async take(weights: StagedWeights): Promise<HostStage> {
    const kept = this.#kept.get(weights);
    if (kept !== undefined) return kept;
    const stage = this.#stageFor(weights);
    this.#taken.set(weights, stage);
    try {
      await weights.fill(stage.bytes);
    } catch (error) {
      this.give(weights);
      throw error;
    }
    if (weights.stays) {
      this.#taken.delete(weights);
      this.#kept.set(weights, stage);
    }
    return stage;
  }

  /** Nothing reads the memory any more. */
  give(weights: StagedWeights): void {
    const stage = this.#taken.get(weights);
    if (stage === undefined) return; // it stays
    this.#taken.delete(weights);
    this.#idle.push({ uploads: weights.uploads, stage });
  }

  /** Frees all of it; nobody has taken anything. */
  close(): void {
    for (const stage of this.#kept.values()) stage.release();
    for (const { stage } of this.#idle.splice(0)) stage.release();
    this.#kept.clear();
  }

  #stageFor({ uploads, byteLength, stays }: StagedWeights): HostStage {
    const index = stays
      ? -1
      : this.#idle.findIndex((idle) =>
        idle.uploads === uploads && idle.stage.bytes.byteLength === byteLength
      );
    const [found] = index < 0 ? [] : this.#idle.splice(index, 1);
    return found?.stage ?? uploads.stage(byteLength);
  }
}
