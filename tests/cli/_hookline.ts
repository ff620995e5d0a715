// Calls the command line: as a child process, as a user does, or in this process where only what it
// prints is of interest.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type CliConsole, main, type Style } from "../../cli/main.ts";
import { ROOT } from "../suites.ts";

/** How a call ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a child process is given beside its arguments. */
export interface ChildOptions {
  /** Permission flags; those of `deno task hookline` by default. */
  readonly grants?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Where the program lies. */
export const PROGRAM: string = join(ROOT, "cli", "main.ts");

/** What the task grants: `deno.json` says so, and nobody else. */
const GRANTS: readonly string[] = taskCommand().split(" ").filter((word) =>
  word.startsWith("--allow-")
);

function taskCommand(): string {
  const { tasks } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  return tasks.hookline.command;
}

/** The arguments of `deno` that run the program. */
export function denoArgs(
  args: readonly string[],
  grants: readonly string[] = GRANTS,
): string[] {
  const config = ["--config", join(ROOT, "deno.json")];
  return ["run", "--no-check", "--no-prompt", ...config, ...grants, PROGRAM, ...args];
}

/** Runs the real program in a process of its own. */
export async function hookline(
  args: readonly string[],
  { grants, env }: ChildOptions = {},
): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: denoArgs(args, grants),
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs the program in this process; text is marked where a terminal would show colours. */
export async function called(args: readonly string[]): Promise<Outcome> {
  let stdout = "";
  let stderr = "";
  const plain = (text: string): string => text;
  const style: Style = { bold: plain, dim: plain, green: plain, yellow: plain, red: plain };
  const console: CliConsole = {
    out: (text) => void (stdout += text),
    err: (text) => void (stderr += text),
    outStyle: style,
    errStyle: style,
    isWatched: false,
  };
  return { code: await main(args, console), stdout, stderr };
}

/** The one JSON document on standard output. */
export function documentOf(outcome: Outcome): Record<string, unknown> {
  const parsed: unknown = JSON.parse(outcome.stdout);
  assert.ok(typeof parsed === "object" && parsed !== null);
  return parsed as Record<string, unknown>;
}

/** The error that a call with --json ended with; checks everything that holds for all errors. */
export function errorOf(outcome: Outcome): Record<string, unknown> {
  assert.equal(outcome.code, 2, outcome.stdout + outcome.stderr);
  const { error, ...others } = documentOf(outcome);
  assert.deepEqual(others, {});
  const found = error as Record<string, unknown>;
  for (const key of ["code", "message", "fix"]) assert.equal(typeof found[key], "string", key);
  return found;
}

/** Checks that an error is shown to people as two lines without a stack trace. */
export function assertTwoLines(outcome: Outcome, code: string): void {
  assert.equal(outcome.code, 2);
  assert.equal(outcome.stdout, "");
  const lines = outcome.stderr.trimEnd().split("\n");
  assert.equal(lines.length, 2, outcome.stderr);
  assert.match(lines[0] ?? "", new RegExp(`^error ${code}: .`));
  assert.match(lines[1] ?? "", /^ {2}fix: ./);
}
