// Commander set up for this command line: it prints nothing by itself and ends no process, and what it
// finds wrong becomes a CLI_USAGE error like any other.

import { Command, CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import { examplesText } from "./_examples.ts";
import type { Invocation } from "./_invocation.ts";
import { SUBCOMMANDS } from "./_subcommands.ts";
import { VERSION } from "./_version.ts";

const HELP_WORDS: readonly string[] = ["help", "-h", "--help", "-V", "--version"];

/** True when the arguments ask for JSON. */
export function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).includes("--json");
}

/** Parses the arguments and runs the subcommand that they name. */
export async function runProgram(args: readonly string[], invocation: Invocation): Promise<void> {
  const printed: string[] = [];
  const name = calledName(args);
  const program = new Command("hookline")
    .description("PyTorch-style forward hooks for ONNX models")
    .usage("SUBCOMMAND [options]")
    .version(VERSION)
    .option("--json", "print one JSON document on standard output and nothing else")
    .helpCommand("help [subcommand]", "show how a subcommand is called");
  for (const entry of SUBCOMMANDS) {
    const made = entry.name === name
      ? (await entry.load())(invocation)
      : new Command(entry.name).description(entry.summary);
    program.addCommand(made.summary(entry.summary));
  }
  for (const { command, path } of commandsBelow(program)) {
    const examples = examplesText(path);
    if (examples !== "") command.addHelpText("after", examples);
    command.exitOverride().configureOutput({
      writeOut: (text) => void printed.push(text),
      writeErr: () => {},
      outputError: () => {},
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  }
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0 && error.code === "commander.help" && name !== null) {
      throw withoutDeed(program, name);
    }
    if (error.exitCode !== 0) throw usageError(error, calledPath(program, args));
    const text = printed.join("").trimEnd();
    const document = error.code === "commander.version" ? { version: VERSION } : { help: text };
    invocation.report({ document, text: () => text });
  }
}

interface Placed {
  readonly command: CommandUnknownOpts;
  /** The words that call it, without `hookline`. */
  readonly path: string;
}

/** A command with all below it. */
function commandsBelow(command: CommandUnknownOpts, path = ""): Placed[] {
  return [
    { command, path },
    ...command.commands.flatMap((one) =>
      commandsBelow(one, path === "" ? one.name() : `${path} ${one.name()}`)
    ),
  ];
}

/** The words that name the command that the arguments call, as far as they name one. */
function calledPath(program: CommandUnknownOpts, args: readonly string[]): string | null {
  const path: string[] = [];
  let at = program;
  for (const word of args) {
    const next = at.commands.find((command) => command.name() === word);
    if (next !== undefined) path.push(word);
    else if (!word.startsWith("-")) break;
    at = next ?? at;
  }
  return path.length === 0 ? null : path.join(" ");
}

/** A subcommand that only holds others was called by itself. */
function withoutDeed(program: CommandUnknownOpts, name: string): HooklineError {
  const group = program.commands.find((command) => command.name() === name);
  const names = (group?.commands ?? []).map((command) => command.name());
  return new HooklineError("CLI_USAGE", {
    message: `hookline ${name} was called without saying what to do`,
    fix: `use one of ${names.join(", ")}; \`hookline ${name} --help\` says what they do`,
    details: { subcommand: name, nearest: [], subcommands: names },
  });
}

/** The subcommand that is called or asked about; null when only the program itself is. */
function calledName(args: readonly string[]): string | null {
  const words = args.filter((arg) => arg !== "--json");
  const [first, second] = words;
  const name = first === "help" ? second : first;
  if (name === undefined) {
    if (first === "help") return null;
    throw unknownCommand(null);
  }
  if (SUBCOMMANDS.some((entry) => entry.name === name)) return name;
  if (HELP_WORDS.includes(name)) return null;
  if (!name.startsWith("-")) throw unknownCommand(name);
  return null;
}

function unknownCommand(name: string | null): HooklineError {
  const names = SUBCOMMANDS.map((entry) => entry.name);
  const nearest = name === null ? [] : nearestNames(name, [...names, "help"]);
  return new HooklineError("CLI_USAGE", {
    message: name === null
      ? "hookline was called without a subcommand"
      : `hookline has no subcommand "${name}"`,
    fix: nearest.length > 0
      ? `did you mean ${nearest.map((near) => `\`hookline ${near}\``).join(" or ")}?`
      : `use one of ${names.join(", ")}; \`hookline --help\` says what they do`,
    details: { ...(name === null ? {} : { subcommand: name }), nearest, subcommands: names },
  });
}

/** Commander's message without its prefix; its suggestion, in parentheses on a line of its own, apart. */
function usageError(error: CommanderError, name: string | null): HooklineError {
  const [first = "", second = ""] = error.message.replace(/^error: /, "").split("\n");
  const said = first.replace(/\.$/, "").replaceAll("'", '"').replace("invalid. It", "invalid: it");
  const nearest = /^\(Did you mean (?:one of )?(.+)\?\)$/.exec(second)?.[1]?.split(", ") ?? [];
  const called = name === null ? "hookline" : `hookline ${name}`;
  return new HooklineError("CLI_USAGE", {
    message: `cannot run \`${called}\`: ${said}`,
    fix: nearest.length > 0 ? `did you mean ${nearest.join(" or ")}?` : `see \`${called} --help\``,
    details: { ...(name === null ? {} : { subcommand: name }), nearest },
  });
}
