// The environment, read and set only where this process may do so already: never a prompt on somebody's
// terminal, never an exception for a variable that nobody asked about. It is the one place outside the
// edges that asks Deno for its permissions; where there is no Deno, the runtime's own rules hold.

import process from "node:process";
import { HooklineError } from "../errors/hookline_error.ts";

/** A permission as Deno names it. */
export type PermissionQuestion =
  | { readonly name: "env"; readonly variable: string }
  | { readonly name: "read" | "write"; readonly path: string }
  | { readonly name: "run"; readonly command: string }
  | { readonly name: "sys"; readonly kind: "systemMemoryInfo" };

/** The part of Deno that is asked; absent in Node. */
interface PermissionHost {
  readonly permissions?: {
    querySync(question: PermissionQuestion): { readonly state: string };
  };
}

/**
 * True when the permission is granted at this moment; nobody is asked for it. Outside Deno it is true:
 * there the operating system decides, when the thing is done.
 */
export function isGranted(question: PermissionQuestion): boolean {
  const host = (globalThis as { readonly Deno?: PermissionHost }).Deno;
  if (host?.permissions === undefined) return true;
  try {
    return host.permissions.querySync(question).state === "granted";
  } catch {
    return false; // a Deno that cannot answer has not granted it
  }
}

/**
 * The value of an environment variable; undefined when it is not set or may not be read. Never prompts.
 *
 * @example
 * ```ts ignore
 * console.log(readVariable("HOOKLINE_TRACE_LAYERS") ?? "not set");
 * ```
 */
export function readVariable(name: string): string | undefined {
  if (!isGranted({ name: "env", variable: name })) return undefined;
  try {
    return process.env[name];
  } catch {
    return undefined; // Node's own permission model
  }
}

/** Sets an environment variable where that is granted, and says whether it did. Never prompts. */
export function setVariable(name: string, value: string): boolean {
  if (!isGranted({ name: "env", variable: name })) return false;
  try {
    process.env[name] = value;
    return true;
  } catch {
    return false;
  }
}

const ON: readonly string[] = ["1", "true", "on", "yes"];
const OFF: readonly string[] = ["", "0", "false", "off", "no"];

/**
 * Whether a switch is on. `1`, `true`, `on`, `yes` are on; `0`, `false`, `off`, `no`, empty and not set
 * are off, in any case and with blanks around them.
 *
 * @throws {HooklineError} OPTION_INVALID for any other value: a misspelt switch is not taken for either.
 */
export function isSwitchedOn(name: string, value: string | undefined): boolean {
  const text = (value ?? "").trim().toLowerCase();
  if (OFF.includes(text)) return false;
  if (ON.includes(text)) return true;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot tell whether ${name} is on: its value is ${
      JSON.stringify((value ?? "").slice(0, 80))
    }, wanted is 1 or 0`,
    fix: `set ${name} to 1, true, on or yes, or to 0, false, off, no or nothing`,
    details: { option: name },
  });
}
