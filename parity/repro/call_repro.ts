// Hands an error over: the smallest part of the candidate that shows it as a folder that needs nothing
// else to run. What is found is bisect's work; here are the files.

import { mkdir, readdir, readFile, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HooklineError } from "../../errors/hookline_error.ts";
import { encodeNpy } from "../../formats/npy.ts";
import { boundaryOf } from "../../graph/module_boundary.ts";
import { HOOKLINE_VERSION, runtimeVersion } from "../../host/versions.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { TensorError } from "../compare/compare_report.ts";
import { encodeNodes, type PartHost } from "../compare/part_run.ts";
import { type CompareTolerance, compareTolerance } from "../compare/tensor_error.ts";
import { bisect, type BisectOptions, type FoundGroup } from "./bisect.ts";
import { nodesBetween } from "./groups.ts";
import { type AloneModel, inlineWeights } from "./inline_weights.ts";
import { issueText } from "./issue_text.ts";
import type { ErringCall } from "./_known_values.ts";
import { sideValues } from "./_side_values.ts";
import { RUN_SCRIPT } from "./run_script.ts";

/** A call that errs, with its names. */
export interface ReproRequest extends ErringCall, BisectOptions {
  /** The module's path in the reference; `""` is the model itself. */
  readonly module: string;
  /** The class that exported it, or null. */
  readonly className: string | null;
  /** Which call of the module within the run, from 0. */
  readonly call: number;
  /** Bytes of weights that one file may hold; 2 GB when left out. */
  readonly byteLimit?: number;
}

/** What `repro.json` says that it is. */
const FORMAT = "hookline-repro";

/** What was written. */
export interface Repro {
  /** The folder. */
  readonly directory: string;
  /** The module that the part lies in. */
  readonly module: string;
  /** Nodes of the part, constant ones included. */
  readonly nodes: number;
  /** Nodes of the whole candidate, constant ones included. */
  readonly nodesOfModel: number;
  /** The part's operators in execution order. */
  readonly operators: readonly string[];
  /** True when the reference's nodes lie beside the candidate's. */
  readonly hasReference: boolean;
  /** The worst output's error; null when the part cannot run on the reference's values. */
  readonly error: TensorError | null;
}

/**
 * Writes the smallest part of a call that shows its error into a folder: `candidate.onnx`, the same of
 * the reference as `reference.onnx` where it exists, inputs and outputs as `.npy`, `run.mjs` for plain
 * onnxruntime-node, and `ISSUE.md`. An earlier repro in the folder is replaced, other files are left alone.
 *
 * @throws {HooklineError} REPRO_NOT_SHOWN when no part shows the error alone, REPRO_TOO_LARGE, FILE_WRITE,
 * and what running the reference throws.
 */
export async function writeCallRepro(request: ReproRequest, directory: string): Promise<Repro> {
  const found = await bisect(request, request);
  if (found === null) throw notShown(request);
  const files = new TensorFiles();
  const candidate = await candidateSide(request, found, files);
  const reference = await referenceSide(request, found, files);
  const outputs = found.outputs.map((output) => ({
    candidate: output.name,
    reference: output.reference,
    expected: files.add(`reference.${output.reference}`, output.referenceValue),
    candidateFile: output.candidateValue === null
      ? null
      : files.add(`candidate.${output.name}`, output.candidateValue),
    tolerance: outputTolerance(found, output),
  }));
  const { host } = request.candidate;
  const onnxruntime = await host.engine.version();
  const { provider, optimization, threads } = host.settings;
  const document = {
    format: FORMAT,
    version: 1,
    module: request.module,
    call: request.call,
    problem: found.problem,
    candidate: candidate.files,
    reference: reference?.files ?? null,
    outputs,
    sessionOptions: {
      executionProviders: [provider],
      graphOptimizationLevel: optimization,
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    },
    versions: { onnxruntime, hookline: HOOKLINE_VERSION },
  };
  const nodesOfModel = host.structure.proto.graph?.node.length ?? 0;
  const error = found.outputs[0]?.error ?? null;
  await writeFiles(directory, [
    ["candidate.onnx", candidate.model.bytes],
    ...(reference === null ? [] : [["reference.onnx", reference.model.bytes] as const]),
    ...files.entries(),
    ["repro.json", `${JSON.stringify(document, null, 2)}\n`],
    ["run.mjs", RUN_SCRIPT],
    ["package.json", packageText(onnxruntime)],
    [
      "ISSUE.md",
      issueText({
        module: request.module,
        className: request.className,
        call: request.call,
        operators: operatorsOf(host, found.nodes),
        referenceOperators: operatorsOf(request.reference.host, reference?.nodes ?? []),
        nodes: candidate.model.operators.length,
        nodesOfModel,
        referenceModel: request.reference.host.structure.skeleton.label,
        candidateModel: host.structure.skeleton.label,
        inputs: found.inputs.map(({ name, value }) => ({ name, type: typeText(value) })),
        outputs: found.outputs.map((output) => ({
          name: output.name,
          type: typeText(output.candidateValue ?? output.referenceValue),
          error: output.error,
          tolerance: outputTolerance(found, output),
        })),
        problem: found.problem,
        settings: [
          `onnxruntime-node ${onnxruntime}, provider ${provider}, optimization ${optimization}, ` +
          `${threads} ${threads === 1 ? "thread" : "threads"}`,
          `found with hookline ${HOOKLINE_VERSION} (engine ${host.engine.name}) on ${runtimeVersion()}`,
        ],
        hasReference: reference !== null,
        installs: provider === "cpu" ? "npm install --ignore-scripts" : "npm install",
      }),
    ],
  ]);
  return {
    directory,
    module: request.module,
    nodes: candidate.model.operators.length,
    nodesOfModel,
    operators: operatorsOf(host, found.nodes),
    hasReference: reference !== null,
    error,
  };
}

