// Runs a recorded module alone on what it was given, and holds what comes out against what it gave. The
// rest of the model does not run.

import { HooklineError } from "../../errors/hookline_error.ts";
import { requireOptions } from "../../errors/option_names.ts";
import type { ModelSource } from "../../pipeline/model_structure.ts";
import { ModuleFinder } from "../../pipeline/module_finder.ts";
import type { OpenOptions } from "../../pipeline/open_model.ts";
import type { OptimizationLevel } from "../../sessions/engine.ts";
import { emptyTensorMap, type Tensor, tensorBytes, type TensorMap } from "../../tensor/tensor.ts";
import { castTensor } from "../compare/cast_tensor.ts";
import type { TensorError } from "../compare/compare_report.ts";
import { openHost } from "../compare/open_host.ts";
import { encodeNodes, openPart, type PartHost, type PartModel } from "../compare/part_run.ts";
import { tensorError } from "../compare/tensor_error.ts";
import { moduleDigest } from "./module_digest.ts";
import {
  openRecording,
  type RecordedCall,
  type Recording,
  type RecordingFacts,
} from "./recording.ts";

/** Options of {@linkcode replayModule}; what is left out is as it was recorded. */
export interface ReplayOptions
  extends Pick<OpenOptions, "provider" | "engine" | "optimization" | "threads"> {
  /**
   * True to run the module of this path in another model, or with other weights, on the recorded inputs:
   * values are then matched by position.
   */
  readonly otherModel?: boolean;
  /** The module's path where the other model calls it otherwise. */
  readonly module?: string;
}

const OPTIONS: readonly (keyof ReplayOptions)[] = [
  "provider",
  "engine",
  "optimization",
  "threads",
  "otherModel",
  "module",
];

/** One output of a replayed call. */
export interface ReplayedOutput {
  /** The value's name in the recording. */
  readonly name: string;
  /** True when every bit is as it was recorded. */
  readonly isExact: boolean;
  /** How far it is from what was recorded. */
  readonly error: TensorError;
  /** What came out now. */
  readonly value: Tensor;
}

/** One replayed call. */
export interface ReplayedCall {
  /** Which call of the module within the run, from 0. */
  readonly call: number;
  /** Its outputs, in the module's order. */
  readonly outputs: readonly ReplayedOutput[];
}

/** What a replay gave. */
export interface Replay {
  /** The worst of all outputs; within tolerance is |a − b| ≤ atol + rtol · max|recorded|, by dtype. */
  readonly status: "exact" | "within tolerance" | "differs";
  /** The path of the module that ran. */
  readonly module: string;
  /** Its calls, in execution order. */
  readonly calls: readonly ReplayedCall[];
  /** What the recording says of itself. */
  readonly recording: RecordingFacts;
  /** The engine that the module ran on now. */
  readonly engine: string;
  /** The execution provider that it ran on now. */
  readonly provider: string;
  /** How far ONNX Runtime was allowed to rewrite it now. */
  readonly optimization: OptimizationLevel;
  /** Threads that computed one operator now. */
  readonly threads: number;
}

/**
 * Runs a recorded module alone on its recorded inputs: bit for bit as recorded when both ran at
 * optimization `"disabled"` on the CPU.
 *
 * @throws {HooklineError} RECORDING_MISMATCH for another model or other weights, unless `otherModel`;
 * RECORDING_INVALID, FILE_READ or FILE_FORMAT for a damaged file; MODULE_UNKNOWN; and what opening and
 * running a part of a model throws.
 *
 * @example
 * ```ts ignore
 * const { status } = await replayModule("bert.onnx", "layer1.safetensors");
 * console.log(status); // exact
 * ```
 */
