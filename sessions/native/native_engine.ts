// The engine over ONNX Runtime's C API. Unlike the addon it computes on other threads, so that the event
// loop stays free and runs go side by side; it ends a run when a signal says so; and sessions can share
// threads and weights. It needs Deno's ffi permission without a list of paths.

import { HooklineError } from "../../errors/hookline_error.ts";
import type {
  ChainLink,
  CommonWeights,
  Engine,
  FileWeight,
  MappedWeights,
  SessionChain,
  SessionSettings,
  SessionSource,
  ValueSpec,
} from "../engine.ts";
import { sessionCreateError } from "../session_errors.ts";
import { NO_WEIGHT_FOLDER, ortSessionOptions } from "../session_options.ts";
import type { TelemetryState } from "../_telemetry.ts";
import { guardModelFile } from "../weight_file_guard.ts";
import { mappingRefusal } from "./mapped_file.ts";
import { NativeCommonWeights } from "./native_common_weights.ts";
import { NativeMappedWeights } from "./native_mapped_weights.ts";
import { deviceLane } from "../device_lane.ts";
import { endPlainly } from "./plain_exit.ts";
import { type NativeHost, nativeHost } from "./_native_host.ts";
import { isChainable, NativeChain, type NativeLink } from "./native_chain.ts";
import { NativeSession } from "./native_session.ts";
import { encodePath, handleIn, outCell } from "./_native_text.ts";
import { type NativeSessionExtras, sessionOptionsHandle } from "./_session_options_handle.ts";
import { readSpecs } from "./_session_metadata.ts";
import { SharedWeights } from "./shared_weights.ts";
import { type WeightSource, WeightValues } from "./weight_values.ts";

/** What opening the library found, for `doctor`. */
export interface NativeReport {
  /** Version of ONNX Runtime. */
  readonly version: string;
  /** Whether telemetry is off. */
  readonly telemetry: TelemetryState;
  /** The library's file. */
  readonly library: string;
  /** Threads that all sessions share; null when another engine opened a session first. */
  readonly poolThreads: number | null;
}

/**
 * Runs models through ONNX Runtime's C API; Deno only. Opens the library with the first use.
 *
 * @example
 * ```ts ignore
 * const engine = new NativeEngine();
 * await using session = await engine.open(
 *   { kind: "file", path: "model.onnx" },
 *   { provider: "cpu", optimization: "all", threads: 2, prepacking: true, label: "model" },
 * );
 * console.log(session.inputs.map((input) => input.name));
 * ```
 */
export class NativeEngine implements Engine {
  /** Always `"native"`. */
  readonly name = "native";

  /**
   * What opening the library found.
   *
   * @throws {HooklineError} ENGINE_UNAVAILABLE or ORT_TOO_OLD when there is none to be used.
   */
  // deno-lint-ignore require-await -- a failure rejects, as everywhere in an engine
  async report(): Promise<NativeReport> {
    const { version, telemetry, path, environment } = nativeHost();
    return { version, telemetry, library: path, poolThreads: environment.poolThreads };
  }

  /** The version of the ONNX Runtime underneath. */
  async version(): Promise<string> {
    return (await this.report()).version;
  }

  /** Opens a model; see {@linkcode Engine.open}. */
  async open(
    source: SessionSource,
    settings: SessionSettings,
    extras: NativeSessionExtras = {},
  ): Promise<NativeSession> {
    const common = settings.commonWeights;
    if (!(common?.from instanceof NativeCommonWeights)) {
      return await this.#open(source, settings, extras);
    }
    const sharedWeights = common.from.take(nativeHost());
    if (sharedWeights === null) return await this.#open(source, settings, extras);
    using _opening = common.from.opening();
    try {
      const sharedNames = common.names.filter((name) => sharedWeights.names.has(name));
      return await this.#open(source, settings, { ...extras, sharedWeights, sharedNames });
    } catch (error) {
      if (!(error instanceof HooklineError) || error.code !== "SESSION_CREATE") throw error;
      return await this.#open(source, settings, extras); // some kernel may take no common weights
    }
  }

