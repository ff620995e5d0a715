// The contract between the pipeline and whatever executes a model. An engine opens models as sessions
// and runs them on tensors; it knows no module, no hook, and nothing of what the graph computes.
// Every engine passes the same conformance suite (tests/sessions/engine_conformance.ts).

import type { DType } from "../tensor/dtype.ts";
import type { TensorMap } from "../tensor/tensor.ts";
import type { RunValueMap } from "./device_tensor.ts";
import type { DeviceUploads } from "./device_uploads.ts";
import type { CudaOptions } from "./providers/cuda_options.ts";
import type { FileRange } from "./mapped_weights/weight_memory.ts";
import type { ProviderName } from "./providers/descriptor.ts";

/** What a session declares about one of its inputs or outputs. */
export interface ValueSpec {
  /** The value's name in the graph. */
  readonly name: string;
  /** False for a sequence, an optional or a map, which no engine can carry across its border. */
  readonly isTensor: boolean;
  /** Element type; null when the value is no tensor. */
  readonly dtype: DType | null;
  /**
   * Sizes, symbolic names, and null for an unnamed unknown dimension. Null as a whole when the rank is
   * unknown **or the value is a scalar**: ONNX Runtime reports both as an empty list. Verified on ONNX
   * Runtime 1.29.
   */
  readonly shape: readonly (number | string | null)[] | null;
}

/** Where a session's model comes from. */
export type SessionSource =
  | {
    /** A file that ONNX Runtime opens itself, its external weights beside it. */
    readonly kind: "file";
    /** Path of the `.onnx` file. */
    readonly path: string;
  }
  | {
    /** A model in memory. */
    readonly kind: "bytes";
    /** The encoded ModelProto; borrowed until `open` resolves. */
    readonly bytes: Uint8Array;
    /**
     * Absolute folder in which the model's external weights lie, or null for a model without any. With
     * null every external reference fails: ONNX Runtime would otherwise read it from the working
     * directory.
     */
    readonly weightFolder: string | null;
  };

/**
 * Weights in files that sessions have in common, prepacked once for all of them: in memory while one of the
 * sessions is open.
 */
export interface CommonWeights {
  /** The weights, under the names of initializers. */
  readonly weights: readonly FileWeight[];
}

/** How far ONNX Runtime may rewrite the graph. */
export type OptimizationLevel =
  | "disabled"
  | "basic"
  | "extended"
  | "layout"
  | "all";

/** The settings of one session. */
export interface SessionSettings {
  /** Execution provider; decided by `resolveProvider`, never changed silently. */
  readonly provider: ProviderName;
  /** How far ONNX Runtime may rewrite the graph. */
  readonly optimization: OptimizationLevel;
  /** Threads that compute one operator, the caller's included; see `threadBudget`. */
  readonly threads: number;
  /** False keeps weights as the file has them: less memory, quick to open, slower to run. */
  readonly prepacking: boolean;
  /**
   * False takes activations from the process's heap instead of an arena of the session's own. The many
   * small sessions of a split model then reuse the same warm memory; true when left out. `shared` takes
   * them from one arena of the process where the native engine has made one, else from the heap.
   */
  readonly arena?: boolean | "shared";
  /**
   * Also writes the optimized model with its weights in ONNX Runtime's own layout: opened from there they
   * are mapped, not copied. Only for models whose weights are prepacked.
   */
  readonly savePrepacked?: {
    /** Absolute path of the `.onnx` file to write. */
    readonly modelPath: string;
    /** Name of the file beside it that takes the weights. */
    readonly dataName: string;
  };
  /**
   * Initializers of the model that the session has in common with others: nothing changes but the memory that
   * they take together. An engine that cannot share them leaves them where the model says.
   */
  readonly commonWeights?: {
    readonly from: CommonWeights;
    /** Names among those of `from`; others are left out. */
    readonly names: readonly string[];
  } | undefined;
  /**
   * True records what a run asks of the device the second time that feeds have certain dtypes and shapes, and
   * plays that from then on. Only for the native engine, CUDA and WebGPU, and models that run there whole.
   */
  readonly recordsRuns?: boolean;
  /** Settings of the CUDA provider; the native engine alone can pass them on. */
  readonly cuda?: CudaOptions | undefined;
  /** Names the session in errors and in the ledger: `"segment 3: encoder.layer.1"`. */
  readonly label: string;
}

