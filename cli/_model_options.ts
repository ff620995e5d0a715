// The options that say how a model is run, the same for every subcommand that runs one. Their values are
// checked by openModel, whose errors name what is allowed; only what is no number is refused here.

import {
  type CommandUnknownOpts,
  InvalidArgumentError,
  Option,
  type OptionValues,
} from "@commander-js/extra-typings";
import type { OpenOptions } from "../pipeline/open_model.ts";

/** Adds --json, --provider, --engine, --optimization and --threads. */
export function addModelOptions(command: CommandUnknownOpts): CommandUnknownOpts {
  return command
    .addOption(
      new Option("--provider <name>", "execution provider: auto, cpu, cuda or webgpu")
        .default("auto"),
    )
    .addOption(new Option("--engine <name>", "engine: auto, napi or native").default("auto"))
    .addOption(
      new Option(
        "--optimization <level>",
        "how far ONNX Runtime may rewrite the graph: disabled, basic, extended, layout or all",
      ).default("all"),
    )
    .addOption(
      new Option("--threads <count>", "threads that compute one operator").argParser(numberOf),
    )
    .option("--json", "print one JSON document on standard output and nothing else");
}

/** The options of {@linkcode addModelOptions} as openModel takes them. */
export function readModelOptions(values: OptionValues): OpenOptions {
  const { provider, engine, optimization, threads } = values as {
    readonly provider: NonNullable<OpenOptions["provider"]>;
    readonly engine: NonNullable<OpenOptions["engine"]>;
    readonly optimization: NonNullable<OpenOptions["optimization"]>;
    readonly threads?: number;
  };
  return { provider, engine, optimization, ...(threads === undefined ? {} : { threads }) };
}

/** Parses an option's value as a number. */
export function numberOf(text: string): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (Number.isNaN(value)) throw new InvalidArgumentError("It is no number.");
  return value;
}

/** Collects the values of an option that may be repeated. */
export function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}
