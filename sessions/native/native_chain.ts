// Sessions that run one after the other without JavaScript in between. The first run with some shapes goes
// session by session and learns what comes out; from then on all values have their places, and what is
// left is a call of ONNX Runtime for each session: on this thread where all of them are quick, else on
// another one for the whole chain. Whatever is not as it was goes session by session again.

import { type Tensor, tensorFault, type TensorMap } from "../../tensor/tensor.ts";
import type { ChainLink, ChainRunOptions, SessionChain } from "../engine.ts";
import type { CallTensor } from "./_call_tensor.ts";
import { ChainFrame, type ChainPart } from "./_chain_frame.ts";
import { isEqual } from "./_equal_lists.ts";
import { pacing, turnEventLoop } from "./_event_loop.ts";
import type { NativeHost } from "./_native_host.ts";
import { makeRunOptions, RunCancellation } from "./_run_cancellation.ts";
import { LANE_CALLS, RunLane } from "./_run_lane.ts";
import { describe, LEAST_MS, StepwiseRun } from "./_stepwise_run.ts";
import { isInWorker } from "./_worker_calls.ts";
import type { NativeSession } from "./native_session.ts";

/** Shapes whose frames are kept. */
const KEPT_SHAPES = 4;
/** Frames that a shape keeps, and bytes that all idle frames of a chain may take. */
const KEPT_FRAMES = 2;
const KEPT_BYTES = 64 * 2 ** 20;
/** What they may take while no run is expected. */
const RESTING_BYTES = 2 ** 20;
/** A session that took so long in its first run will not be quick in the next. */
const SURELY_SLOW_MS = 5;

/** A link whose session is one of this engine's. */
export interface NativeLink extends ChainLink {
  readonly session: NativeSession;
}

/** What a chain does when its feeds have certain shapes. */
interface ChainShape {
  readonly given: readonly CallTensor[];
  readonly made: readonly CallTensor[];
  readonly idle: ChainFrame[];
  /** What each session took last, in milliseconds. */
  elapsedMs: Float64Array<ArrayBuffer>;
  /** How often it ran; the first time says little about the next. */
  runCount: number;
}

/** How a prepared run ended: with its outputs, with a session that failed, or with the end of its thread. */
type Outcome = "ran" | "failed" | "lost";

/** Frames of this moment: what native code works on. */
const inFlight = new Set<ChainFrame>();
let lane: RunLane | "none" | "starting" | undefined;

/**
 * The thread for chains where there is one and it is free; the first call starts it for later ones. There
 * is none in a worker, whose memory may go while another thread computes in it.
 */
function freeLane(host: NativeHost): RunLane | null {
  if (lane === undefined && !isInWorker()) {
    lane = "starting";
    RunLane.start(host.runWithBinding).then((made) => lane = made, () => lane = "none");
  }
  return lane instanceof RunLane && lane.isFree ? lane : null;
}

/** A chain of sessions of the native engine on the CPU. */
export class NativeChain implements SessionChain {
  readonly #host: NativeHost;
  readonly #links: readonly NativeLink[];
  readonly #wanted: readonly string[];
  /** Names of what comes in from outside. */
  readonly #outside: readonly string[];
  /** The last used first. */
  readonly #shapes: ChainShape[] = [];
  /** True when equal feeds gave other shapes, or values are no numbers: then nothing is assumed. */
  #isUnsteady = false;
  #runOptions: Deno.PointerObject | null = null;

  constructor(host: NativeHost, links: readonly NativeLink[], wanted: readonly string[]) {
    this.#host = host;
    this.#links = links;
    this.#wanted = wanted;
    const made = new Set<string>();
    const outside = new Set<string>();
    for (const { session, fetches } of links) {
      for (const { name } of session.inputs) if (!made.has(name)) outside.add(name);
      for (const name of fetches) made.add(name);
    }
    this.#outside = [...outside];
  }

