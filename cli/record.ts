// `hookline record MODEL MODULE`: keeps what one module is given and gives, so that it can be run again
// alone with `hookline replay`. The recording itself is parity/replay/record_module.ts.

import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { recordModule } from "../parity/replay/record_module.ts";
import type { RecordingFacts } from "../parity/replay/recording.ts";
import { addInputOptions, chosenInputs, readInputChoice } from "./_input_options.ts";
import type { Invocation } from "./_invocation.ts";
import { addModelOptions, readModelOptions } from "./_model_options.ts";
import { plural } from "./_units.ts";

/** What `hookline record --json` prints. */
export interface RecordDocument extends RecordingFacts {
  /** The file that was written. */
  readonly recording: string;
}

/** The command. */
export function recordCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("record")
    .description(
      "Runs a model once and keeps the inputs and outputs of every call of one module, to run the " +
        "module alone with `hookline replay`. Without optimization, unless told otherwise: then it " +
        "gives the same bits alone.",
    )
    .argument("<model>", "the .onnx file")
    .argument("<module>", "the module's path, as `hookline inspect` lists it")
    .requiredOption("--out <file>", "the .safetensors file to write");
  addModelOptions(addInputOptions(command));
  (command as CommandUnknownOpts).setOptionValueWithSource("optimization", "disabled", "default");
  return command.action(async (path, module, { out }) => {
    const values = command.opts();
    const choice = readInputChoice(values);
    const { idleByteBudget: _, ...settings } = readModelOptions(values);
    invocation.progress(`recording ${module}`);
    const facts = await recordModule(path, out, {
      ...settings,
      module,
      feeds: (declared) => chosenInputs(choice, declared),
    });
    const document: RecordDocument = { recording: out, ...facts };
    invocation.report({
      document,
      text: (style) =>
        [
          style.bold(out),
          `  module    ${facts.module}${facts.className === null ? "" : ` (${facts.className})`}`,
          `  calls     ${plural(facts.calls.length, "call")}`,
          `  run       ${facts.provider} (${facts.engine}), optimization ${facts.optimization}`,
          `  replay    hookline replay ${path} ${out}`,
        ].join("\n"),
    });
  });
}
