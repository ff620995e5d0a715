// The wording that the errors of this plugin share.

import { type ErrorCode, type ErrorDetail, HooklineError } from "../../mod.ts";

/** What an error of this plugin says. */
export interface Fault {
  /** What was being done, what was found, what was wanted. */
  readonly message: string;
  /** One imperative line. */
  readonly fix: string;
  /** Structured facts. */
  readonly details?: Readonly<Record<string, ErrorDetail>>;
  /** The error below. */
  readonly cause?: unknown;
}

/** An error of this plugin. */
export function fault(
  code: ErrorCode,
  { message, fix, details = {}, cause }: Fault,
): HooklineError {
  return new HooklineError(code, {
    message,
    fix,
    details: { plugin: "output-edit", ...details },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A shape as text; null stands for any size. */
export function shapeText(shape: readonly (number | null)[]): string {
  return `[${shape.map((size) => size === null ? "?" : size).join(", ")}]`;
}

/** Names as text for "there are …". */
export function listText(names: readonly string[]): string {
  return names.length === 0 ? "there are none" : names.map((name) => `"${name}"`).join(", ");
}
