// ONNX Runtime's C API over the very file that the addon of onnxruntime-node links to: opened twice, a
// process still holds one library. Checks version before any function is called, and turns a status
// into an error. It knows no session.

import { HooklineError } from "../../errors/hookline_error.ts";
import { isTooOld, tooOldError } from "../_ort_version.ts";
import { ortLibraryPath } from "../_ort_library.ts";
// Loads nothing. It names onnxruntime-node, without which Deno does not tell where the package lies.
import "../ort_loader.ts";
import { switchTelemetryOff, type TelemetryState } from "../_telemetry.ts";
import { causeText, firstUsefulLine } from "../session_errors.ts";
import {
  bindBackgroundFunctions,
  bindFunctions,
  type OrtBackgroundFunctions,
  type OrtFunctions,
  runWithBindingAddress,
} from "./_ort_functions.ts";
import { libraryWithCuda } from "./_linked_library.ts";
import { pinLibrary } from "./_pinned_library.ts";
import { callsOnThisThread, isInWorker } from "./_worker_calls.ts";

/** The API version asked for: that of ONNX Runtime 1.24, the oldest that is trusted. */
const API_VERSION = 24;
const GET_API = { parameters: ["u32"], result: "pointer" } as const;
const GET_VERSION = { parameters: [], result: "pointer" } as const;
/** Offset of `GetVersionString` in OrtApiBase, behind `GetApi`. */
const VERSION_OFFSET = 8;

/** A failure that ONNX Runtime reported. */
export class OrtStatusError extends Error {
  /** `OrtErrorCode`. Source: onnxruntime_c_api.h. */
  readonly ortCode: number;

  constructor(message: string, ortCode: number) {
    super(message);
    this.name = "OrtStatusError";
    this.ortCode = ortCode;
  }
}

/** ONNX Runtime, ready to be called. */
export interface NativeLibrary {
  /** Its version. */
  readonly version: string;
  /** The file it came from. */
  readonly path: string;
  /** Whether telemetry was switched off before it was opened. */
  readonly telemetry: TelemetryState;
  /** Functions called on this thread. */
  readonly api: OrtFunctions;
  /** Functions called on another thread; in a worker on its own. */
  readonly background: OrtBackgroundFunctions;
  /** Where `RunWithBinding` lies. */
  readonly runWithBinding: bigint;
  /**
   * Throws the failure that a status stands for and frees it; null is success.
   *
   * @throws {OrtStatusError}
   */
  check(status: Deno.PointerValue): void;
}

let opened: NativeLibrary | undefined;

/**
 * Opens the library, which stays in the process for good.
 *
 * @throws {HooklineError} ENGINE_UNAVAILABLE without the library or without Deno's ffi permission for
 * every path; ORT_TOO_OLD below version 1.24.1.
 */
export function openNativeLibrary(): NativeLibrary {
  if (opened === undefined) {
    const path = ortLibraryPath();
    opened = openAt(path === null ? null : libraryWithCuda(path));
  }
  return opened;
}

function openAt(path: string | null): NativeLibrary {
  if (path === null) {
    throw unavailable("its place in the package onnxruntime-node cannot be told", null);
  }
  const telemetry = switchTelemetryOff();
  try {
    const library = Deno.dlopen(path, { OrtGetApiBase: { parameters: [], result: "pointer" } });
    const base = library.symbols.OrtGetApiBase();
    if (pinLibrary(path)) library.close();
    if (base === null) throw new Error("OrtGetApiBase() returned nothing");
    const view = new Deno.UnsafePointerView(base); // needs ffi without a path list, as all that follows
    const version = versionOf(view);
    if (isTooOld(version)) throw tooOldError(version, "versions before 1.24.1 lack what is needed");
    const table = new Deno.UnsafePointerView(apiTable(view));
    const api = bindFunctions(table);
    return Object.freeze({
      version,
      path,
      telemetry,
      api,
      background: isInWorker() ? callsOnThisThread(api) : bindBackgroundFunctions(table),
      runWithBinding: runWithBindingAddress(table),
      check: (status: Deno.PointerValue) => {
        if (status !== null) throw takeError(api, status);
      },
    });
  } catch (cause) {
    if (cause instanceof HooklineError) throw cause;
    throw unavailable(firstUsefulLine(causeText(cause)), path, cause);
  }
}

function versionOf(base: Deno.UnsafePointerView): string {
  const pointer = base.getPointer<typeof GET_VERSION>(VERSION_OFFSET);
  if (pointer === null) return "without a version";
  const text = new Deno.UnsafeFnPointer(pointer, GET_VERSION).call();
  return text === null ? "without a version" : Deno.UnsafePointerView.getCString(text);
}

function apiTable(base: Deno.UnsafePointerView): Deno.PointerObject {
  const pointer = base.getPointer<typeof GET_API>(0);
  if (pointer === null) throw new Error("OrtApiBase has no GetApi");
  const table = new Deno.UnsafeFnPointer(pointer, GET_API).call(API_VERSION);
  if (table === null) throw new Error(`the library has no API of version ${API_VERSION}`);
  return table;
}

function takeError(api: OrtFunctions, status: Deno.PointerObject): OrtStatusError {
  const message = api.GetErrorMessage(status);
  const text = message === null ? "no reason given" : Deno.UnsafePointerView.getCString(message);
  const error = new OrtStatusError(text, api.GetErrorCode(status));
  api.ReleaseStatus(status);
  return error;
}

function unavailable(why: string, path: string | null, cause?: unknown): HooklineError {
  const isDenied = cause instanceof Error && cause.name === "NotCapable";
  return new HooklineError("ENGINE_UNAVAILABLE", {
    message: `cannot use the native engine: ${why}`,
    fix: isDenied
      ? 'grant --allow-ffi without a list of paths, or use engine "napi", which takes a path'
      : 'install onnxruntime-node 1.29.0 where Deno finds it, or use engine "napi"',
    details: { engine: "native", ...(path === null ? {} : { library: path }) },
    cause,
  });
}
