// One call after another into a device's provider, from whatever thread. ONNX Runtime's WebGPU sessions
// share a device and its command encoder without a lock: two runs at once end the process. Verified on
// ONNX Runtime 1.29. CUDA sessions take the same way: one device computes them one after another anyway.

import { HooklineError } from "../errors/hookline_error.ts";
import { isInWorker } from "./native/_worker_calls.ts";
import { RunGate } from "./native/run_gate.ts";
import { ThreadLease, type ThreadLocks } from "./thread_lease.ts";

/** Where a lane is used. */
export interface LanePlace {
  /** Null in a runtime without web locks. */
  readonly locks: ThreadLocks | null;
  readonly isInWorker: boolean;
}

/** Lets one call at a time in. */
export class DeviceLane {
  readonly #provider: string;
  /** Keeps other threads out; null where there are none, or none can be told. */
  readonly #lease: ThreadLease | null;
  readonly #isGuarded: boolean;
  readonly #gate = new RunGate(1);
  /** What waits for a moment in which nobody is inside. */
  #later: (() => void)[] = [];
  /** Calls of this thread inside and before the gate. */
  #users = 0;

  /** Makes a lane; only tests pass another `place`. */
  constructor(provider: string, place: LanePlace = placeOfThread()) {
    const { locks } = place;
    this.#provider = provider;
    this.#lease = locks === null ? null : new ThreadLease(locks, `hookline ${provider}`);
    this.#isGuarded = locks !== null || !place.isInWorker;
  }

  /** True when nobody of this thread is inside or on the way in. */
  get isEmpty(): boolean {
    return this.#users === 0;
  }

  /**
   * Does `work` when all work before it has ended.
   *
   * @throws what `work` throws; `signal.reason` when it was aborted while it waited;
   * {HooklineError} PROVIDER_UNAVAILABLE in a worker where nothing keeps threads apart.
   */
  async through<Result>(work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    if (!this.#isGuarded) throw this.#unguarded();
    this.#users++;
    let isInside = false;
    try {
      const place = this.#gate.enter(signal);
      if (place !== null) await place;
      isInside = true;
      await this.#lease?.enter(signal);
      try {
        return await work();
      } finally {
        this.sweep();
        this.#lease?.leave();
      }
    } finally {
      this.#users--;
      if (isInside) this.#gate.leave();
      this.#sweepSoon();
    }
  }

  /** Does something short on this thread, in a moment in which nobody is inside; soon when that is now. */
  whenFree(action: () => void): void {
    this.#later.push(action);
    this.#sweepSoon();
  }

  /** Does what waits for a free moment; the caller is inside, and nothing of its own computes. */
  sweep(): void {
    const actions = this.#later;
    this.#later = [];
    for (const action of actions) action();
  }

  #sweepSoon(): void {
    if (this.#users > 0 || this.#later.length === 0) return; // whoever is on the way in sweeps
    if (this.#lease === null || this.#lease.isHeld) this.sweep();
    else void this.through(() => Promise.resolve());
  }

  #unguarded(): HooklineError {
    return new HooklineError("PROVIDER_UNAVAILABLE", {
      message: `cannot use provider "${this.#provider}" in a worker: nothing keeps it apart from ` +
        "other threads on the device, which would end the process",
      fix: "use the device on the main thread, or a runtime that has navigator.locks",
      details: { provider: this.#provider },
    });
  }
}

function placeOfThread(): LanePlace {
  const { navigator } = globalThis as { readonly navigator?: { readonly locks?: ThreadLocks } };
  return { locks: navigator?.locks ?? null, isInWorker: isInWorker() };
}

const LANES = new Map<string, DeviceLane>();

/** The lane of a provider: the same one for all of this thread, kept apart from those of others. */
export function deviceLane(provider: string): DeviceLane {
  const lane = LANES.get(provider) ?? new DeviceLane(provider);
  LANES.set(provider, lane);
  return lane;
}
