// What every part of the native engine works with: the library, the process's environment, and what is
// made once of both.

import { type NativeLibrary, openNativeLibrary } from "./_native_library.ts";
import { type OrtEnvironment, ortEnvironment } from "./_ort_environment.ts";

/** Library and environment. */
export interface NativeHost extends NativeLibrary {
  /** The process's OrtEnv. */
  readonly environment: OrtEnvironment;
}

let host: NativeHost | undefined;

/**
 * Opens the library and makes the environment, once.
 *
 * @throws {HooklineError} ENGINE_UNAVAILABLE or ORT_TOO_OLD when there is no library to be used.
 */
export function nativeHost(): NativeHost {
  if (host === undefined) {
    const library = openNativeLibrary();
    host = Object.freeze({ ...library, environment: ortEnvironment(library) });
  }
  return host;
}