export async function replayModule(
  source: ModelSource,
  path: string,
  options: ReplayOptions = {},
): Promise<Replay> {
  requireOptions("replay a module", options, OPTIONS);
  await using recording = await openRecording(path);
  const { facts } = recording;
  const { otherModel = false, module: modulePath = facts.module, ...rest } = options;
  const host = await openHost(source, { ...recordedSettings(facts), ...rest });
  if (!otherModel && host.structure.hash !== facts.structureHash) {
    throw mismatch(facts, `"${host.structure.skeleton.label}" has another structure`);
  }
  const module = new ModuleFinder(host.structure).get(modulePath);
  const calls: ReplayedCall[] = [];
  for (const recorded of facts.calls) {
    const call = module.calls[recorded.call];
    if (call === undefined) {
      throw mismatch(facts, `the module is called ${module.calls.length} times`);
    }
    // Sizes do not enter the digest, so this part declares those of the file.
    const part = await encodeNodes(host, { nodes: call.nodes, outputs: call.outputs });
    if (!otherModel && moduleDigest(part) !== recorded.digest) {
      throw mismatch(facts, "the module's weights are others");
    }
    const outputs = await runAlone(host, part, await feedsOf(recording, recorded, part));
    calls.push({ call: recorded.call, outputs: await judge(recording, recorded, outputs) });
  }
  return {
    status: statusOf(calls),
    module: module.path,
    calls,
    recording: facts,
    engine: host.engine.name,
    ...host.settings,
  };
}

function recordedSettings({ provider, optimization, threads }: RecordingFacts): OpenOptions {
  return {
    provider: provider as NonNullable<OpenOptions["provider"]>,
    optimization: optimization as OptimizationLevel,
    threads,
  };
}

async function feedsOf(
  recording: Recording,
  recorded: RecordedCall,
  part: PartModel,
): Promise<TensorMap> {
  const values = await recording.inputs(recorded);
  if (part.inputs.size !== recorded.inputs.length) {
    throw mismatch(
      recording.facts,
      `the module takes ${part.inputs.size} values, ${recorded.inputs.length} were recorded`,
    );
  }
  const feeds = emptyTensorMap();
  // Both list a call's inputs in order of first use.
  for (const [index, [name, { dtype }]] of [...part.inputs].entries()) {
    const value = values[recorded.inputs[index] as string] as Tensor;
    feeds[name] = castTensor(value, dtype) ?? value;
  }
  return feeds;
}

async function runAlone(
  host: PartHost,
  { nodes, outputs }: PartModel,
  feeds: TensorMap,
): Promise<readonly Tensor[]> {
  const part = await openPart(host, { nodes, outputs, shapeOf: (name) => feeds[name]?.shape });
  try {
    const found = await part.run(feeds);
    return outputs.map((name) => found[name] as Tensor);
  } finally {
    await part.release();
  }
}

async function judge(
  recording: Recording,
  recorded: RecordedCall,
  found: readonly Tensor[],
): Promise<ReplayedOutput[]> {
  if (found.length !== recorded.outputs.length) {
    throw mismatch(
      recording.facts,
      `the module gives ${found.length} values, ${recorded.outputs.length} were recorded`,
    );
  }
  const wanted = await recording.outputs(recorded);
  return recorded.outputs.map((name, index) => {
    const [given, value] = [wanted[name] as Tensor, found[index] as Tensor];
    return { name, isExact: isSameTensor(given, value), error: tensorError(given, value), value };
  });
}

function isSameTensor(left: Tensor, right: Tensor): boolean {
  if (left.dtype !== right.dtype || String(left.shape) !== String(right.shape)) return false;
  if (left.dtype === "string") {
    return left.data.every((text, index) => text === right.data[index]);
  }
  const [bytes, others] = [tensorBytes(left), tensorBytes(right)];
  return bytes.length === others.length && bytes.every((byte, index) => byte === others[index]);
}

function statusOf(calls: readonly ReplayedCall[]): Replay["status"] {
  const outputs = calls.flatMap((call) => call.outputs);
  if (outputs.every(({ isExact }) => isExact)) return "exact";
  return outputs.every(({ isExact, error }) => isExact || error.ratio <= 1)
    ? "within tolerance"
    : "differs";
}

function mismatch({ model, module }: RecordingFacts, why: string): HooklineError {
  return new HooklineError("RECORDING_MISMATCH", {
    message: `cannot replay "${module}" of "${model}": ${why}`,
    fix: "replay it on the model that it was recorded of, or allow another one with otherModel " +
      "(--other-model)",
    details: { model, module },
  });
}
