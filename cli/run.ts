// `hookline run MODEL`: one run, and a fingerprint of every output, so that two runs can be compared by
// their documents. It knows no plan but the cheapest.

import { Command, type CommandUnknownOpts, type OptionValues } from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { encodeNpz } from "../formats/npz.ts";
import { encodeSafetensors } from "../formats/safetensors.ts";
import { tensorDigest } from "../formats/tensor_digest.ts";
import { openModel } from "../pipeline/open_model.ts";
import type { PlanKind } from "../pipeline/plan.ts";
import type { TensorMap } from "../tensor/tensor.ts";
import type { Style } from "./_console.ts";
import { addInputOptions, chosenInputs, readInputChoice } from "./_input_options.ts";
import type { Invocation } from "./_invocation.ts";
import { addModelOptions, readModelOptions } from "./_model_options.ts";
import { writeOutput } from "./_output_file.ts";
import { addPluginOptions, attachCalled, type PluginDocument } from "./_plugin_options.ts";
import { millisecondsText, plural } from "./_units.ts";

/** What `hookline run --json` prints. */
export interface RunDocument {
  /** The outputs by name, in the model's order. */
  readonly outputs: Readonly<
    Record<string, {
      /** Element type. */
      readonly dtype: string;
      /** Dimension sizes. */
      readonly shape: readonly number[];
      /** SHA-256 of the little-endian elements; see `tensorDigest`. */
      readonly sha256: string;
    }>
  >;
  /** How the model was run. */
  readonly plan: PlanKind;
  /** The engine. */
  readonly engine: string;
  /** The execution provider. */
  readonly provider: string;
  /** Time of the run alone: the sessions were open already. */
  readonly elapsedMs: number;
  /** The plugins that were named. */
  readonly plugins: readonly PluginDocument[];
  /** How many attempts of plugins were denied. */
  readonly denied: number;
}

/** The command. */
export function runCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("run")
    .description("Runs a model once and prints the shape and the SHA-256 of every output.")
    .argument("<model>", "the .onnx file")
    .option("--out <file>", "keep the outputs in this .safetensors or .npz file");
  addPluginOptions(addModelOptions(addInputOptions(command)));
  return command.action(async (path, { out }) => {
    const values = command.opts();
    const document = await runOnce(path, { values, out, invocation });
    // Only now: closing the model may fail, and an error is a document as well.
    invocation.report({ document, text: (style) => runText(document, out, style) });
  });
}

async function runOnce(
  path: string,
  { values, out, invocation }: {
    readonly values: OptionValues;
    readonly out: string | undefined;
    readonly invocation: Invocation;
  },
): Promise<RunDocument> {
  const encode = out === undefined ? null : encoderOf(out);
  await using model = await openModel(path, readModelOptions(values));
  const feeds = await chosenInputs(readInputChoice(values), model.inputs);
  await using plugins = await attachCalled(model, values, invocation);
  invocation.progress("opening");
  await model.prepare();
  invocation.progress("running");
  const start = performance.now();
  const outputs = await model.run(feeds);
  const elapsedMs = performance.now() - start;
  if (out !== undefined && encode !== null) writeOutput(out, encode(outputs));
  return runDocument(outputs, {
    plan: model.plan().kind,
    engine: model.engine,
    provider: model.provider.name,
    elapsedMs,
    plugins: plugins.documents,
    denied: plugins.denied(),
  });
}

/** The ending of the name says the format, as it does for captures. */
function encoderOf(out: string): (outputs: TensorMap) => Uint8Array {
  if (out.endsWith(".safetensors")) return encodeSafetensors;
  if (out.endsWith(".npz")) return encodeNpz;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot keep outputs in "${out}": its ending names no format`,
    fix: "end the name in .safetensors or .npz",
    details: { option: "out", file: out },
  });
}

function runDocument(outputs: TensorMap, facts: Omit<RunDocument, "outputs">): RunDocument {
  return {
    outputs: Object.fromEntries(
      Object.entries(outputs).map((
        [name, value],
      ) => [name, { dtype: value.dtype, shape: value.shape, sha256: tensorDigest(value) }]),
    ),
    ...facts,
  };
}

function runText(document: RunDocument, out: string | undefined, style: Style): string {
  const { plan, engine, provider, elapsedMs, plugins, denied } = document;
  const outputs = Object.entries(document.outputs);
  const width = Math.max(...outputs.map(([name]) => name.length));
  return [
    `${style.bold(`${plan} plan`)} on ${provider} (${engine}) in ${millisecondsText(elapsedMs)}`,
    ...outputs.map(([name, { dtype, shape, sha256 }]) =>
      `  ${name.padEnd(width)}  ${dtype}[${shape.join(", ")}]  ${style.dim(`sha256 ${sha256}`)}`
    ),
    ...plugins.map(({ name, version, level, enforcement }) =>
      `  plugin ${name} ${version}: ${level} (${enforcement})`
    ),
    ...(denied === 0 ? [] : [style.yellow(`${plural(denied, "attempt")} denied; see --audit`)]),
    ...(out === undefined ? [] : [`${plural(outputs.length, "output")} kept in ${out}`]),
  ].join("\n");
}
