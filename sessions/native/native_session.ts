// A session of the native engine: what a call may be, and what is held while it runs. How it computes is in
// _host_runs.ts and _device_runs.ts.

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
import type { RunValueMap } from "../device_tensor.ts";
import { DeviceRuns } from "./_device_runs.ts";
import { HostRuns } from "./_host_runs.ts";
import { isUsableOn } from "./_kept_values.ts";
import type { NativeHost } from "./_native_host.ts";
import { makeRunOptions } from "./_run_cancellation.ts";
import type { SharedWeights } from "./shared_weights.ts";
import { WeightInputs } from "./_weight_inputs.ts";
import type { WeightValues } from "./weight_values.ts";

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
  readonly feeds: RunValueMap;
  readonly weights: WeightValues | null;
  /** Outputs that stay on the device. */
  readonly keep: readonly string[];
  readonly signal: AbortSignal | undefined;
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
  readonly #weightInputs: WeightInputs;
  readonly #runOptions: Deno.PointerObject;
  readonly #runs: HostRuns | DeviceRuns;
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
    this.#fetchGuard = new FetchGuard(model.outputs, label);
    const runOptions = this.#runOptions = makeRunOptions(host);
    const { handle: session, inputs, outputs } = model;
    const weightNames = weightInputs.weights.map(({ name }) => name);
    this.#runs = provider === "cpu"
      ? new HostRuns(host, { session, runOptions, fed: this.inputs, weightNames })
      : new DeviceRuns(host, { session, settings, runOptions, inputs, outputs });
    this.runOnDevice = provider === "cpu"
      ? undefined
      : (feeds, fetches, { keep, signal }) =>
        this.#run({ feeds, weights: null, keep, signal }, fetches);
    model.sharedWeights?.retain();
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
    const given = { feeds, weights: null, keep: [], signal: options?.signal };
    return this.#run(given, fetches) as Promise<TensorMap>;
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
    const given = { feeds, weights, keep: [], signal: options.signal };
    return this.#run(given, options.fetches) as Promise<TensorMap>;
  }

  /** ONNX Runtime's session, for a chain of sessions that has entered. */
  get handle(): Deno.PointerObject {
    return this.#model.handle;
  }

  /** Whether it takes and leaves nothing but tensors in the process's memory. */
  get isOnHost(): boolean {
    return this.#runs instanceof HostRuns && this.#weightInputs.weights.length === 0;
  }

  /**
   * Returns while it is open.
   *
   * @throws {HooklineError} SESSION_RELEASED
   */
  requireOpen(): void {
    if (this.#release !== undefined) throw sessionReleasedError(this.#settings);
  }

  /** Somebody begins to compute with it, while it is open; {@linkcode leave} ends that. */
  enter(): void {
    this.#running++;
  }

  /** Ends what {@linkcode enter} began. */
  leave(): void {
    if (--this.#running === 0) this.#whenIdle?.();
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
  ): Promise<RunValueMap> {
    this.requireOpen();
    const { weights, keep, signal } = given;
    signal?.throwIfAborted();
    // A value on a device has dtype and shape as a tensor has, and the guard knows it by itself.
    const feeds = given.feeds as TensorMap;
    const check = (): void => this.#guard.check(feeds);
    check();
    this.#fetchGuard.check(fetches);
    const addresses = this.#weightAddresses(weights);
    weights?.retain();
    this.enter();
    try {
      const call = { feeds, fetches, signal, check };
      if (this.#runs instanceof HostRuns) {
        return await this.#runs.run({ ...call, weights: addresses });
      }
      const handles = weights === null ? [] : this.#weightInputs.handles(weights);
      return await this.#runs.run({ ...call, keep, weights: handles });
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof HooklineError) throw cause;
      throw sessionRunError(this.#settings, cause);
    } finally {
      weights?.release();
      this.leave();
    }
  }

  #weightAddresses(weights: WeightValues | null): BigUint64Array<ArrayBuffer> | null {
    if (weights !== null) return this.#weightInputs.addresses(weights);
    if (this.#weightInputs.weights.length > 0) throw this.#weightInputs.missing();
    return null;
  }

  async #releaseOnce(): Promise<void> {
    if (this.#running > 0) {
      await new Promise<void>((resolve) => this.#whenIdle = resolve);
    }
    try {
      await this.#runs.release();
      this.#host.api.ReleaseRunOptions(this.#runOptions);
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