/** One side's part: its model, and what `repro.json` says of it. */
interface SidePart {
  readonly model: AloneModel;
  readonly nodes: readonly number[];
  readonly files: {
    readonly file: string;
    readonly inputs: readonly { readonly name: string; readonly file: string }[];
  };
}

async function candidateSide(
  { candidate: { host }, byteLimit }: ReproRequest,
  { nodes, inputs, outputs }: FoundGroup,
  files: TensorFiles,
): Promise<SidePart> {
  const part = await encodeNodes(host, {
    nodes,
    outputs: outputs.map(({ name }) => name),
    shapeOf: (name) => inputs.find((input) => input.name === name)?.value.shape,
  });
  return {
    model: inlineWeights(part, byteLimit === undefined ? {} : { byteLimit }),
    nodes,
    files: {
      file: "candidate.onnx",
      inputs: inputs.map(({ name, value }) => ({ name, file: files.add(`in.${name}`, value) })),
    },
  };
}

/** The reference's nodes that compute the same outputs from anchors; null when no node does. */
async function referenceSide(
  { reference: { host, nodes: inside, feeds }, byteLimit }: ReproRequest,
  { call, outputs }: FoundGroup,
  files: TensorFiles,
): Promise<SidePart | null> {
  const names = [...new Set(outputs.map(({ reference }) => reference))];
  const nodes = nodesBetween(host.structure.graph, names, {
    inside: new Set(inside),
    stops: new Set([...call.anchors.values(), ...call.partners.values()]),
  });
  if (nodes.length === 0) return null;
  const inputs = boundaryOf(host.structure.graph, nodes).inputs;
  const missing = inputs.filter((name) => call.values[name] === undefined);
  const values = { ...call.values, ...await sideValues(host, feeds, missing) };
  const part = await encodeNodes(host, {
    nodes,
    outputs: names,
    shapeOf: (name) => values[name]?.shape,
  });
  return {
    model: inlineWeights(part, byteLimit === undefined ? {} : { byteLimit }),
    nodes,
    files: {
      file: "reference.onnx",
      inputs: inputs.map((name) => ({
        name,
        file: files.add(`in.${name}`, values[name] as Tensor),
      })),
    },
  };
}

/** Tensors under file names that any system takes; one that both sides read is kept once. */
class TensorFiles {
  readonly #files = new Map<string, Tensor>();

  add(name: string, value: Tensor): string {
    for (const [file, known] of this.#files) if (known === value) return file;
    const plain = name.replaceAll(/[^A-Za-z0-9._-]+/g, "_").slice(0, 80);
    const file = `${String(this.#files.size).padStart(2, "0")}.${plain}.npy`;
    this.#files.set(file, value);
    return file;
  }

  entries(): (readonly [string, Uint8Array])[] {
    return [...this.#files].map(([file, value]) => [file, encodeNpy(value)]);
  }
}

function outputTolerance(
  { call }: FoundGroup,
  { referenceValue, candidateValue }: FoundGroup["outputs"][number],
): CompareTolerance {
  const { dtype } = referenceValue;
  return compareTolerance(dtype, candidateValue?.dtype ?? dtype, call.tolerance);
}

function operatorsOf({ structure: { graph } }: PartHost, nodes: readonly number[]): string[] {
  return nodes.flatMap((index) => graph.nodes[index]?.opType ?? []);
}

function typeText({ dtype, shape }: Tensor): string {
  return `${dtype}[${shape.join(", ")}]`;
}

function packageText(onnxruntime: string): string {
  const dependencies = { "onnxruntime-node": onnxruntime };
  return `${JSON.stringify({ private: true, type: "module", dependencies }, null, 2)}\n`;
}

async function writeFiles(
  directory: string,
  files: readonly (readonly [string, Uint8Array | string])[],
): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
    await removeEarlier(directory);
    for (const [name, content] of files) await writeFile(join(directory, name), content);
  } catch (cause) {
    throw new HooklineError("FILE_WRITE", {
      message: `cannot write the repro to "${directory}": ${(cause as Error).message}`,
      fix: "give a folder that this process may write to",
      details: { path: directory },
      cause,
    });
  }
}

/** What an earlier repro left would be handed over with this one. */
async function removeEarlier(directory: string): Promise<void> {
  const names = await readdir(directory);
  if (!names.includes("repro.json")) return;
  const known = await readFile(join(directory, "repro.json"), "utf8");
  if (!known.includes(`"format": "${FORMAT}"`)) return;
  for (const name of names) {
    const isOurs = /^\d\d+\.(in|reference|candidate)\..*\.npy$/.test(name) ||
      name === "reference.onnx";
    if (isOurs) await unlink(join(directory, name));
  }
}

function notShown({ module, call }: ReproRequest): HooklineError {
  return new HooklineError("REPRO_NOT_SHOWN", {
    message: `cannot reduce the error of "${module}", call ${call}: ` +
      "run alone on the reference's values, it gives what the reference gives",
    fix:
      "compare again; an error that comes and goes is in what is not repeatable, such as threads",
    details: { module, call },
  });
}
