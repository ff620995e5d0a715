// A recording: what every call of one module was given and gave in one run, as a .safetensors file whose
// metadata say of which model, which module, and how it was run. It knows no session.
//
// Invariant: a recording names everything that a replay needs but the model itself.

import { HooklineError } from "../../errors/hookline_error.ts";
import { openSafetensors, type SafetensorsFile } from "../../formats/safetensors_file.ts";
import { emptyTensorMap, type TensorMap } from "../../tensor/tensor.ts";

/** One recorded call. */
export interface RecordedCall {
  /** Which call of the module within the run, from 0. */
  readonly call: number;
  /** Names of its inputs, in the module's order. */
  readonly inputs: readonly string[];
  /** Names of its outputs. */
  readonly outputs: readonly string[];
  /** sha256 of its nodes and of every element of its weights, in hex. */
  readonly digest: string;
}

/** What a recording's metadata say. */
export interface RecordingFacts {
  /** The model's file name. */
  readonly model: string;
  /** sha256 of the model's structure, in hex. */
  readonly structureHash: string;
  /** The module's path. */
  readonly module: string;
  /** The class that exported it, or null. */
  readonly className: string | null;
  /** Its calls, in execution order. */
  readonly calls: readonly RecordedCall[];
  /** The engine. */
  readonly engine: string;
  /** The execution provider. */
  readonly provider: string;
  /** How far ONNX Runtime was allowed to rewrite the graph. */
  readonly optimization: string;
  /** Threads that compute one operator. */
  readonly threads: number;
  /** Versions of Hookline, ONNX Runtime and what ran both. */
  readonly versions: Readonly<Record<string, string>>;
}

/** The metadata entry that makes a .safetensors file a recording. */
export const RECORDING_KEY = "hookline_recording";
const FORMAT = 1;

/** The metadata of a recording's file. */
export function recordingMetadata(facts: RecordingFacts): Readonly<Record<string, string>> {
  return { [RECORDING_KEY]: JSON.stringify({ format: FORMAT, ...facts }) };
}

/** The name of a tensor in the file. */
export function tensorName(call: number, side: "in" | "out", value: string): string {
  return `${call}/${side}/${value}`;
}

/** An open recording. */
export interface Recording extends AsyncDisposable {
  /** What its metadata say. */
  readonly facts: RecordingFacts;
  /** What a call was given. */
  inputs(call: RecordedCall): Promise<TensorMap>;
  /** What it gave. */
  outputs(call: RecordedCall): Promise<TensorMap>;
}

/**
 * Opens a recording; tensors are read when they are asked for.
 *
 * @throws {HooklineError} FILE_READ, FILE_FORMAT; RECORDING_INVALID for a .safetensors file that is no
 * recording, or lacks tensors that it names.
 */
export async function openRecording(path: string): Promise<Recording> {
  const file = await openSafetensors(path);
  try {
    const facts = readFacts(file, path);
    const read = async (
      { call }: RecordedCall,
      side: "in" | "out",
      names: readonly string[],
    ): Promise<TensorMap> => {
      const found = emptyTensorMap();
      for (const name of names) found[name] = await file.read(tensorName(call, side, name));
      return found;
    };
    return {
      facts,
      inputs: (call) => read(call, "in", call.inputs),
      outputs: (call) => read(call, "out", call.outputs),
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function readFacts(file: SafetensorsFile, path: string): RecordingFacts {
  const text = file.metadata[RECORDING_KEY];
  if (text === undefined) throw invalid(path, "it is a .safetensors file of something else");
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw invalid(path, "its metadata are damaged");
  }
  const format = (parsed as { readonly format?: unknown } | null)?.format;
  if (format !== FORMAT) throw invalid(path, `it has the format ${String(format)}, not ${FORMAT}`);
  if (!isFacts(parsed)) throw invalid(path, "its metadata are incomplete");
  const names = new Set(file.entries.map(({ name }) => name));
  const missing = parsed.calls.flatMap(({ call, inputs, outputs }) => [
    ...inputs.map((name) => tensorName(call, "in", name)),
    ...outputs.map((name) => tensorName(call, "out", name)),
  ]).filter((name) => !names.has(name));
  if (missing.length > 0) throw invalid(path, `it lacks the tensor "${missing[0]}"`);
  return parsed;
}

function isFacts(value: unknown): value is RecordingFacts {
  const facts = value as Partial<Record<keyof RecordingFacts, unknown>>;
  const texts = [
    facts.model,
    facts.structureHash,
    facts.module,
    facts.optimization,
    facts.provider,
  ];
  return texts.every((text) => typeof text === "string") && typeof facts.threads === "number" &&
    Array.isArray(facts.calls) && facts.calls.every(isCall);
}

function isCall(value: unknown): value is RecordedCall {
  const call = value as Partial<Record<keyof RecordedCall, unknown>> | null;
  const areTexts = (list: unknown): boolean =>
    Array.isArray(list) && list.every((text) => typeof text === "string");
  return typeof call === "object" && call !== null && Number.isSafeInteger(call.call) &&
    areTexts(call.inputs) && areTexts(call.outputs) && typeof call.digest === "string";
}

function invalid(path: string, why: string): HooklineError {
  return new HooklineError("RECORDING_INVALID", {
    message: `cannot use "${path}" as a recording: ${why}`,
    fix: "record the module again, with `hookline record` or recordModule",
    details: { path },
  });
}
