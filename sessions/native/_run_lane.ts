// A thread that runs several sessions one after the other without coming back in between: a worker of this
// process that sleeps until it is asked. Handing over and waking up costs some 100 to 250 µs where the
// other side has slept for a while; a split model would pay it for every segment. It knows bindings and
// addresses, no tensor.
//
// Invariants: the caller holds all memory behind the addresses until `run` settles; `run` settles, even when
// the thread has ended.

import { Worker } from "node:worker_threads";

/** What one call of `RunWithBinding` is made with: the addresses of session, options and binding. */
export interface LaneCall {
  readonly session: bigint;
  readonly options: bigint;
  readonly binding: bigint;
}

/** How the calls ended. */
export interface LaneReport {
  /** The first call that failed, and its status; null when none did. */
  readonly failure: { readonly index: number; readonly status: bigint } | null;
  /** What each call took, in milliseconds; those after a failure did not run. */
  readonly elapsedMs: Float64Array<ArrayBuffer>;
}

/** More calls than this do not go through the lane at once. */
export const LANE_CALLS = 1024;

/** What is to happen before each call; see `ChainRunOptions.before`. */
export type BeforeCall = (index: number) => Promise<void>;

/** Where what lies in the shared memory: control words, then the status, the calls, the times. */
const CONTROL_WORDS = 6;
const STATUS_OFFSET = 4 * CONTROL_WORDS;
const CALLS_OFFSET = STATUS_OFFSET + 8;
const TIMES_OFFSET = CALLS_OFFSET + 24 * LANE_CALLS;
const BYTE_LENGTH = TIMES_OFFSET + 8 * LANE_CALLS;
/** `ALLOWED` calls may run, none any more when it is negative; `STARTED` have begun. */
const [BELL, DONE, COUNT, FAILED, ALLOWED, STARTED] = [0, 1, 2, 3, 4, 5];
/** Longest wait for the worker to be there. */
const START_MS = 30_000;

/** The other thread; sleeps for good in its loop. */
const LANE_SOURCE = `
import { parentPort } from "node:worker_threads";
parentPort.once("message", ({ memory, run }) => {
  const control = new Int32Array(memory, 0, ${CONTROL_WORDS});
  const status = new BigUint64Array(memory, ${STATUS_OFFSET}, 1);
  const calls = new BigUint64Array(memory, ${CALLS_OFFSET}, ${3 * LANE_CALLS});
  const times = new Float64Array(memory, ${TIMES_OFFSET}, ${LANE_CALLS});
  const form = { parameters: ["u64", "u64", "u64"], result: "u64" };
  const bridge = new Deno.UnsafeFnPointer(Deno.UnsafePointer.create(run), form);
  for (;;) {
    Atomics.add(control, ${DONE}, 1);
    Atomics.notify(control, ${DONE});
    while (Atomics.compareExchange(control, ${BELL}, 1, 0) !== 1) Atomics.wait(control, ${BELL}, 0);
    const count = control[${COUNT}];
    control[${FAILED}] = -1;
    for (let at = 0; at < count; at++) {
      let allowed;
      while ((allowed = Atomics.load(control, ${ALLOWED})) >= 0 && allowed <= at) {
        Atomics.wait(control, ${ALLOWED}, allowed);
      }
      if (allowed < 0) break;
      Atomics.store(control, ${STARTED}, at + 1);
      Atomics.notify(control, ${STARTED});
      const start = performance.now();
      const found = bridge.call(calls[3 * at], calls[3 * at + 1], calls[3 * at + 2]);
      times[at] = performance.now() - start;
      if (BigInt(found) === 0n) continue;
      status[0] = BigInt(found);
      control[${FAILED}] = at;
      break;
    }
    Atomics.store(control, ${STARTED}, count + 1);
    Atomics.notify(control, ${STARTED});
  }
});
`;

/** The thread, ready to be asked. */
export class RunLane {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #status: BigUint64Array<SharedArrayBuffer>;
  readonly #calls: BigUint64Array<SharedArrayBuffer>;
  readonly #times: Float64Array<SharedArrayBuffer>;
  #isBusy = false;
  #hasEnded = false;

