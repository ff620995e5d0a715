// `hookline replay MODEL RECORDING`: runs a recorded module alone and says whether it gives what it gave.
// The replay itself is parity/replay/replay_module.ts.

import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { type Replay, type ReplayedOutput, replayModule } from "../parity/replay/replay_module.ts";
import type { Style } from "./_console.ts";
import type { Invocation } from "./_invocation.ts";
import { addModelOptions, readModelOptions } from "./_model_options.ts";
import { plural } from "./_units.ts";

/** Options that are as they were recorded unless they are given. */
const RECORDED = ["provider", "engine", "optimization", "threads"] as const;

/** The command. */
export function replayCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("replay")
    .description(
      "Runs a module alone on the inputs that `hookline record` kept, the rest of the model left out, " +
        "and compares with what it gave then. Provider, optimization and threads are those of the " +
        "recording unless they are given.",
    )
    .argument("<model>", "the .onnx file")
    .argument("<recording>", "the file of `hookline record`")
    .option("--other-model", "allow another model, or other weights, than those recorded")
    .option("--module <path>", "the module's path where the other model calls it otherwise");
  addModelOptions(command);
  return command.action(async (path, recording, { otherModel, module }) => {
    const settings = readModelOptions(command.opts());
    const given = Object.fromEntries(
      RECORDED.filter((name) =>
        (command as CommandUnknownOpts).getOptionValueSource(name) === "cli"
      ).map((name) => [name, settings[name]]),
    );
    invocation.progress("replaying");
    const replay = await replayModule(path, recording, {
      ...given,
      ...(otherModel === undefined ? {} : { otherModel }),
      ...(module === undefined ? {} : { module }),
    });
    invocation.report({
      document: replayDocument(replay),
      text: (style) => replayText(replay, style),
      status: replay.status === "differs" ? 1 : 0,
    });
  });
}

function replayDocument({ calls, ...facts }: Replay): object {
  return {
    ...facts,
    calls: calls.map(({ call, outputs }) => ({
      call,
      outputs: outputs.map(({ name, isExact, error, value: { dtype, shape } }) => ({
        name,
        dtype,
        shape,
        isExact,
        error,
      })),
    })),
  };
}

function replayText(replay: Replay, style: Style): string {
  const { status, module, calls, engine, provider, optimization } = replay;
  const color = status === "differs" ? style.red : status === "exact" ? style.green : style.yellow;
  const outputs = calls.flatMap((call) => call.outputs);
  return [
    `${style.bold(color(status))}  ${module}`,
    `  run       ${provider} (${engine}), optimization ${optimization}`,
    `  recorded  ${replay.recording.model}, optimization ${replay.recording.optimization}`,
    `  compared  ${plural(outputs.length, "output")} of ${plural(calls.length, "call")}`,
    ...calls.flatMap(({ call, outputs }) =>
      outputs.filter(({ isExact }) => !isExact).map((output) => `  ${differenceText(call, output)}`)
    ),
  ].join("\n");
}

function differenceText(call: number, { name, error }: ReplayedOutput): string {
  return `differs   call ${call}, ${name}: ${plural(error.differing, "element")} off by at most ` +
    `${Number(error.maxAbs.toPrecision(3))} (${Number(error.ratio.toPrecision(3))} x tolerated)`;
}
