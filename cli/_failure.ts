// Errors as the command line shows them: a document under --json, two lines otherwise, never a stack
// trace unless HOOKLINE_DEBUG asks for one.

import { HooklineError } from "../errors/hookline_error.ts";
import type { Style } from "./_console.ts";
import { readEnvironment } from "./_environment.ts";

/** Any error as one with a code; what has none is a bug. */
export function codedError(error: unknown): HooklineError {
  if (error instanceof HooklineError) return error;
  const shown = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new HooklineError("INTERNAL", {
    message: `Hookline failed: ${shown}`,
    fix: "report it with the command that you gave; HOOKLINE_DEBUG=1 shows where it happened",
    cause: error,
  });
}

/** The document of an error: its details stand beside code, message and fix. */
export function errorDocument(error: HooklineError): { readonly error: Record<string, unknown> } {
  const { code, message, fix, details } = error;
  const taken = ["code", "message", "fix"];
  const others = Object.entries(details).filter(([key]) => !taken.includes(key));
  return { error: { code, message, fix, ...Object.fromEntries(others) } };
}

/** The error in two lines. */
export function errorText(error: HooklineError, style: Style): string {
  const line = (text: string): string => text.replaceAll(/\s*\n\s*/g, " ").trim();
  return `${style.red("error")} ${style.bold(error.code)}: ${line(error.message)}\n` +
    `  fix: ${line(error.fix)}\n`;
}

/** Where the error came from, when HOOKLINE_DEBUG is set; else the empty text. */
export function debugText(error: HooklineError): string {
  if (readEnvironment("HOOKLINE_DEBUG") === undefined) return "";
  const stacks: string[] = [];
  for (let at: unknown = error; at instanceof Error && stacks.length < 8; at = at.cause) {
    stacks.push(at.stack ?? String(at));
  }
  return `${stacks.join("\ncaused by ")}\n`;
}