/** Options of {@linkcode EngineSession.run}. */
export interface SessionRunOptions {
  /**
   * Ends the run: the promise rejects with the signal's reason and the session stays usable. The native
   * engine ends a run that computes; the napi engine looks at the signal before it begins and never again.
   */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a model with values that lie on its device already, and leaves outputs there.
 *
 * @param feeds A tensor, or a value that a session of the same provider left on the device, for each
 * input. Leave them alone until the promise settles, as those of {@linkcode EngineSession.run}.
 * @param fetches The outputs wanted.
 * @param options Which of the outputs stay, and the signal that ends the run.
 * @returns A value on the device for each output of `keep` that the graph makes there, a tensor for every
 * other one. The caller owns the values and releases them; the release of their session does so too.
 * @throws {HooklineError} what {@linkcode EngineSession.run} throws; FEED_DATA for a value that was
 * released or that lies on another device.
 */
export type DeviceRun = (
  feeds: RunValueMap,
  fetches: readonly string[],
  options: SessionRunOptions & { readonly keep: readonly string[] },
) => Promise<RunValueMap>;

/** An open model. Release it once; `await using` does. */
export interface EngineSession {
  /** The declared inputs, in the graph's order. */
  readonly inputs: readonly ValueSpec[];
  /** The declared outputs, in the graph's order. */
  readonly outputs: readonly ValueSpec[];
  /**
   * Runs the model. Leave the feeds alone until the promise settles: each engine reads them once, the
   * native one in this very call unless the run waits for its turn, the napi one in a coming turn of the
   * event loop. What is written to them before that is computed with; a feed whose buffer was transferred
   * before that is refused, by the native engine with FEED_DATA, by the napi engine with SESSION_RUN. The
   * outputs belong to the caller and share no memory with feeds or with other runs.
   *
   * @param feeds One tensor for each input, no more and no fewer.
   * @param fetches The outputs wanted; all of them when left out.
   * @param options The signal that ends the run.
   * @throws {HooklineError} FEED_MISSING, FEED_UNKNOWN, FEED_DTYPE, FEED_RANK, FEED_SHAPE or FEED_DATA
   * when the feeds do not fit the inputs, FETCH_UNKNOWN when an output does not exist,
   * SESSION_RELEASED after `release`, SESSION_RUN when the execution fails; `signal.reason` when it was
   * aborted.
   */
  run(
    feeds: TensorMap,
    fetches?: readonly string[],
    options?: SessionRunOptions,
  ): Promise<TensorMap>;
  /** Runs with values on the session's device. Absent where they lie in the process's memory. */
  readonly runOnDevice?: DeviceRun | undefined;
  /**
   * Copies of weights to the session's device, ahead of the runs that use them. Null or absent where values
   * lie in the process's memory.
   */
  readonly uploads?: DeviceUploads | null;
  /**
   * Frees the model. Waits for the runs in flight, refuses new ones at once; a second call is the
   * first one's promise.
   */
  release(): Promise<void>;
  /** True from the first call of `release` on. */
  readonly released: boolean;
  /** The same as `release`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A weight in a file, for an input of a session. */
export interface FileWeight {
  /** The input's name. */
  readonly name: string;
  /** Element type; the file holds the elements little-endian, as `raw_data` does. */
  readonly dtype: DType;
  /** Sizes, all of them known. */
  readonly shape: readonly number[];
  /** Where they lie. */
  readonly range: FileRange;
}

/**
 * Files that lie in memory as they are, for sessions to read weights from: nothing is read before it is
 * touched, nothing is copied. Whoever shortens a file meanwhile ends the process at the next touch, as with
 * the weights that ONNX Runtime maps itself.
 */
export interface MappedWeights extends Disposable {
  /**
   * Runs of a session that take some of its inputs from files; `run` is fed all others. The files stay in
   * memory until this object is disposed and no run uses them.
   *
   * @throws {HooklineError} ENGINE_UNAVAILABLE when a file cannot be mapped, MODEL_NOT_FOUND or
   * MODEL_READ_DENIED when it cannot be read, MODEL_EXTERNAL_RANGE when it is too short, FEED_DATA when a
   * stretch does not fit its dtype and shape. A weight that does not fit its input is refused by `run`.
   */
  bind(session: EngineSession, weights: readonly FileWeight[]): Pick<EngineSession, "run">;
}

/** One session of a chain. Its inputs are values of the chain by their names. */
export interface ChainLink {
  /** The session; who makes the chain keeps it open. */
  readonly session: EngineSession;
  /** The outputs that it is asked for. */
  readonly fetches: readonly string[];
}

/** Options of {@linkcode SessionChain.run}: the signal, and what comes around the sessions. */
export interface ChainRunOptions extends SessionRunOptions {
  /**
   * Called for every session in their order while they run one by one: calls `run` once, which runs the
   * session. A rejection ends the run.
   */
  readonly around?: ((index: number, run: () => Promise<void>) => Promise<void>) | undefined;
  /**
   * Called for every session in their order while they run in a row: for the first before anything runs, for
   * each other one as soon as the one before it runs. A session waits for its promise; a rejection ends the
   * run. Called once more, with the number of sessions, as soon as the last one runs.
   */
  readonly before?: ((index: number) => Promise<void>) | undefined;
}

/** Sessions that run one after the other, each on what came in or what those before it made. */
export interface SessionChain {
  /**
   * Runs all of them. Feeds are treated as {@linkcode EngineSession.run} treats them; the outputs belong to
   * the caller.
   *
   * @param feeds One tensor for each input that no session before makes.
   * @param options The signal that ends the run, also between two sessions, and what comes around each.
   * @returns The values that were wanted when the chain was made.
   * @throws {HooklineError} what {@linkcode EngineSession.run} throws, by the session that failed; what
   * `around` or `before` rejected with.
   */
  run(feeds: TensorMap, options?: ChainRunOptions): Promise<TensorMap>;
  /** No run is in flight, and none may come for a while: frees what it keeps between runs if that is much. */
  rest(): void;
  /**
   * Frees all that it keeps between runs; none is in flight. To be called before one of the sessions is
   * released. It may run again as long as they are open: then it knows what it has learned of them.
   */
  release(): void;
}

/** Opens models. */
export interface Engine {
  /** Which engine this is. */
  readonly name: "napi" | "native";
  /**
   * The version of the ONNX Runtime underneath.
   *
   * @throws {HooklineError} ENGINE_UNAVAILABLE or ORT_TOO_OLD when there is none to be used.
   */
  version(): Promise<string>;
  /**
   * Opens a model; nothing stays behind when it fails.
   *
   * @throws {HooklineError} SESSION_CREATE when the model is refused, MODEL_NOT_FOUND or
   * MODEL_READ_DENIED for a file, OPTION_INVALID for a bad setting, ENGINE_UNAVAILABLE or ORT_TOO_OLD
   * when there is no ONNX Runtime to be used.
   */
  open(
    source: SessionSource,
    settings: SessionSettings,
  ): Promise<EngineSession>;
  /**
   * Joins sessions of this engine that run one after the other with nothing in between that anybody sees:
   * then their values need not come back to JavaScript. Null where that gains nothing; absent where an
   * engine cannot.
   *
   * @param wanted The values that come out.
   */
  readonly chain?: (
    links: readonly ChainLink[],
    wanted: readonly string[],
  ) => SessionChain | null;
  /**
   * Weights that sessions of this engine read from files where they lie. Null where files cannot be mapped;
   * absent where an engine cannot.
   */
  readonly mapWeights?: () => MappedWeights | null;
  /** Weights for {@linkcode SessionSettings.commonWeights}. Absent where an engine cannot. */
  readonly commonWeights?: (weights: readonly FileWeight[]) => CommonWeights;
}