  async run(feeds: TensorMap, options: ChainRunOptions = {}): Promise<TensorMap> {
    const { signal, before } = options;
    const shape = this.#isUnsteady ? null : this.#find(feeds);
    if (shape === null) return await this.#stepwise(feeds, options);
    const isQuick = shape.elapsedMs.every((elapsedMs) => pacing.isQuick(elapsedMs));
    const free = isQuick || !hasProvedSlow(shape) ? null : freeLane(this.#host);
    if (free === null && (!isQuick || before !== undefined)) {
      return await this.#stepwise(feeds, options);
    }
    signal?.throwIfAborted();
    for (const { session } of this.#links) session.requireOpen();
    for (const { session } of this.#links) session.enter();
    let frame: ChainFrame | null = null;
    try {
      frame = this.#begin(shape, feeds);
      if (frame === null) return await this.#stepwise(feeds, options);
      const outcome = free === null
        ? await this.#runHere(shape, frame, signal)
        : await this.#runInLane(free, { shape, frame, options });
      if (outcome === "ran") return frame.collect();
      // Shapes that changed, or a failure whose session is to be named: step by step tells. The feeds are
      // the caller's again by now.
      const outputs = await this.#stepwise(frame.feeds, options);
      if (outcome === "failed") this.#distrust();
      return outputs;
    } finally {
      if (frame !== null) this.#end(shape, frame);
      for (const { session } of this.#links) session.leave();
    }
  }

  rest(): void {
    if (this.#idleByteLength > RESTING_BYTES) this.release();
  }

  release(): void {
    for (const shape of this.#shapes) this.#retire(shape);
    if (this.#runOptions !== null) this.#host.api.ReleaseRunOptions(this.#runOptions);
    this.#runOptions = null;
  }

  /** A frame that has taken the feeds; null where there is no memory for it. */
  #begin(shape: ChainShape, feeds: TensorMap): ChainFrame | null {
    let frame = shape.idle.pop();
    try {
      frame ??= this.#frame(shape);
      frame.begin(feeds);
    } catch {
      frame?.end();
      frame?.dispose();
      return null;
    }
    inFlight.add(frame);
    return frame;
  }

  /** Takes a frame back. */
  #end(shape: ChainShape, frame: ChainFrame): void {
    frame.end();
    if (this.#keeps(shape, frame)) shape.idle.push(frame);
    else frame.dispose();
    inFlight.delete(frame);
  }

  /**
   * Every session on this thread. What lies between two calls runs with caches that
   * the model has just emptied, so there is next to nothing: the clock is read once a burst.
   */
  async #runHere(
    { elapsedMs }: ChainShape,
    { sessions, bindings }: ChainFrame,
    signal: AbortSignal | undefined,
  ): Promise<Outcome> {
    const { api } = this.#host;
    const options = this.#options;
    for (let index = 0; index < sessions.length;) {
      let startMs = performance.now();
      let end = index + pacing.burstOf(elapsedMs, index, startMs);
      if (end === index) {
        await turnEventLoop();
        signal?.throwIfAborted();
        startMs = performance.now();
        end = index + Math.max(1, pacing.burstOf(elapsedMs, index, startMs));
      }
      let expectedMs = 0;
      for (let at = index; at < end; at++) {
        const status = api.RunWithBinding(
          sessions[at] as Deno.PointerObject,
          options,
          bindings[at] as Deno.PointerObject,
        );
        if (status !== null) {
          api.ReleaseStatus(status);
          return "failed";
        }
        expectedMs += elapsedMs[at] as number;
      }
      const endMs = performance.now();
      pacing.endHere(endMs - startMs, endMs);
      const change = (endMs - startMs) / Math.max(expectedMs, LEAST_MS);
      for (; index < end; index++) elapsedMs[index] = (elapsedMs[index] as number) * change;
    }
    return "ran";
  }

  /** Every session on the other thread. */
  async #runInLane(
    free: RunLane,
    { shape, frame, options: { signal, before } }: {
      readonly shape: ChainShape;
      readonly frame: ChainFrame;
      readonly options: ChainRunOptions;
    },
  ): Promise<Outcome> {
    using cancellation = signal === undefined ? null : new RunCancellation(this.#host, signal);
    const options = Deno.UnsafePointer.value(cancellation?.options ?? this.#options);
    const report = await free.run(
      frame.sessions.map((session, index) => ({
        session: Deno.UnsafePointer.value(session),
        options,
        binding: Deno.UnsafePointer.value(frame.bindings[index] as Deno.PointerObject),
      })),
      before,
    );
    pacing.turned(performance.now());
    const failure = report?.failure ?? null;
    if (failure !== null) this.#host.api.ReleaseStatus(Deno.UnsafePointer.create(failure.status));
    signal?.throwIfAborted();
    if (report === null) return "lost";
    if (failure !== null) return "failed";
    shape.elapsedMs = report.elapsedMs;
    return "ran";
  }

  /** Session by session, as anybody would; learns shapes and times. */
  async #stepwise(feeds: TensorMap, options: ChainRunOptions): Promise<TensorMap> {
    const given = describe(feeds, this.#outside); // as they are now: they are the caller's
    const steps = new StepwiseRun(this.#links, { wanted: this.#wanted, options });
    const outputs = await steps.run(feeds);
    if (given === null || steps.made === null) this.#distrust();
    else this.#learn(given, steps.made, steps.elapsedMs);
    return outputs;
  }

  #learn(
    given: readonly CallTensor[],
    made: readonly CallTensor[],
    elapsedMs: Float64Array<ArrayBuffer>,
  ): void {
    if (this.#isUnsteady) return;
    let shape = this.#shapes.find((known) => isSame(known.given, given));
    if (shape === undefined) {
      shape = { given, made, idle: [], elapsedMs, runCount: 0 };
      this.#shapes.unshift(shape);
      if (this.#shapes.length > KEPT_SHAPES) this.#retire(this.#shapes.pop() as ChainShape);
    }
    if (!isSame(shape.made, made)) return this.#distrust();
    shape.elapsedMs = elapsedMs;
    shape.runCount++;
    if (hasProvedSlow(shape)) freeLane(this.#host); // it starts meanwhile
  }

  /** The shape of these feeds, when they came before and are sound. */
  #find(feeds: TensorMap): ChainShape | null {
    const index = this.#shapes.findIndex(({ given }) => fits(feeds, given));
    const found = this.#shapes[index];
    if (found === undefined) return null;
    if (index > 0) {
      this.#shapes.splice(index, 1);
      this.#shapes.unshift(found);
    }
    return found;
  }

  #frame({ given, made }: ChainShape): ChainFrame {
    const parts = this.#links.map(({ session, fetches }): ChainPart => ({
      session: session.handle,
      inputs: session.inputs.map(({ name }) => name),
      fetches,
    }));
    return new ChainFrame(this.#host, { parts, given, made, wanted: this.#wanted });
  }

  /** Whether a frame's memory is worth keeping for the next run of its shape. */
  #keeps(shape: ChainShape, frame: ChainFrame): boolean {
    if (!this.#shapes.includes(shape)) return false; // forgotten meanwhile
    return shape.idle.length < KEPT_FRAMES &&
      this.#idleByteLength + frame.byteLength <= KEPT_BYTES;
  }

  get #idleByteLength(): number {
    let byteLength = 0;
    for (const { idle } of this.#shapes) for (const frame of idle) byteLength += frame.byteLength;
    return byteLength;
  }

  /** Nothing is assumed any more, and nothing kept. */
  #distrust(): void {
    this.#isUnsteady = true;
    for (const shape of this.#shapes.splice(0)) this.#retire(shape);
  }

  #retire({ idle }: ChainShape): void {
    for (const frame of idle.splice(0)) frame.dispose();
  }

  get #options(): Deno.PointerObject {
    return this.#runOptions ??= makeRunOptions(this.#host);
  }
}

/** Whether some session of it is slow: a first run, when everything is cold, proves that only if it is very. */
function hasProvedSlow({ elapsedMs, runCount }: ChainShape): boolean {
  return elapsedMs.some((each) => runCount > 1 ? !pacing.isQuick(each) : each > SURELY_SLOW_MS);
}

/**
 * Whether these sessions can be joined. A name of a chain stands for one value: what two of them make, or
 * what one of them makes and also reads or passes on, is left to who runs them one by one.
 */
export function isChainable(links: readonly NativeLink[]): boolean {
  const names = new Set<string>();
  const areDistinct = links.every(({ session, fetches }) => {
    for (const { name } of session.inputs) names.add(name);
    return fetches.every((name) => !names.has(name) && names.add(name));
  });
  return areDistinct && links.length > 1 && links.length <= LANE_CALLS;
}

function fits(feeds: TensorMap, given: readonly CallTensor[]): boolean {
  let count = 0;
  for (const _name in feeds) count++;
  return count === given.length && given.every(({ name, dtype, shape }) => {
    const value = feeds[name] as Tensor;
    return tensorFault(value) === null && value.dtype === dtype && isEqual(value.shape, shape);
  });
}

function isSame(left: readonly CallTensor[], right: readonly CallTensor[]): boolean {
  return left.every(({ dtype, shape }, index) => {
    const other = right[index] as CallTensor;
    return other.dtype === dtype && isEqual(other.shape, shape);
  });
}
