/**
 * The `hookline` command: `deno task hookline ARGS` in the repo, `hookline ARGS` once installed.
 *
 * Ctrl-C ends it at once, as the shell expects: a run of ONNX Runtime blocks JavaScript, so a handler
 * would only delay it. Files are written beside their name first, so none is left half-written.
 *
 * @example
 * ```ts
 * import { main } from "@hookline/hookline/cli";
 * console.log(await main(["inspect", "bert.onnx", "--json"])); // the exit status, after the document
 * ```
 *
 * @module
 */

import process from "node:process";
import { type CliConsole, processConsole } from "./_console.ts";
import { Invocation } from "./_invocation.ts";
import { runProgram, wantsJson } from "./_usage.ts";

export type { CliConsole, Style } from "./_console.ts";

/**
 * Runs the command line.
 *
 * @param args What stands after `hookline`.
 * @param console Where to write; the process's streams by default.
 * @returns The exit status: 0 done and good, 1 a difference or a failed check was found, 2 the call or
 * its data were wrong. Never throws.
 */
export async function main(
  args: readonly string[],
  console: CliConsole = processConsole(),
): Promise<number> {
  const invocation = new Invocation(console, wantsJson(args));
  try {
    await runProgram(args, invocation);
  } catch (error) {
    invocation.fail(error);
  }
  return invocation.status;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
