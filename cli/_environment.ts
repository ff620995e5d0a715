// The only place of cli/ that reads the environment: a variable that this process may not read counts as
// not set, so that every subcommand runs without an env grant.

import process from "node:process";

/** Whether this runs on Deno, which asks before the environment is read. */
export const IS_DENO: boolean = typeof globalThis.Deno === "object";

/** The value of a variable; undefined when it is not set, empty, or not for this process to read. */
export function readEnvironment(name: string): string | undefined {
  if (IS_DENO && Deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") {
    return undefined;
  }
  return process.env[name] || undefined;
}

/** True when `NO_COLOR` is set; Deno says so without a grant, unless `FORCE_COLOR` is set as well. */
export function isColorRefused(): boolean {
  return readEnvironment("NO_COLOR") !== undefined || (IS_DENO && Deno.noColor);
}
