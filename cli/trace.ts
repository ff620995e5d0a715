// `hookline trace MODEL`: runs a model under the activation trace and says what was written. The options
// mean what the plugin's environment variables mean; it knows nothing of how a record looks.

import { readFileSync } from "node:fs";
import { Command, type CommandUnknownOpts, type OptionValues } from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { traceStep } from "../hooks/forward_context.ts";
import { openModel } from "../pipeline/open_model.ts";
import { activationTrace, type LabelMap } from "../plugins/activation_trace/mod.ts";
import { addInputOptions, chosenInputs, readInputChoice } from "./_input_options.ts";
import type { Invocation } from "./_invocation.ts";
import { addModelOptions, readModelOptions } from "./_model_options.ts";
import { plural } from "./_units.ts";

/** What `hookline trace --json` prints. */
export interface TraceDocument {
  /** How many records were written. */
  readonly records: number;
  /** How many modules were traced. */
  readonly modules: number;
  /** The file, absolute. */
  readonly output: string;
}

interface TraceOptions {
  readonly output?: string;
  readonly layers?: string;
  readonly stats?: string;
  readonly steps?: string;
  readonly labels?: string;
  readonly append?: true;
  readonly moduleInputs?: true;
  readonly fileHash?: true;
  readonly header: boolean;
}

/** The command. */
export function traceCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("trace")
    .description("Runs a model and writes statistics of every module's output as JSON lines.")
    .argument("<model>", "the .onnx file")
    .option("--output <file>", "where to write; <pid> in it becomes the process id")
    .option("--layers <expression>", "trace modules whose path this regular expression finds")
    .option("--stats <names>", 'statistics, such as "abs_mean,sum,max"')
    .option("--steps <numbers>", "run once for each of these steps and mark the records with it")
    .option("--labels <file>", "a JSON file with labels for outputs that are nested in PyTorch")
    .option("--module-inputs", "trace what goes into the modules too")
    .option("--append", "keep what the file holds already")
    .option("--file-hash", "put the sha256 of the whole model file into the header")
    .option("--no-header", "leave the header line out");
  addModelOptions(addInputOptions(command));
  return command.action(async (path) => {
    const document = await trace(path, command.opts(), invocation);
    const { records, modules, output } = document;
    invocation.report({
      document,
      text: (style) =>
        `${style.bold(plural(records, "record"))} of ${plural(modules, "module")} in ${output}`,
    });
  });
}

async function trace(
  path: string,
  values: OptionValues,
  invocation: Invocation,
): Promise<TraceDocument> {
  const options = values as unknown as TraceOptions;
  const { layers = "", stats = "", steps = "", output = "" } = options;
  const plugin = activationTrace({
    name: "activation-trace-command",
    layers,
    stats,
    steps,
    output,
    mode: options.append ? "append" : "new",
    header: options.header,
    inputs: options.moduleInputs ?? false,
    fileHash: options.fileHash ?? false,
    ...(options.labels === undefined ? {} : { labels: readLabels(options.labels) }),
  });
  await using model = await openModel(path, readModelOptions(values));
  const feeds = await chosenInputs(readInputChoice(values), model.inputs);
  await using attached = plugin.attach(model, { modelName: model.label });
  if (attached === undefined) {
    throw new HooklineError("HOOK_MATCH_EMPTY", {
      message: `cannot trace "${model.label}": it has no modules`,
      fix: "see what `hookline inspect` finds in it",
      details: { nearest: [] },
    });
  }
  invocation.progress("running");
  if (steps.trim() === "") await model.run(feeds);
  else {
    for (const step of steps.split(",").filter((item) => item.trim() !== "")) {
      await traceStep(Number(step), () => model.run(feeds));
    }
  }
  // Before the report: closing the file may fail, and an error is a document as well.
  await attached.detach();
  return { records: attached.recordCount, modules: attached.modules.length, output: attached.path };
}

function readLabels(path: string): LabelMap {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new HooklineError("FILE_READ", {
      message: `cannot read the labels "${path}": ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      fix: "give a JSON file that maps modules to lists of labels",
      details: { file: path },
      cause,
    });
  }
  try {
    const labels: unknown = JSON.parse(text);
    if (typeof labels === "object" && labels !== null && !Array.isArray(labels)) {
      return labels as LabelMap;
    }
  } catch {
    // Said below, like every other text that is no map.
  }
  throw new HooklineError("FILE_FORMAT", {
    message: `cannot use the labels "${path}": they are no JSON object`,
    fix: 'write {"transformer.h.*": ["out[1][0]", "out[1][1]", "out[0]"]}',
    details: { file: path },
  });
}
