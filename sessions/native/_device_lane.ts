// One call after another into a device's provider, from whatever thread. ONNX Runtime's WebGPU sessions
// share a device and its command encoder without a lock: two runs at once end the process. Verified on
// ONNX Runtime 1.29. CUDA sessions take the same way: one device computes them one after another anyway.

import { RunGate } from "./run_gate.ts";

/** Lets one call at a time in. */
export class DeviceLane {
  readonly #gate = new RunGate(1);
  /** What waits for a moment in which nobody is inside. */
  #later: (() => void)[] = [];
  /** Calls inside and before the gate. */
  #users = 0;

  /**
   * Does `work` when all work before it has ended.
   *
   * @throws what `work` throws; `signal.reason` when it was aborted while it waited.
   */
  async through<Result>(
    work: () => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    this.#users++;
    let isInside = false;
    try {
      const place = this.#gate.enter(signal);
      if (place !== null) await place;
      isInside = true;
      return await work();
    } finally {
      this.#users--;
      if (isInside) {
        this.sweep();
        this.#gate.leave();
      }
    }
  }

  /** Does something short on this thread: at once when nobody is inside, else when the next one leaves. */
  whenFree(action: () => void): void {
    if (this.#users === 0) action();
    else this.#later.push(action);
  }

  /** Does what waits for a free moment; the caller is inside, and nothing of its own computes. */
  sweep(): void {
    const actions = this.#later;
    this.#later = [];
    for (const action of actions) action();
  }
}

const LANES = new Map<string, DeviceLane>();

/** The lane of a provider: one for the whole process. */
export function deviceLane(provider: string): DeviceLane {
  const lane = LANES.get(provider) ?? new DeviceLane();
  LANES.set(provider, lane);
  return lane;
}
