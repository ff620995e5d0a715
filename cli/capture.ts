// `hookline capture MODEL --select KEY=PATTERN`: one run, and what the chosen modules put out, as shapes
// on standard output and as values in a file. It records exactly what the patterns name, no more.

import {
  Command,
  type CommandUnknownOpts,
  Option,
  type OptionValues,
} from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { openModel } from "../pipeline/open_model.ts";
import { outputCapture, OutputRecorder } from "../plugins/output_capture/mod.ts";
import type { Style } from "./_console.ts";
import { addInputOptions, chosenInputs, readInputChoice } from "./_input_options.ts";
import type { Invocation } from "./_invocation.ts";
import { addModelOptions, collect, readModelOptions } from "./_model_options.ts";
import { plural } from "./_units.ts";

/** What `hookline capture --json` prints. */
export interface CaptureDocument {
  /** What was captured by key, in the order in which the model computed it. */
  readonly captures: Readonly<
    Record<
      string,
      readonly {
        /** The module's path. */
        readonly module: string;
        /** Element type. */
        readonly dtype: string;
        /** Dimension sizes. */
        readonly shape: readonly number[];
        /** What the file calls it. */
        readonly tensor: string;
      }[]
    >
  >;
  /** The file with the values; null when none was asked for. */
  readonly out: string | null;
}

/** The command. */
export function captureCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("capture")
    .description("Runs a model once and captures what chosen modules put out.")
    .argument("<model>", "the .onnx file")
    .addOption(
      new Option(
        "--select <KEY=PATTERN>",
        "the modules of a key, such as hidden='encoder.layer.*'; PATTERN::Softmax names operators; repeatable",
      ).argParser(collect),
    )
    .option("--out <file>", "keep the values in this .safetensors or .npz file")
    .option("--module-inputs", "capture what goes into the modules instead")
    .option("--stop", "do not run what lies behind the last captured module");
  addModelOptions(addInputOptions(command));
  return command.action(async (path) => {
    const document = await capture(path, command.opts(), invocation);
    invocation.report({ document, text: (style) => captureText(document, style) });
  });
}

interface CaptureValues {
  readonly select?: readonly string[];
  readonly out?: string;
  readonly moduleInputs?: true;
  readonly stop?: true;
}

async function capture(
  path: string,
  values: OptionValues,
  invocation: Invocation,
): Promise<CaptureDocument> {
  const { select = [], out, moduleInputs, stop } = values as CaptureValues;
  const keys = readKeys(select, moduleInputs === true ? "input" : "output");
  await using model = await openModel(path, readModelOptions(values));
  await using captured = outputCapture<string>(model, { keys, tieLastHiddenStates: false });
  const want = Object.fromEntries(Object.keys(keys).map((key) => [key, true]));
  for (const key of Object.keys(keys)) captured.positions(key); // wrong patterns before any input is read
  const feeds = await chosenInputs(readInputChoice(values), model.inputs);
  invocation.progress("running");
  const { records } = await captured.run(feeds, want, {
    keep: false,
    stop: stop === true,
    ...out === undefined ? {} : { to: out },
  });
  return {
    captures: Object.fromEntries(
      Object.keys(keys).map((key) => [
        key,
        records.filter((record) => record.key === key).map(({ module, dtype, shape, name }) => ({
          module,
          dtype,
          shape,
          tensor: name,
        })),
      ]),
    ),
    out: out ?? null,
  };
}

function readKeys(
  texts: readonly string[],
  of: "input" | "output",
): Readonly<Record<string, OutputRecorder>> {
  if (texts.length === 0) {
    throw usage("capture without --select", "name modules: --select hidden='encoder.layer.*'");
  }
  const patterns = new Map<string, string[]>();
  for (const text of texts) {
    const at = text.indexOf("=");
    if (at < 1) throw usage(`--select "${text}"`, "write --select KEY=PATTERN");
    const key = text.slice(0, at);
    patterns.set(key, [...patterns.get(key) ?? [], text.slice(at + 1)]);
  }
  const recorderOf = (targets: readonly string[]): OutputRecorder => {
    const [only] = targets;
    const target = only !== undefined && targets.length === 1 ? only : targets;
    return new OutputRecorder({ target, index: "*", firstInput: false, of });
  };
  return Object.fromEntries([...patterns].map(([key, targets]) => [key, recorderOf(targets)]));
}

function captureText({ captures, out }: CaptureDocument, style: Style): string {
  const lists = Object.entries(captures);
  const count = lists.reduce((sum, [, list]) => sum + list.length, 0);
  return [
    ...lists.flatMap(([key, list]) => [
      style.bold(key),
      ...list.map(({ tensor, dtype, shape }) =>
        `  ${tensor.slice(key.length + 1)}  ${style.dim(`${dtype}[${shape.join(", ")}]`)}`
      ),
    ]),
    `${plural(count, "tensor")}${out === null ? "" : ` kept in ${out}`}`,
  ].join("\n");
}

function usage(what: string, fix: string): HooklineError {
  return new HooklineError("CLI_USAGE", { message: `cannot use ${what}`, fix });
}
