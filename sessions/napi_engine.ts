// The engine over onnxruntime-node. It turns our tensors into ONNX Runtime's and back without copying,
// keeps native code from seeing what it would crash on, and gives every native error a code, once.
//
// A run blocks the JavaScript thread while it computes: promises here order work, they do not overlap it.

import { type DType, dtypeInfo } from "../tensor/dtype.ts";
import { emptyTensorMap, type TensorData, type TensorMap } from "../tensor/tensor.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import type {
  Engine,
  EngineSession,
  SessionRunOptions,
  SessionSettings,
  SessionSource,
  ValueSpec,
} from "./engine.ts";
import { deviceLane } from "./device_lane.ts";
import { FeedGuard } from "./feed_guard.ts";
import { FetchGuard } from "./fetch_guard.ts";
import {
  loadOrt,
  type OrtFeed,
  type OrtLibrary,
  type OrtReport,
  type OrtSession,
  type OrtValueMetadata,
} from "./ort_loader.ts";
import { sessionCreateError, sessionReleasedError, sessionRunError } from "./session_errors.ts";
import { sessionLedger } from "./session_ledger.ts";
import { NO_WEIGHT_FOLDER, ortSessionOptions } from "./session_options.ts";
import { guardModelFile } from "./weight_file_guard.ts";

/** Four-bit outputs end the process ("Fatal process out of memory"). Verified on ONNX Runtime 1.29. */
const FATAL_DTYPES: readonly string[] = ["int4", "uint4"];

/**
 * The addon looks output names up in a plain object, so it takes what every object inherits ("constructor")
 * for a given tensor unless the name is asked for.
 */
function isInherited(name: string): boolean {
  return name in Object.prototype;
}

/** True where assigning `__proto__` makes a property as any other: in Deno, not in Node. */
function hasPlainProto(): boolean {
  const probe: Record<string, unknown> = {};
  probe["__proto__"] = null;
  return Object.hasOwn(probe, "__proto__");
}

function toSpec(value: OrtValueMetadata): ValueSpec {
  const { name, isTensor, type, shape } = value;
  if (!isTensor || type === undefined) {
    return { name, isTensor: false, dtype: null, shape: null };
  }
  if (FATAL_DTYPES.includes(type) || dtypeInfo(type) === undefined) {
    throw new Error(`Unsupported data type: ${type} of "${name}"`);
  }
  return {
    name,
    isTensor: true,
    dtype: type as DType,
    shape: shape === undefined || shape.length === 0
      ? null
      : shape.map((size) => size === "" ? null : size),
  };
}

/** Half floats go in as bits: the addon cannot take a Float16Array (PR #32323). */
function toBits(data: TensorData): TensorData {
  return ArrayBuffer.isView(data) && !(data instanceof Uint16Array)
    ? new Uint16Array(data.buffer, data.byteOffset, data.length)
    : data;
}

/** The addon ends a string at a zero and says nothing. Verified on onnxruntime-node 1.29. */
function requireWhole(input: string, data: TensorData, label: string): void {
  const index = (data as readonly string[]).findIndex((text) => text.includes("\0"));
  if (index < 0) return;
  throw new HooklineError("FEED_DATA", {
    message: `cannot run ${label}: input "${input}" has a zero character in element ${index}, ` +
      "where the napi engine would cut it off",
    fix: 'take the zero out, or use engine "native"',
    details: { input, label, index },
  });
}

/** A device takes one call at a time, those of the native engine and of other threads among them. */
function onProvider<Result>(
  { provider }: SessionSettings,
  work: () => Promise<Result>,
): Promise<Result> {
  return provider === "cpu" ? work() : deviceLane(provider).through(work);
}

class NapiSession implements EngineSession {
  readonly inputs: readonly ValueSpec[];
  readonly outputs: readonly ValueSpec[];
  readonly #session: OrtSession;
  readonly #settings: SessionSettings;
  readonly #guard: FeedGuard;
  readonly #fetchGuard: FetchGuard;
  /** Every tensor output when asking for fewer would go wrong; see `isInherited`. */
  readonly #alwaysFetched: readonly string[] | null;
  readonly #strikeOff: () => void;
  #inFlight = 0;
  #whenIdle: (() => void) | undefined;
  #release: Promise<void> | undefined;

