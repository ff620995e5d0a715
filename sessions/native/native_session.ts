// A session of the native engine: what a call may be, where it computes, and what holds its memory while
// it does. All that native code works on during a call is held by `flights`, never by a promise alone.

import { setImmediate } from "node:timers";
import { HooklineError } from "../../errors/hookline_error.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import type {
  DeviceRun,
  EngineSession,
  SessionRunOptions,
  SessionSettings,
  ValueSpec,
} from "../engine.ts";
import { FeedGuard } from "../feed_guard.ts";
import { FetchGuard } from "../fetch_guard.ts";
import { sessionReleasedError, sessionRunError } from "../session_errors.ts";
import { sessionLedger } from "../session_ledger.ts";
import { availableCores } from "../thread_budget.ts";
import type { RunValueMap } from "../device_tensor.ts";
import { CallCache, type CallShape } from "./_call_cache.ts";
import type { CallFrame } from "./_call_frame.ts";
import { DeviceRuns } from "./_device_runs.ts";
import { isUsableOn } from "./_kept_values.ts";
import type { NativeHost } from "./_native_host.ts";
import { TextList } from "./_native_text.ts";
import { makeRunOptions, RunCancellation } from "./_run_cancellation.ts";
import { RunGate } from "./run_gate.ts";
import { RunPacing } from "./run_pacing.ts";
import type { SharedWeights } from "./shared_weights.ts";
import { WeightInputs } from "./_weight_inputs.ts";
import type { WeightValues } from "./weight_values.ts";

/** All sessions compute before one event loop and on the same cores. */
const pacing = new RunPacing();
const gate = new RunGate(Math.max(4, availableCores()));

/** What a session is made from. */
export interface OpenedModel {
  readonly handle: Deno.PointerObject;
  readonly inputs: readonly ValueSpec[];
  readonly outputs: readonly ValueSpec[];
  /** Bytes of the model, external weights not counted. */
  readonly byteLength: number;
  /** Names of inputs whose values come as a set of weights with each run. */
  readonly weightInputs: readonly string[];
  /** Weights that native code reads as long as the session lives; retained by the session. */
  readonly sharedWeights: SharedWeights | null;
}

/** What one run is made with. */
interface CallArguments {
  readonly feeds: TensorMap;
  readonly weights: WeightValues | null;
  readonly signal: AbortSignal | undefined;
}

/** What one run on a device is made with. */
interface DeviceArguments {
  readonly feeds: RunValueMap;
  readonly weights: WeightValues | null;
  readonly signal?: AbortSignal | undefined;
  /** Outputs that stay there. */
  readonly keep: readonly string[];
}

/** One execution in ONNX Runtime with everything that it reads and writes. */
interface Flight {
  readonly session: NativeSession;
  readonly shape: CallShape;
  readonly frame: CallFrame;
  readonly given: CallArguments;
}

/** The executions of this moment. */
const flights = new Set<Flight>();

/** Lets whatever waits in the event loop happen, timers too. */
async function turnEventLoop(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  pacing.turned(performance.now());
}

/** An open model of the native engine. Its `inputs` leave out those that are weights. */
export class NativeSession implements EngineSession {
  readonly inputs: readonly ValueSpec[];
  readonly outputs: readonly ValueSpec[];
  readonly runOnDevice: DeviceRun | undefined;
  readonly #host: NativeHost;
  readonly #model: OpenedModel;
  readonly #settings: SessionSettings;
  readonly #guard: FeedGuard;
  readonly #fetchGuard: FetchGuard;
  readonly #calls: CallCache;
  readonly #weightInputs: WeightInputs;
  readonly #inputNames: TextList;
  readonly #inputCount: bigint;
  readonly #runOptions: Deno.PointerObject;
  /** How runs go on a provider that has a device; null on the CPU. */
  readonly #device: DeviceRuns | null;
  readonly #strikeOff: () => void;
  /** Runs that have begun and not ended. */
  #running = 0;
  #whenIdle: (() => void) | undefined;
  #release: Promise<void> | undefined;

