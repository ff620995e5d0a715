// The list of subcommands. Each has a file of its own, which is loaded when it is called and not before:
// `inspect` never pays for what `verify` needs. A new subcommand is one entry here and one file.

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Invocation } from "./_invocation.ts";

/** Makes the command; its action reports to the invocation. */
export type MakeCommand = (invocation: Invocation) => CommandUnknownOpts;

/** A subcommand as the list of them shows it. */
export interface Subcommand {
  /** What it is called by. */
  readonly name: string;
  /** What it does, in one line. */
  readonly summary: string;
  /** Loads its file. */
  readonly load: () => Promise<MakeCommand>;
}

/** Every subcommand, in the order in which help lists them. */
export const SUBCOMMANDS: readonly Subcommand[] = [
  {
    name: "inspect",
    summary: "show a model's modules without reading its weights",
    load: async () => (await import("./inspect.ts")).inspectCommand,
  },
  {
    name: "run",
    summary: "run a model once and print its outputs' fingerprints",
    load: async () => (await import("./run.ts")).runCommand,
  },
  {
    name: "verify",
    summary: "compare tapped and split plans with the whole model, bit by bit",
    load: async () => (await import("./verify.ts")).verifyCommand,
  },
  {
    name: "explain",
    summary: "show the plan that a call would use, and why",
    load: async () => (await import("./explain.ts")).explainCommand,
  },
  {
    name: "trace",
    summary: "run a model and write statistics of every module's output",
    load: async () => (await import("./trace.ts")).traceCommand,
  },
  {
    name: "capture",
    summary: "run a model and keep what chosen modules put out",
    load: async () => (await import("./capture.ts")).captureCommand,
  },
  {
    name: "diff",
    summary: "compare two traces and name the first module that differs",
    load: async () => (await import("./diff.ts")).diffCommand,
  },
  {
    name: "record",
    summary: "keep what one module is given and gives",
    load: async () => (await import("./record.ts")).recordCommand,
  },
  {
    name: "replay",
    summary: "run a recorded module alone and compare",
    load: async () => (await import("./replay.ts")).replayCommand,
  },
  {
    name: "sensitivity",
    summary: "rank modules by what coarser numbers in them do to the outputs",
    load: async () => (await import("./sensitivity.ts")).sensitivityCommand,
  },
  {
    name: "compare",
    summary: "compare two models and name the modules that bring an error in",
    load: async () => (await import("./compare.ts")).compareCommand,
  },
  {
    name: "report",
    summary: "draw a trace as one HTML file",
    load: async () => (await import("./report.ts")).reportCommand,
  },
  {
    name: "plugin",
    summary: "make, check, grant and list plugins, and print the flags that they need",
    load: async () => (await import("./plugin.ts")).pluginCommand,
  },
  {
    name: "completion",
    summary: "print a script that completes this command line in your shell",
    load: async () => (await import("./completion.ts")).completionCommand,
  },
  {
    name: "doctor",
    summary: "check versions, providers, permissions and the engine",
    load: async () => (await import("./doctor.ts")).doctorCommand,
  },
];
