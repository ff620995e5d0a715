// Runs of a session whose values lie in the process's memory: where one computes, and what holds its memory
// while it does. All that native code works on during a call is held by `flights`, never by a promise alone.

import type { TensorMap } from "../../tensor/tensor.ts";
import type { ValueSpec } from "../engine.ts";
import { availableCores } from "../thread_budget.ts";
import { CallCache, type CallShape } from "./_call_cache.ts";
import type { CallFrame } from "./_call_frame.ts";
import { pacing, turnEventLoop } from "./_event_loop.ts";
import type { NativeHost } from "./_native_host.ts";
import { TextList } from "./_native_text.ts";
import { TakenFeeds } from "./_taken_feeds.ts";
import { RunCancellation } from "./_run_cancellation.ts";
import { RunGate } from "./run_gate.ts";

/** All sessions compute on the same cores. */
const gate = new RunGate(Math.max(4, availableCores()));

/** What one run is made with; it was checked. */
export interface HostCall {
  readonly feeds: TensorMap;
  readonly fetches: readonly string[];
  /** Values of the inputs that are weights, held by the caller; null when there are none. */
  readonly weights: BigUint64Array<ArrayBuffer> | null;
  readonly signal: AbortSignal | undefined;
  /** Looks at the feeds once more, after a wait. */
  readonly check: () => void;
}

/** One execution in ONNX Runtime with everything that it reads and writes. */
interface Flight {
  readonly runs: HostRuns;
  readonly shape: CallShape;
  readonly frame: CallFrame;
  readonly given: HostCall;
}

/** The executions of this moment. */
const flights = new Set<Flight>();

/** The runs of one session. */
export class HostRuns {
  readonly #host: NativeHost;
  readonly #session: Deno.PointerObject;
  readonly #runOptions: Deno.PointerObject;
  readonly #calls: CallCache;
  readonly #inputNames: TextList;
  readonly #inputCount: bigint;

  constructor(host: NativeHost, { session, runOptions, fed, weightNames }: {
    readonly session: Deno.PointerObject;
    readonly runOptions: Deno.PointerObject;
    /** The inputs that are fed. */
    readonly fed: readonly ValueSpec[];
    /** The inputs behind them whose values are weights. */
    readonly weightNames: readonly string[];
  }) {
    const names = [...fed.map(({ name }) => name), ...weightNames];
    this.#host = host;
    this.#session = session;
    this.#runOptions = runOptions;
    this.#calls = new CallCache(host, { inputs: fed, weightNames });
    this.#inputNames = new TextList(names);
    this.#inputCount = BigInt(names.length);
  }

  /**
   * Runs the session: here when such a run was measured to be quick, else on another thread. The feeds are
   * read within this call, except where the run waits for a turn of the event loop or before the gate: then
   * they are looked at again and read afterwards.
   *
   * @throws what ONNX Runtime reports; `signal.reason` when it was aborted while it waited.
   */
  async run(given: HostCall): Promise<TensorMap> {
    let shape = this.#calls.find(given.feeds, given.fetches);
    let startMs = performance.now();
    let place = pacing.placeOf(shape.elapsedMs, startMs);
    while (place === "after a turn") {
      await turnEventLoop();
      shape = this.#findAgain(given);
      startMs = performance.now();
      place = pacing.placeOf(shape.elapsedMs, startMs);
    }
    const outputs = place === "here" ? this.#runHere(shape, given, startMs) : null;
    return outputs ?? await this.#call(shape, given);
  }

  /** Frees what calls left; no run is in flight. */
  retire(): void {
    this.#calls.retire();
  }

  /** Frees what calls left, then the session; no run is in flight. */
  async release(): Promise<void> {
    this.retire();
    await this.#host.background.ReleaseSession(this.#session);
  }

  /** The shape after a wait: another one, or none at all, when somebody exchanged a feed meanwhile. */
  #findAgain(given: HostCall): CallShape {
    given.signal?.throwIfAborted();
    given.check();
    return this.#calls.find(given.feeds, given.fetches);
  }

  /** A run on this thread; null when it failed: then it is done again on another one. */
  #runHere(shape: CallShape, given: HostCall, startMs: number): TensorMap | null {
    const frame = shape.take();
    try {
      frame.begin(given.feeds, given.weights);
      this.#host.check(this.#execute(shape, frame));
      return frame.collect();
    } catch {
      return null;
    } finally {
      frame.end();
      shape.give(frame);
      const endMs = performance.now();
      shape.elapsedMs = endMs - startMs;
      pacing.endHere(shape.elapsedMs, endMs);
    }
  }

  #execute({ fetches }: CallShape, frame: CallFrame): Deno.PointerValue {
    const { api } = this.#host;
    const handle = this.#session;
    const binding = frame.binding(handle);
    if (binding !== null) return api.RunWithBinding(handle, this.#runOptions, binding);
    return api.Run(
      handle,
      this.#runOptions,
      this.#inputNames.pointer,
      frame.inputs,
      this.#inputCount,
      fetches.names.pointer,
      fetches.count,
      frame.outputs,
    );
  }

  /**
   * Runs with outputs of the shapes that came out before. ONNX Runtime refuses when they come out
   * otherwise; then it makes them itself, now and from then on. The feeds are taken behind the gate: those
   * that wait would take as much memory again.
   */
  async #call(found: CallShape, asked: HostCall): Promise<TensorMap> {
    const place = gate.enter(asked.signal);
    if (place !== null) await place;
    try {
      const shape = place === null ? found : this.#findAgain(asked);
      using taken = new TakenFeeds(asked.feeds);
      const given = { ...asked, feeds: taken.feeds };
      const frame = shape.take();
      if (!frame.knowsOutputs) return await this.#fly({ runs: this, shape, frame, given });
      let refusal: unknown;
      try {
        return await this.#fly({ runs: this, shape, frame, given });
      } catch (error) {
        given.signal?.throwIfAborted();
        refusal = error;
      }
      let outputs: TensorMap;
      try {
        const careful = shape.take({ guess: false });
        outputs = await this.#fly({ runs: this, shape, frame: careful, given });
      } catch {
        throw refusal; // the guess was not at fault
      }
      shape.fetches.outputsVary = true;
      return outputs;
    } finally {
      gate.leave();
    }
  }

  /** One execution on another thread. */
  async #fly(flight: Flight): Promise<TensorMap> {
    const { shape, frame, given } = flight;
    const { signal } = given;
    const { background, check } = this.#host;
    const { names, count } = shape.fetches;
    flights.add(flight);
    try {
      frame.begin(given.feeds, given.weights);
      const startMs = performance.now();
      using cancellation = signal === undefined ? null : new RunCancellation(this.#host, signal);
      const status = await background.Run(
        this.#session,
        cancellation?.options ?? this.#runOptions,
        this.#inputNames.pointer,
        frame.inputs,
        this.#inputCount,
        names.pointer,
        count,
        frame.outputs,
      );
      const endMs = performance.now();
      shape.elapsedMs = endMs - startMs;
      pacing.turned(endMs);
      check(status);
      signal?.throwIfAborted();
      const outputs = frame.collect();
      if (!frame.knowsOutputs) shape.learn(outputs);
      return outputs;
    } finally {
      frame.end();
      shape.give(frame);
      flights.delete(flight);
    }
  }
}
