// Runs what the documentation tells a reader to type. `deno` and `hookline` are this repo's; the
// `npx -y deno@VERSION` of a page is the same Deno without the wait for npm.

import assert from "node:assert/strict";
import process from "node:process";
import { join } from "node:path";
import type { ShellStep } from "./code_blocks.ts";
import { evenOut, outputMatches } from "./output_match.ts";
import type { Stage } from "./stage.ts";

/** How long one command of a page may take. */
const COMMAND_LIMIT_S = 300;

/** What a command printed, both streams as a terminal shows them, and its exit status. */
export interface CommandOutcome {
  /** Standard output and error in order. */
  readonly output: string;
  /** The exit status; 124 when the command was stopped for taking too long. */
  readonly code: number;
}

/** Runs a shell command in `cwd` with the stage's commands first on the path. */
export async function runCommand(
  command: string,
  options: { readonly cwd: string; readonly stage: Stage },
): Promise<CommandOutcome> {
  const own = command.replaceAll(/\bnpx (-y|--yes) deno@[0-9.]+/g, "deno");
  const { code, stdout } = await new Deno.Command("timeout", {
    args: ["-k", "5", `${COMMAND_LIMIT_S}`, "sh", "-c", `exec 2>&1\n${own}`],
    cwd: options.cwd,
    env: {
      PATH: `${join(options.stage.path, ".bin")}:${process.env["PATH"] ?? ""}`,
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      ORT_DISABLE_TELEMETRY: "1",
    },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).output();
  return { output: new TextDecoder().decode(stdout), code };
}

/** Runs one step of a shell block and holds it against what the page shows. */
export async function checkStep(
  step: ShellStep,
  options: { readonly cwd: string; readonly stage: Stage },
): Promise<void> {
  const { output, code } = await runCommand(step.command, options);
  const told = `$ ${step.command}\n`;
  assert.equal(code, step.exitStatus, `${told}ended with status ${code}:\n${output}`);
  if (step.expected !== undefined && !outputMatches(output, step.expected)) {
    assert.equal(told + evenOut(output), told + evenOut(step.expected));
    assert.fail(`${told}printed something else:\n${output}`);
  }
}