  async #open(
    source: SessionSource,
    settings: SessionSettings,
    extras: NativeSessionExtras,
  ): Promise<NativeSession> {
    const isFile = source.kind === "file";
    const options = ortSessionOptions(
      settings,
      isFile ? null : source.weightFolder ?? NO_WEIGHT_FOLDER,
    );
    const file = isFile ? guardModelFile(source.path) : null;
    const model = isFile ? encodePath(file?.path as string) : steadyBytes(source.bytes);
    const host = nativeHost();
    const { sharedWeights = null } = extras;
    let handle: Deno.PointerObject | undefined;
    sharedWeights?.retain(); // while native code opens the model; the session retains them itself
    try {
      using made = sessionOptionsHandle(host, options, {
        cuda: settings.cuda,
        recordsRuns: settings.recordsRuns,
        ...extras,
      });
      const opened = { isFile, model, options: made.handle };
      // A device takes the weights while the session opens: nothing else may compute there meanwhile.
      handle = settings.provider === "cpu"
        ? await create(host, opened, sharedWeights)
        : await deviceLane(settings.provider).through(() => create(host, opened, sharedWeights));
      return new NativeSession(host, {
        handle,
        ...specsOf(host, handle),
        byteLength: file?.byteLength ?? model.byteLength,
        sharedWeights,
      }, settings);
    } catch (cause) {
      const made = handle;
      if (made !== undefined) {
        await deviceLane(settings.provider).through(() => host.background.ReleaseSession(made));
      }
      if (cause instanceof HooklineError) throw cause;
      throw sessionCreateError(settings, cause);
    } finally {
      sharedWeights?.release();
    }
  }

  /** Joins sessions that run one after the other; see {@linkcode Engine.chain}. */
  chain(links: readonly ChainLink[], wanted: readonly string[]): SessionChain | null {
    const own = links.filter((link): link is NativeLink =>
      link.session instanceof NativeSession && link.session.isOnHost
    );
    if (own.length < links.length || !isChainable(own)) return null;
    return new NativeChain(nativeHost(), own, wanted);
  }

  /**
   * Weights as values over memory that lies elsewhere, for {@linkcode NativeSession.runWith} and
   * {@linkcode shareWeights}.
   *
   * @throws {HooklineError} FEED_DATA when the bytes of one do not fit it.
   */
  weightValues(sources: readonly WeightSource[]): WeightValues {
    return new WeightValues(nativeHost(), sources);
  }

  /** Weights in files, mapped; see {@linkcode Engine.mapWeights}. */
  mapWeights(): MappedWeights | null {
    return mappingRefusal() === null ? new NativeMappedWeights(nativeHost()) : null;
  }

  /** Weights that sessions have in common; see {@linkcode Engine.commonWeights}. */
  commonWeights(weights: readonly FileWeight[]): CommonWeights {
    return new NativeCommonWeights(weights);
  }

  /** Weights that several sessions read from the same memory, prepacked once for all of them. */
  shareWeights(values: WeightValues): SharedWeights {
    return new SharedWeights(nativeHost(), values);
  }
}

function specsOf(
  host: NativeHost,
  handle: Deno.PointerObject,
): { readonly inputs: readonly ValueSpec[]; readonly outputs: readonly ValueSpec[] } {
  return { inputs: readSpecs(host, handle, "input"), outputs: readSpecs(host, handle, "output") };
}

/** Sessions that are being opened: what native code reads meanwhile is held here. */
const opening = new Set<readonly unknown[]>();

async function create(
  { background, check, environment }: NativeHost,
  { isFile, model, options }: {
    readonly isFile: boolean;
    /** The path as C takes it, or the model's bytes. */
    readonly model: Uint8Array<ArrayBuffer>;
    readonly options: Deno.PointerObject;
  },
  sharedWeights: SharedWeights | null,
): Promise<Deno.PointerObject> {
  endPlainly();
  const env = environment.handle;
  const cell = outCell();
  const held = [model, cell, sharedWeights];
  const container = sharedWeights?.container;
  opening.add(held);
  try {
    const length = BigInt(model.byteLength);
    check(
      await (container === undefined
        ? isFile
          ? background.CreateSession(env, model, options, cell)
          : background.CreateSessionFromArray(env, model, length, options, cell)
        : isFile
        ? background.CreateSessionWithPrepackedWeightsContainer(
          env,
          model,
          options,
          container,
          cell,
        )
        : background.CreateSessionFromArrayWithPrepackedWeightsContainer(
          env,
          model,
          length,
          options,
          container,
          cell,
        )),
    );
    return handleIn(cell);
  } finally {
    opening.delete(held);
  }
}

/** Shared memory and memory that can shrink are copied: another thread reads the bytes. */
function steadyBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError("the model's bytes must be a Uint8Array");
  }
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && !buffer.resizable) return bytes as Uint8Array<ArrayBuffer>;
  return new Uint8Array(bytes);
}