  constructor(
    session: OrtSession,
    settings: SessionSettings,
    specs: { inputs: readonly ValueSpec[]; outputs: readonly ValueSpec[] },
    byteLength: number,
  ) {
    this.inputs = specs.inputs;
    this.outputs = specs.outputs;
    this.#session = session;
    this.#settings = settings;
    this.#guard = new FeedGuard(this.inputs, settings.label);
    this.#fetchGuard = new FetchGuard(this.outputs, settings.label);
    const { names, tensorNames } = this.#fetchGuard;
    this.#alwaysFetched = names.some(isInherited) ? tensorNames : null;
    this.#strikeOff = sessionLedger.add({
      label: settings.label,
      engine: "napi",
      provider: settings.provider,
      byteLength,
      threads: settings.threads,
    });
  }

  get released(): boolean {
    return this.#release !== undefined;
  }

  async run(
    feeds: TensorMap,
    fetches: readonly string[] = this.#fetchGuard.names,
    options?: SessionRunOptions,
  ): Promise<TensorMap> {
    if (this.#release !== undefined) throw sessionReleasedError(this.#settings);
    const signal = options?.signal;
    signal?.throwIfAborted(); // and not while it computes: the addon cannot end a run
    this.#guard.check(feeds);
    this.#fetchGuard.check(fetches);
    this.#inFlight++;
    try {
      const { provider } = this.#settings;
      if (provider === "cpu") return await this.#compute(feeds, fetches);
      return await deviceLane(provider).through(() => {
        this.#guard.check(feeds); // they may have been given away during the wait
        return this.#compute(feeds, fetches);
      }, signal);
    } finally {
      if (--this.#inFlight === 0) this.#whenIdle?.();
    }
  }

  release(): Promise<void> {
    return this.#release ??= this.#releaseOnce();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** Runs feeds that fit. */
  async #compute(feeds: TensorMap, fetches: readonly string[]): Promise<TensorMap> {
    const ortFeeds: Record<string, OrtFeed> = {};
    const inputs = this.inputs;
    for (let index = 0; index < inputs.length; index++) {
      const name = (inputs[index] as ValueSpec).name;
      const value = feeds[name] as TensorMap[string];
      if (value.dtype === "string") requireWhole(name, value.data, this.#settings.label);
      ortFeeds[name] = {
        type: value.dtype,
        data: value.dtype === "float16" ? toBits(value.data) : value.data,
        dims: value.shape,
        location: "cpu",
      };
    }
    try {
      const results = await this.#session.run(
        ortFeeds,
        this.#alwaysFetched ?? fetches,
      );
      const outputs = emptyTensorMap();
      for (let index = 0; index < fetches.length; index++) {
        const name = fetches[index] as string;
        const value = results[name];
        if (value === undefined) {
          throw new Error(`the run returned no output "${name}"`);
        }
        outputs[name] = {
          dtype: value.type as DType,
          shape: value.dims,
          data: value.data as TensorData,
        };
      }
      return outputs;
    } catch (cause) {
      throw sessionRunError(this.#settings, cause);
    }
  }

  async #releaseOnce(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => this.#whenIdle = resolve);
    }
    try {
      await onProvider(this.#settings, () => this.#session.release());
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

/**
 * Runs models through onnxruntime-node. Loads it with the first use; several engines share one library.
 *
 * @example
 * ```ts ignore
 * const engine = new NapiEngine();
 * await using session = await engine.open(
 *   { kind: "file", path: "model.onnx" },
 *   { provider: "cpu", optimization: "all", threads: 2, prepacking: true, label: "model" },
 * );
 * console.log(session.inputs.map((input) => input.name));
 * ```
 */
export class NapiEngine implements Engine {
  /** Always `"napi"`. */
  readonly name = "napi";
  readonly #load: () => Promise<OrtLibrary>;
  #library: Promise<OrtLibrary> | undefined;

  /** Makes an engine that loads nothing yet; only tests pass another `load`. */
  constructor(load: () => Promise<OrtLibrary> = () => loadOrt()) {
    this.#load = load;
  }

  /**
   * What loading found: version, telemetry, library.
   *
   * @throws {HooklineError} ENGINE_UNAVAILABLE or ORT_TOO_OLD when there is none to be used.
   */
  async report(): Promise<OrtReport> {
    return (await this.#loaded()).report;
  }

  /** The version of the ONNX Runtime underneath. */
  async version(): Promise<string> {
    return (await this.report()).version;
  }

  /** Opens a model; see {@linkcode Engine.open}. */
  async open(
    source: SessionSource,
    settings: SessionSettings,
  ): Promise<EngineSession> {
    const isFile = source.kind === "file";
    const options = ortSessionOptions(
      settings,
      isFile ? null : source.weightFolder ?? NO_WEIGHT_FOLDER,
    );
    const file = isFile ? guardModelFile(source.path) : null;
    const model = isFile ? file?.path as string : unshared(source.bytes);
    const { module } = await this.#loaded();
    let session: OrtSession | undefined;
    try {
      session = await onProvider(
        settings,
        () => module.InferenceSession.create(model, options),
      );
      const specs = {
        inputs: session.inputMetadata.map(toSpec),
        outputs: session.outputMetadata.map(toSpec),
      };
      if (
        specs.outputs.some((spec) => spec.name === "__proto__") &&
        !hasPlainProto()
      ) {
        throw new Error('an output called "__proto__" cannot be read in Node');
      }
      const byteLength = file?.byteLength ?? (model as Uint8Array).byteLength;
      return new NapiSession(session, settings, specs, byteLength);
    } catch (cause) {
      const opened = session;
      if (opened !== undefined) await onProvider(settings, () => opened.release());
      if (cause instanceof HooklineError) throw cause;
      throw sessionCreateError(settings, cause);
    }
  }

  #loaded(): Promise<OrtLibrary> {
    return this.#library ??= this.#load().catch((error) => {
      this.#library = undefined; // a permission may be granted before the next try
      throw error;
    });
  }
}

/** Shared memory is refused by the addon, so it is copied. */
function unshared(bytes: Uint8Array): Uint8Array {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError("the model's bytes must be a Uint8Array");
  }
  return bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes);
}
