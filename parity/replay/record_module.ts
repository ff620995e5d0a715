// Runs a model once and keeps what one module is given and gives, call by call, as the run goes.

import { HooklineError } from "../../errors/hookline_error.ts";
import { requireOptions } from "../../errors/option_names.ts";
import { openSafetensorsWriter } from "../../formats/safetensors_writer.ts";
import type { TensorWriter } from "../../formats/tensor_writer.ts";
import type { GraphModule } from "../../graph/graph_module.ts";
import { type ForwardCall, ModelHook } from "../../hooks/model_hook.ts";
import type { ModelSource } from "../../pipeline/model_structure.ts";
import { ModuleFinder } from "../../pipeline/module_finder.ts";
import { openModel, type OpenOptions } from "../../pipeline/open_model.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import { type FeedsOption, givenFeeds, openHost } from "../compare/open_host.ts";
import { encodeNodes, type PartHost } from "../compare/part_run.ts";
import { moduleDigest } from "./module_digest.ts";
import {
  type RecordedCall,
  type RecordingFacts,
  recordingMetadata,
  tensorName,
} from "./recording.ts";

/** Options of {@linkcode recordModule}. */
export interface RecordOptions
  extends Pick<OpenOptions, "provider" | "engine" | "optimization" | "threads"> {
  /** The module's path; a span (`h.[1-3]`) and operators (`h.0.attn::Softmax`) will do. */
  readonly module: string;
  /** The inputs, or what makes them from the inputs that the model declares. */
  readonly feeds: FeedsOption;
}

const OPTIONS: readonly (keyof RecordOptions)[] = [
  "provider",
  "engine",
  "optimization",
  "threads",
  "module",
  "feeds",
];

/**
 * Runs a model and keeps the inputs and outputs of every call of one module in a `.safetensors` file, with
 * what `replayModule` needs to run the module alone: which model, which weights, how it was run.
 *
 * The optimization level is `"disabled"` unless another one is given: only then is a module that runs
 * alone sure to give the same bits as in the whole.
 *
 * @param path The file to write; it lies at `PATH.partial` until it is complete.
 * @throws {HooklineError} MODULE_UNKNOWN, MODULE_INSIDE_BODY, CAPTURE_EMPTY for a module without a call,
 * PLAN_VALUE_TYPE when a value of the module is no plain tensor, FILE_WRITE, and what opening and running
 * a model throws.
 *
 * @example
 * ```ts ignore
 * await recordModule("bert.onnx", "layer1.safetensors", { module: "encoder.layer.1", feeds });
 * ```
 */
export async function recordModule(
  source: ModelSource,
  path: string,
  options: RecordOptions,
): Promise<RecordingFacts> {
  requireOptions("record a module", options, OPTIONS);
  const { module: modulePath, feeds: given, ...rest } = options;
  const settings: OpenOptions = { optimization: "disabled", ...rest };
  const host = await openHost(source, settings);
  const module = new ModuleFinder(host.structure).get(modulePath);
  if (module.calls.length === 0) throw neverCalled(module);
  await using model = await openModel(source, { ...settings, threads: host.settings.threads });
  const facts = await factsOf(host, module, (await model.provenance()).versions);
  const feeds = await givenFeeds(given, model.inputs);
  await using writer = await openSafetensorsWriter(path, { metadata: recordingMetadata(facts) });
  model.registry(modulePath).register(new Keep(writer));
  await model.run(feeds, { outputs: [] });
  await writer.close();
  return facts;
}

/** Writes what a call was given and gave. */
class Keep extends ModelHook {
  override readonly name = "record";
  override readonly readsInputs = true;
  readonly #writer: TensorWriter;

  constructor(writer: TensorWriter) {
    super();
    this.#writer = writer;
  }

  override async postForward(
    { callIndex }: ForwardCall,
    outputs: TensorMap,
    inputs: TensorMap | null,
  ): Promise<void> {
    for (const [side, values] of [["in", inputs ?? {}], ["out", outputs]] as const) {
      for (const [name, value] of Object.entries(values)) {
        await this.#writer.write(tensorName(callIndex, side, name), value);
      }
    }
  }
}

async function factsOf(
  host: PartHost,
  module: GraphModule,
  versions: RecordingFacts["versions"],
): Promise<RecordingFacts> {
  const { structure, engine, settings } = host;
  const calls: RecordedCall[] = [];
  for (const [call, { nodes, inputs, outputs }] of module.calls.entries()) {
    const part = await encodeNodes(host, { nodes, outputs });
    calls.push({ call, inputs, outputs, digest: moduleDigest(part) });
  }
  return {
    model: structure.skeleton.label,
    structureHash: structure.hash,
    module: module.path,
    className: module.className,
    calls,
    engine: engine.name,
    ...settings,
    versions,
  };
}

function neverCalled({ path }: GraphModule): HooklineError {
  return new HooklineError("CAPTURE_EMPTY", {
    message: `cannot record "${path}": it is never called, it only holds other modules`,
    fix: "record one of the modules in it, or the one that holds it",
    details: { module: path },
  });
}
