// The only importer of onnxruntime-node, and lazily: importing it loads native code, which needs Deno's
// ffi permission. Switches telemetry off first, refuses versions that return wrong numbers, and hands out
// a narrow typed face, so that no type of the package leaves this file.

import process from "node:process";
import { HooklineError } from "../errors/hookline_error.ts";
import { causeText, firstUsefulLine } from "./session_errors.ts";
import { type OrtSessionOptions, ortSessionOptions } from "./session_options.ts";
import { ortLibraryFolder } from "./_ort_library.ts";
import { isTooOld, tooOldError } from "./_ort_version.ts";
import { switchTelemetryOff, type TelemetryState } from "./_telemetry.ts";
import { unaryModel } from "./_tiny_model.ts";

/** A tensor as ONNX Runtime takes it: a plain object is cheaper than its Tensor class. */
export interface OrtFeed {
  /** Element type, spelled as `DType` is. */
  readonly type: string;
  /** The elements; half floats as a `Uint16Array` of their bits. */
  readonly data: unknown;
  /** Dimension sizes. */
  readonly dims: readonly number[];
  /** Where the elements lie: always the CPU. */
  readonly location: "cpu";
}

/** A tensor as ONNX Runtime returns it. */
export interface OrtValue {
  /** Element type. */
  readonly type: string;
  /** The elements, in memory of their own. */
  readonly data: unknown;
  /** Dimension sizes. */
  readonly dims: readonly number[];
}

/** What ONNX Runtime says of an input or output. */
export interface OrtValueMetadata {
  /** The value's name. */
  readonly name: string;
  /** False for sequences, optionals and maps. */
  readonly isTensor: boolean;
  /** Element type of a tensor. */
  readonly type?: string;
  /** Sizes and symbolic names; `""` is unnamed, `[]` a scalar or an unknown rank. */
  readonly shape?: readonly (number | string)[];
}

/** The part of `InferenceSession` in use. */
export interface OrtSession {
  /** The declared inputs. */
  readonly inputMetadata: readonly OrtValueMetadata[];
  /** The declared outputs. */
  readonly outputMetadata: readonly OrtValueMetadata[];
  /** Runs the model for the outputs named. */
  run(
    feeds: Record<string, OrtFeed>,
    fetches: readonly string[],
  ): Promise<Record<string, OrtValue>>;
  /** Frees the model. */
  release(): Promise<void>;
}

/** The part of the onnxruntime-node module in use. */
export interface OrtModule {
  /** The package's own facts. */
  readonly env: {
    /** Versions by package. */
    readonly versions: {
      /** Version of onnxruntime-node. */
      readonly node?: string;
    };
  };
  /** Opens sessions. */
  readonly InferenceSession: {
    /** Opens a model from a path or from bytes. */
    create(
      model: string | Uint8Array,
      options: OrtSessionOptions,
    ): Promise<OrtSession>;
  };
}

/** What loading found, for `doctor`. */
export interface OrtReport {
  /** Version of onnxruntime-node and of the library in it. */
  readonly version: string;
  /** `"off"`, or why it could not be switched off. */
  readonly telemetry: TelemetryState;
  /** Folder of the native library, or null when it cannot be told. */
  readonly libraryFolder: string | null;
}

/** A loaded, checked ONNX Runtime. */
export interface OrtLibrary {
  /** What loading found. */
  readonly report: OrtReport;
  /** The module itself: for engines alone, never for a plugin. */
  readonly module: OrtModule;
}

function unavailable(cause: unknown): HooklineError {
  const text = causeText(cause);
  const addon = /ffi access to "([^"]+)"/.exec(text)?.[1];
  const denied = addon !== undefined ||
    (cause instanceof Error && cause.name === "NotCapable");
  return new HooklineError("ENGINE_UNAVAILABLE", {
    message: `cannot load onnxruntime-node: ${firstUsefulLine(text)}`,
    fix: denied
      ? `grant the native library: --allow-ffi=${addon ?? ortLibraryFolder() ?? ""}`
      : `install onnxruntime-node; it has libraries for linux and win32 (x64, arm64) and darwin (arm64), this is ${process.platform} ${process.arch}`,
    details: { engine: "napi", ...(addon === undefined ? {} : { addon }) },
    cause,
  });
}

/**
 * Older versions mapped a subset of outputs, or one in another order, to the wrong names without an
 * error (microsoft/onnxruntime#26865). Asks for both and looks at the numbers.
 */
async function testFetchOrder(
  module: OrtModule,
  version: string,
): Promise<void> {
  const model = unaryModel([
    { name: "a", op: "Identity" },
    { name: "b", op: "Neg" },
    { name: "c", op: "Sign" },
  ]);
  const session = await module.InferenceSession.create(
    model,
    ortSessionOptions({
      provider: "cpu",
      optimization: "disabled",
      threads: 1,
      prepacking: true,
      label: "self-test",
    }, null),
  );
  const expected: Readonly<Record<string, number>> = { a: -2, b: 2, c: -1 };
  try {
    for (const fetches of [["c", "a"], ["b"], ["c", "b", "a"]]) {
      const x: OrtFeed = {
        type: "float32",
        data: Float32Array.of(-2),
        dims: [1],
        location: "cpu",
      };
      const results = await session.run({ x }, fetches);
      for (const name of fetches) {
        const data = results[name]?.data as ArrayLike<number> | undefined;
        if (data?.[0] !== expected[name]) {
          throw tooOldError(version, "it returns outputs under wrong names");
        }
      }
    }
  } finally {
    await session.release();
  }
}

async function importOrt(): Promise<OrtModule> {
  return await import("onnxruntime-node") as unknown as OrtModule;
}

/**
 * Loads onnxruntime-node with telemetry off and checks it. An engine calls this once and keeps the
 * result; a failure is not remembered here, so that a later call may succeed with a new permission.
 *
 * @param load Gives the module; only tests put another one here.
 * @throws {HooklineError} ENGINE_UNAVAILABLE when it cannot be loaded; ORT_TOO_OLD when its version is
 * below 1.24.1 or it fails the self-test.
 */
export async function loadOrt(
  load: () => Promise<OrtModule> = importOrt,
): Promise<OrtLibrary> {
  const telemetry = switchTelemetryOff();
  let module: OrtModule;
  try {
    module = await load();
  } catch (cause) {
    throw unavailable(cause);
  }
  const version = module.env?.versions?.node ?? "without a version";
  if (isTooOld(version)) {
    throw tooOldError(version, "versions before 1.24.1 mix up outputs");
  }
  try {
    await testFetchOrder(module, version);
  } catch (cause) {
    if (cause instanceof HooklineError) throw cause;
    throw unavailable(cause);
  }
  const libraryFolder = ortLibraryFolder();
  return { module, report: { version, telemetry, libraryFolder } };
}
