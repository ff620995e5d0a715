// The one error class. What to catch is the class, which case it is says `code`. It never carries
// tensor contents: an error message may end up in a log.

import type { ErrorCode } from "./codes.ts";

/** A value that JSON can hold, used for the structured fields of an error. */
export type ErrorDetail =
  | string
  | number
  | boolean
  | null
  | readonly ErrorDetail[]
  | { readonly [key: string]: ErrorDetail };

/** What {@linkcode HooklineError} is made from. */
export interface HooklineErrorInit {
  /** What was being done to what, what was found, and what was wanted. No trailing period. */
  readonly message: string;
  /** One imperative line that says what to do now. */
  readonly fix: string;
  /** Structured facts such as `module`, `plugin`, `hook`, `byteOffset`, `nearest`. */
  readonly details?: Readonly<Record<string, ErrorDetail>>;
  /** The error below this one. */
  readonly cause?: unknown;
}

/**
 * Every error that Hookline throws for a reason outside its own code.
 *
 * @example
 * ```ts
 * import { HooklineError, openModel } from "@hookline/hookline";
 * try {
 *   await openModel("/nowhere/model.onnx");
 * } catch (error) {
 *   if (!(error instanceof HooklineError)) throw error;
 *   console.log(error.code); // MODEL_NOT_FOUND
 *   console.log(error.fix);
 * }
 * ```
 */
export class HooklineError extends Error {
  /** Always `"HooklineError"`. */
  override readonly name = "HooklineError";
  /** The stable code of the case. */
  readonly code: ErrorCode;
  /** One line that says what to do now. */
  readonly fix: string;
  /** Structured facts about the case, never tensor contents. */
  readonly details: Readonly<Record<string, ErrorDetail>>;

  /** Makes the error; `init.cause` becomes the standard `cause`. */
  constructor(code: ErrorCode, init: HooklineErrorInit) {
    super(
      init.message,
      init.cause === undefined ? undefined : { cause: init.cause },
    );
    this.code = code;
    this.fix = init.fix;
    this.details = Object.freeze({ ...init.details });
  }

  /** The error as the command line's `--json` face prints it. */
  toJSON(): {
    code: ErrorCode;
    message: string;
    fix: string;
    details: Record<string, ErrorDetail>;
  } {
    return {
      code: this.code,
      message: this.message,
      fix: this.fix,
      details: { ...this.details },
    };
  }
}

/** The error for a broken rule of Hookline's own: reaching it is a bug to report. */
export function internalError(message: string): HooklineError {
  return new HooklineError("INTERNAL", {
    message,
    fix: "report it with the model's `hookline inspect --json` document",
  });
}

/** Ends a `switch` over a closed union; a new member fails to compile until it is handled. */
export function assertNever(value: never): never {
  throw internalError(`unexpected variant: ${String(value)}`);
}
