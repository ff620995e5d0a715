// A session of the native engine: what a call may be, and what is held while it runs. How it computes is in
// _host_runs.ts and _device_runs.ts.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import type { DeviceUploads } from "../device_uploads.ts";
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
import { makeRunOptions, UNRECORDED } from "./_run_cancellation.ts";
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

/** How a session runs when the same inputs come as a set of weights, or when none do. */
interface Lane {
  /** Looks at the feeds. */
  readonly guard: FeedGuard;
  readonly weightInputs: WeightInputs;
  readonly runs: HostRuns | DeviceRuns;
}

/** An open model of the native engine. */
export class NativeSession implements EngineSession {
  readonly inputs: readonly ValueSpec[];
  readonly outputs: readonly ValueSpec[];
  readonly runOnDevice: DeviceRun | undefined;
  readonly #host: NativeHost;
  readonly #model: OpenedModel;
  readonly #settings: SessionSettings;
  readonly #fetchGuard: FetchGuard;
  readonly #runOptions: Deno.PointerObject;
  readonly #runs: HostRuns | DeviceRuns;
  readonly #plain: Lane;
  /** By the names of the inputs that are weights. */
  readonly #weighted = new Map<string, Lane>();
  readonly #laneOfSet = new WeakMap<WeightValues, Lane>();
  readonly #strikeOff: () => void;
  /** Runs that have begun and not ended. */
  #running = 0;
  #whenIdle: (() => void) | undefined;
  #release: Promise<void> | undefined;

  constructor(host: NativeHost, model: OpenedModel, settings: SessionSettings) {
    const { handle: session, inputs, outputs } = model;
    this.inputs = inputs;
    this.outputs = outputs;
    this.#host = host;
    this.#model = model;
    this.#settings = settings;
    const { provider, label } = settings;
    this.#fetchGuard = new FetchGuard(outputs, label);
    const runOptions = this.#runOptions = makeRunOptions(
      host,
      settings.recordsRuns === true ? UNRECORDED : null,
    );
    this.#runs = provider === "cpu"
      ? new HostRuns(host, { session, runOptions, fed: inputs, weightNames: [] })
      : new DeviceRuns(host, { session, settings, runOptions, inputs, outputs });
    this.#plain = {
      guard: this.#guardOf(inputs),
      weightInputs: new WeightInputs(inputs, [], label),
      runs: this.#runs,
    };
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
   * Runs with a set of weights for the inputs of their names, and feeds for all others. The set is kept
   * until the run ends, whoever releases it meanwhile.
   *
   * @throws {HooklineError} what `run` throws, of a weight too; SESSION_RELEASED when they were released.
   */
  runWith(
    weights: WeightValues,
    feeds: TensorMap,
    options: SessionRunOptions & { readonly fetches?: readonly string[] } = {},
  ): Promise<TensorMap> {
    const given = { feeds, weights, keep: [], signal: options.signal };
    return this.#run(given, options.fetches) as Promise<TensorMap>;
  }

  get uploads(): DeviceUploads | null {
    this.requireOpen();
    return this.#runs instanceof DeviceRuns ? this.#runs.uploads : null;
  }

  /** ONNX Runtime's session, for a chain of sessions that has entered. */
  get handle(): Deno.PointerObject {
    return this.#model.handle;
  }

  /** Whether it takes and leaves nothing but tensors in the process's memory. */
  get isOnHost(): boolean {
    return this.#runs instanceof HostRuns;
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
    const { guard, weightInputs, runs } = weights === null ? this.#plain : this.#laneOf(weights);
    const check = (): void => guard.check(feeds);
    check();
    this.#fetchGuard.check(fetches);
    weights?.retain();
    this.enter();
    try {
      const call = { feeds, fetches, signal, check };
      if (runs instanceof HostRuns) {
        const addresses = weights === null ? null : weightInputs.addresses(weights);
        return await runs.run({ ...call, weights: addresses });
      }
      const handles = weights === null ? [] : weightInputs.handles(weights);
      return await runs.run({ ...call, keep, weights: handles });
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof HooklineError) throw cause;
      throw sessionRunError(this.#settings, cause);
    } finally {
      weights?.release();
      this.leave();
    }
  }

  /** The lane of a set of weights, which fit the inputs of their names. */
  #laneOf(weights: WeightValues): Lane {
    const known = this.#laneOfSet.get(weights);
    if (known !== undefined) return known;
    const names = weights.sources.map(({ name }) => name);
    const key = JSON.stringify(names);
    const lane = this.#weighted.get(key) ?? this.#weightedLane(names);
    lane.weightInputs.check(weights);
    this.#weighted.set(key, lane);
    this.#laneOfSet.set(weights, lane);
    return lane;
  }

  #weightedLane(names: readonly string[]): Lane {
    const weightInputs = new WeightInputs(this.inputs, names, this.#settings.label);
    const { fed } = weightInputs;
    return {
      guard: this.#guardOf(fed),
      weightInputs,
      runs: this.#runs instanceof DeviceRuns ? this.#runs : new HostRuns(this.#host, {
        session: this.#model.handle,
        runOptions: this.#runOptions,
        fed,
        weightNames: names,
      }),
    };
  }

  #guardOf(inputs: readonly ValueSpec[]): FeedGuard {
    const { label, provider } = this.#settings;
    return new FeedGuard(inputs, label, (value) => isUsableOn(provider, value));
  }

  async #releaseOnce(): Promise<void> {
    if (this.#running > 0) {
      await new Promise<void>((resolve) => this.#whenIdle = resolve);
    }
    try {
      for (const { runs } of this.#weighted.values()) {
        if (runs instanceof HostRuns) runs.retire();
      }
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
