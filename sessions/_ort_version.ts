// Which versions of ONNX Runtime are trusted, by either engine.

import { HooklineError } from "../errors/hookline_error.ts";

const OLDEST: readonly number[] = [1, 24, 1];

/** True below 1.24.1: versions before it map a subset of outputs to the wrong names. */
export function isTooOld(version: string): boolean {
  const parts = version.split(/[.+-]/, 3).map(Number);
  for (let index = 0; index < OLDEST.length; index++) {
    const found = parts[index] ?? 0;
    const wanted = OLDEST[index] as number;
    if (Number.isNaN(found)) return true;
    if (found !== wanted) return found < wanted;
  }
  return false;
}

/** The error for a version that is not trusted. */
export function tooOldError(version: string, why: string): HooklineError {
  return new HooklineError("ORT_TOO_OLD", {
    message: `cannot use onnxruntime-node ${version}: ${why}`,
    fix: "install onnxruntime-node 1.24.1 or newer (Hookline is made with 1.29.0)",
    details: { version },
  });
}