  constructor(host: NativeHost, model: OpenedModel, settings: SessionSettings) {
    const weightInputs = new WeightInputs(model.inputs, model.weightInputs, settings.label);
    this.inputs = weightInputs.fed;
    this.outputs = model.outputs;
    this.#host = host;
    this.#model = model;
    this.#settings = settings;
    this.#weightInputs = weightInputs;
    const { provider, label } = settings;
    this.#guard = new FeedGuard(this.inputs, label, (value) => isUsableOn(provider, value));
    this.#fetchGuard = new FetchGuard(model.outputs, settings.label);
    const weightCount = weightInputs.weights.length;
    this.#calls = new CallCache(host, { inputs: this.inputs, weightCount });
    this.#inputNames = new TextList(weightInputs.names);
    this.#inputCount = BigInt(model.inputs.length);
    model.sharedWeights?.retain();
    this.#runOptions = makeRunOptions(host);
    const { handle: session, outputs } = model;
    const runOptions = this.#runOptions;
    const device = provider === "cpu"
      ? null
      : new DeviceRuns(host, { session, settings, runOptions, inputs: model.inputs, outputs });
    this.#device = device;
    this.runOnDevice = device === null
      ? undefined
      : (feeds, fetches, options) =>
        this.#runThere(device, { feeds, weights: null, ...options }, fetches);
    this.#strikeOff = sessionLedger.add({
      label: settings.label,
      engine: "native",
      provider: settings.provider,
      byteLength: model.byteLength,
      threads: settings.threads,
    });
  }

  get released(): boolean {
    return this.#release !== undefined;
  }

  run(
    feeds: TensorMap,
    fetches?: readonly string[],
    options?: SessionRunOptions,
  ): Promise<TensorMap> {
    return this.#run({ feeds, weights: null, signal: options?.signal }, fetches);
  }

  /**
   * Runs with a set of weights for the inputs that were named `weightInputs` when the session was opened.
   * The set is kept until the run ends, whoever releases it meanwhile.
   *
   * @throws {HooklineError} what `run` throws; FEED_MISSING, FEED_DTYPE, FEED_RANK or FEED_SHAPE when the
   * weights do not fit, SESSION_RELEASED when they were released.
   */
  runWith(
    weights: WeightValues,
    feeds: TensorMap,
    options: SessionRunOptions & { readonly fetches?: readonly string[] } = {},
  ): Promise<TensorMap> {
    return this.#run({ feeds, weights, signal: options.signal }, options.fetches);
  }

  release(): Promise<void> {
    return this.#release ??= this.#releaseOnce();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  async #run(
    given: CallArguments,
    fetches: readonly string[] = this.#fetchGuard.names,
  ): Promise<TensorMap> {
    if (this.#release !== undefined) throw sessionReleasedError(this.#settings);
    if (this.#device !== null) {
      return await this.#runThere(this.#device, { ...given, keep: [] }, fetches) as TensorMap;
    }
    const { feeds, weights, signal } = given;
    signal?.throwIfAborted();
    this.#check(given, fetches);
    const shape = this.#calls.find(feeds, fetches);
    weights?.retain();
    this.#running++;
    try {
      let startMs = performance.now();
      let place = pacing.placeOf(shape.elapsedMs, startMs);
      while (place === "after a turn") {
        await turnEventLoop();
        signal?.throwIfAborted();
        this.#guard.check(feeds); // they may have changed meanwhile
        startMs = performance.now();
        place = pacing.placeOf(shape.elapsedMs, startMs);
      }
      const outputs = place === "here" ? this.#runHere(shape, given, startMs) : null;
      return outputs ?? await this.#call(shape, given);
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof HooklineError) throw cause;
      throw sessionRunError(this.#settings, cause);
    } finally {
      weights?.release();
      if (--this.#running === 0) this.#whenIdle?.();
    }
  }

  /** Refuses what native code must not see. */
  #check(
    { feeds, weights }: Pick<CallArguments, "feeds" | "weights">,
    fetches: readonly string[],
  ): void {
    this.#guard.check(feeds);
    this.#fetchGuard.check(fetches);
    if (weights !== null) this.#weightInputs.addresses(weights);
    else if (this.#weightInputs.weights.length > 0) throw this.#weightInputs.missing();
  }

  /** A run on the provider's device. */
  async #runThere(
    device: DeviceRuns,
    { feeds, weights, signal, keep }: DeviceArguments,
    fetches: readonly string[],
  ): Promise<RunValueMap> {
    if (this.#release !== undefined) throw sessionReleasedError(this.#settings);
    signal?.throwIfAborted();
    // A value on the device has dtype and shape as a tensor has, and the guard knows it by itself.
    const given = { feeds: feeds as TensorMap, weights };
    this.#check(given, fetches);
    weights?.retain();
    this.#running++;
    try {
      return await device.run({
        feeds,
        fetches,
        keep,
        weights: weights === null ? [] : this.#weightInputs.handles(weights),
        signal,
        check: () => this.#guard.check(given.feeds), // they may have changed meanwhile
      });
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof HooklineError) throw cause;
      throw sessionRunError(this.#settings, cause);
    } finally {
      weights?.release();
      if (--this.#running === 0) this.#whenIdle?.();
    }
  }

  /** A run on this thread; null when it failed: then it is done again on another one. */
  #runHere(shape: CallShape, given: CallArguments, startMs: number): TensorMap | null {
    const frame = shape.take();
    try {
      this.#begin(frame, given);
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

  #begin(frame: CallFrame, { feeds, weights }: CallArguments): void {
    frame.begin(feeds, weights === null ? null : this.#weightInputs.addresses(weights));
  }

  #execute({ fetches }: CallShape, frame: CallFrame): Deno.PointerValue {
    const { api } = this.#host;
    const { handle } = this.#model;
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
   * otherwise; then it makes them itself, now and from then on.
   */
  async #call(shape: CallShape, given: CallArguments): Promise<TensorMap> {
    const place = gate.enter(given.signal);
    if (place !== null) await place;
    try {
      if (place !== null) this.#guard.check(given.feeds); // they may have changed meanwhile
      const frame = shape.take();
      if (!frame.knowsOutputs) return await this.#fly({ session: this, shape, frame, given });
      let refusal: unknown;
      try {
        return await this.#fly({ session: this, shape, frame, given });
      } catch (error) {
        given.signal?.throwIfAborted();
        refusal = error;
      }
      let outputs: TensorMap;
      try {
        const careful = shape.take({ guess: false });
        outputs = await this.#fly({ session: this, shape, frame: careful, given });
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
      this.#begin(frame, given);
      const startMs = performance.now();
      using cancellation = signal === undefined ? null : new RunCancellation(this.#host, signal);
      const status = await background.Run(
        this.#model.handle,
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

  async #releaseOnce(): Promise<void> {
    if (this.#running > 0) {
      await new Promise<void>((resolve) => this.#whenIdle = resolve);
    }
    const { api, background } = this.#host;
    try {
      this.#calls.retire();
      api.ReleaseRunOptions(this.#runOptions);
      if (this.#device !== null) await this.#device.release();
      else await background.ReleaseSession(this.#model.handle);
      this.#model.sharedWeights?.release();
    } catch (cause) {
      // It stays in the ledger: its memory was not given back.
      throw new HooklineError("INTERNAL", {
        message: `cannot release ${this.#settings.label}`,
        fix: "report it with the error's cause",
        details: { label: this.#settings.label },
        cause,
      });
    }
    this.#strikeOff();
  }
}