  private constructor(memory: SharedArrayBuffer) {
    this.#control = new Int32Array(memory, 0, CONTROL_WORDS);
    this.#status = new BigUint64Array(memory, STATUS_OFFSET, 1);
    this.#calls = new BigUint64Array(memory, CALLS_OFFSET, 3 * LANE_CALLS);
    this.#times = new Float64Array(memory, TIMES_OFFSET, LANE_CALLS);
  }

  /**
   * Starts the thread, which stays to the process's end and does not keep the process alive.
   *
   * @param run The address of `RunWithBinding`.
   * @throws when the worker does not start.
   */
  static async start(run: bigint): Promise<RunLane> {
    const memory = new SharedArrayBuffer(BYTE_LENGTH);
    const lane = new RunLane(memory);
    const source = `data:text/javascript,${encodeURIComponent(LANE_SOURCE)}`;
    const worker = new Worker(new URL(source), { name: "hookline runs" });
    for (const event of ["error", "exit"]) worker.on(event, () => lane.#end());
    worker.postMessage({ memory, run });
    worker.unref();
    const hasStarted = await lane.#settled(0, START_MS);
    if (!hasStarted || lane.#hasEnded) throw new Error("a thread for runs does not start");
    return lane;
  }

  /** True while it is there and runs no calls. */
  get isFree(): boolean {
    return !this.#isBusy && !this.#hasEnded;
  }

  /**
   * Runs the calls one after the other, up to the first that fails. The lane is free.
   *
   * @returns How they ended; null when the thread has ended, and nobody knows what it has done.
   * @throws what `before` rejected with, after the call that ran then has ended.
   */
  async run(calls: readonly LaneCall[], before?: BeforeCall): Promise<LaneReport | null> {
    const control = this.#control;
    this.#isBusy = true;
    try {
      calls.forEach(({ session, options, binding }, index) => {
        this.#calls[3 * index] = session;
        this.#calls[3 * index + 1] = options;
        this.#calls[3 * index + 2] = binding;
      });
      control[COUNT] = calls.length;
      control[STARTED] = 0;
      control[ALLOWED] = before === undefined ? calls.length : 0;
      const done = Atomics.load(control, DONE);
      Atomics.store(control, BELL, 1);
      Atomics.notify(control, BELL);
      const settled = this.#settled(done, null);
      try {
        if (before !== undefined) await this.#lead(calls.length, before);
      } finally {
        await settled;
      }
      if (this.#hasEnded) return null;
      const index = control[FAILED] as number;
      return {
        failure: index < 0 ? null : { index, status: this.#status[0] as bigint },
        elapsedMs: new Float64Array(this.#times.subarray(0, calls.length)),
      };
    } finally {
      this.#isBusy = false;
    }
  }

  /** Lets one call after the other run. */
  async #lead(count: number, before: BeforeCall): Promise<void> {
    const control = this.#control;
    const allow = (calls: number): void => {
      Atomics.store(control, ALLOWED, calls);
      Atomics.notify(control, ALLOWED);
    };
    try {
      for (let index = 0; index <= count; index++) {
        let started: number;
        while ((started = Atomics.load(control, STARTED)) < index) {
          await Atomics.waitAsync(control, STARTED, started).value;
        }
        if (started > count && index < count || this.#hasEnded) return; // one has failed
        await before(index);
        allow(index + 1);
      }
    } catch (error) {
      allow(-1);
      throw error;
    }
  }

  /** The thread is gone, by an error of its own: whoever waits for it is told so. */
  #end(): void {
    this.#hasEnded = true;
    Atomics.store(this.#control, STARTED, LANE_CALLS + 1);
    Atomics.notify(this.#control, STARTED);
    Atomics.add(this.#control, DONE, 1);
    Atomics.notify(this.#control, DONE);
  }

  /** Waits until the thread has finished once more than `before` says, or is gone; false when it took too long. */
  async #settled(before: number, limitMs: number | null): Promise<boolean> {
    // Waiting for shared memory alone does not keep a process alive: right while the thread starts, wrong
    // while a run waits for it.
    const alive = limitMs === null ? setInterval(() => {}, 60_000) : undefined;
    try {
      const { async: isWaiting, value } = Atomics.waitAsync(
        this.#control,
        DONE,
        before,
        limitMs ?? Infinity,
      );
      return !isWaiting || await value !== "timed-out";
    } finally {
      clearInterval(alive);
    }
  }
}
