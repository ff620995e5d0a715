// `hookline inspect MODEL`: what is in a model, from its structure alone. It loads no ONNX Runtime and
// reads no weight, so that a model of any size is shown at once.

import { resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { blockIds } from "../graph/equal_blocks.ts";
import type { EvidenceCounts, GraphModule } from "../graph/graph_module.ts";
import { modelLevels } from "../graph/naming_evidence.ts";
import { ModelStructure } from "../pipeline/model_structure.ts";
import type { ValueSpec } from "../sessions/engine.ts";
import { inspectText } from "./_inspect_text.ts";
import type { Invocation } from "./_invocation.ts";
import { Weights } from "./_weights.ts";

/** An input or output as a document shows it. */
export type ValueDocument = Pick<ValueSpec, "name" | "dtype" | "shape">;

/** One module of {@linkcode InspectDocument}. */
export interface ModuleDocument {
  /** Dotted path; `""` is the model itself. */
  readonly path: string;
  /** Class name where the file has one. */
  readonly class: string | null;
  /** How often it is called; 0 for a list of modules, which is never called itself. */
  readonly calls: number;
  /** Live nodes of all calls. */
  readonly nodes: number;
  /** Elements of the weights that it uses, those of modules inside it included, each weight once. */
  readonly parameters: number;
  /** Bytes of these weights. */
  readonly parameterBytes: number;
  /** Values that enter it, over all calls, each once. */
  readonly inputs: readonly string[];
  /** Values that leave it, over all calls, each once. */
  readonly outputs: readonly string[];
  /** Whether hooks may change, replace or skip it. */
  readonly cuttable: boolean;
  /** Why not, or what is uncertain about it. */
  readonly reason: string | null;
  /** Equal for modules of equal structure; null when no other module is like it. */
  readonly block: string | null;
}

/** What `hookline inspect --json` prints. */
export interface InspectDocument {
  /** The model as a whole. */
  readonly model: {
    /** Absolute path of the file. */
    readonly path: string;
    /** Version of the ONNX format. */
    readonly irVersion: number;
    /** Versions of operator sets by domain. */
    readonly opsets: Readonly<Record<string, number>>;
    /** Name and version of what wrote the file. */
    readonly producer: string;
    /** Bytes of the `.onnx` file. */
    readonly fileBytes: number;
    /** Bytes of all weights, wherever they lie. */
    readonly weightBytes: number;
    /** How many tensors these are. */
    readonly weightTensors: number;
    /** Nodes of all levels, constants included, functions inlined. */
    readonly nodes: number;
    /** What must be fed. */
    readonly inputs: readonly ValueDocument[];
    /** What comes out. */
    readonly outputs: readonly ValueDocument[];
  };
  /** All modules in execution order, the model itself first. */
  readonly modules: readonly ModuleDocument[];
  /** Live nodes by what named them. */
  readonly evidence: EvidenceCounts;
}

/** The command. */
export function inspectCommand(invocation: Invocation): CommandUnknownOpts {
  return new Command("inspect")
    .description(
      "Shows a model's inputs, outputs and modules. Reads its structure and none of its weights.",
    )
    .argument("<model>", "the .onnx file")
    .option("--json", "print one JSON document on standard output and nothing else")
    .action((path) => {
      const structure = new ModelStructure(path);
      const document = inspectDocument(structure, path);
      invocation.report({
        document,
        text: (style) => inspectText(document, structure.tree.modules, style),
      });
    });
}

/** Describes a model. `path` is what to call it. */
export function inspectDocument(structure: ModelStructure, path: string): InspectDocument {
  const { tree, graph, skeleton } = structure;
  const blocks = blockIds(tree, graph);
  const weights = new Weights(graph);
  const all = weights.all(tree.modules);
  const { irVersion, opsetImport, producerName, producerVersion } = skeleton.model;
  return {
    model: {
      path: resolve(path),
      irVersion: Number(irVersion),
      opsets: Object.fromEntries(
        opsetImport.map(({ domain, version }) => [domain || "ai.onnx", Number(version)]),
      ),
      producer: `${producerName} ${producerVersion}`.trim(),
      fileBytes: skeleton.fileByteLength,
      weightBytes: all.bytes,
      weightTensors: all.tensors,
      nodes: modelLevels(graph).reduce((sum, level) => sum + level.graph.nodes.length, 0),
      inputs: structure.inputs.map(valueDocument),
      outputs: structure.outputs.map(valueDocument),
    },
    modules: tree.modules.map((module) =>
      moduleDocument(module, weights, blocks.get(module.path) ?? null)
    ),
    evidence: tree.evidence,
  };
}

function valueDocument({ name, dtype, shape }: ValueSpec): ValueDocument {
  return { name, dtype, shape };
}

function moduleDocument(
  module: GraphModule,
  weights: Weights,
  block: string | null,
): ModuleDocument {
  const { elements, bytes } = weights.of(module.parameters);
  const { calls } = module;
  return {
    path: module.path,
    class: module.className,
    calls: calls.length,
    nodes: calls.reduce((sum, call) => sum + call.nodes.length, 0),
    parameters: elements,
    parameterBytes: bytes,
    inputs: [...new Set(calls.flatMap((call) => call.inputs))],
    outputs: [...new Set(calls.flatMap((call) => call.outputs))],
    cuttable: module.isCuttable,
    reason: module.reason,
    block,
  };
}
