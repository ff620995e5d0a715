// The models that faults and harmless rewrites are seeded into: the four torch fixtures and a small
// benchmark transformer, each with the inputs that it is compared on, its structure, and the value of
// every live tensor in a plain run. Loaded once a process.

import { readFileSync } from "node:fs";
import { create, fromBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, ValueInfoProtoSchema } from "onnx-buf";
import { transformerBytes } from "../../bench/transformer_model.ts";
import { decodeNpy } from "../../formats/npy.ts";
import type { GraphModule, ModuleCall } from "../../graph/graph_module.ts";
import type { GraphNode } from "../../graph/model_graph.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";
import { fixturePath, readFixture } from "./fixture_path.ts";
import { modelBytes } from "./build_model.ts";
import { plainRun } from "./plain_run.ts";

/** A model that is altered, and what it is run on. */
export interface SubjectModel {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly feeds: TensorMap;
  readonly structure: ModelStructure;
  /** Every value that depends on an input, from a plain run without optimisation, the inputs among them. */
  readonly values: TensorMap;
}

/** Where a live node lies. */
export interface NodeOwner {
  readonly module: GraphModule;
  readonly call: ModuleCall;
}

/** The names of the subjects. */
export const SUBJECT_NAMES: readonly string[] = [
  "bert",
  "gpt2_past",
  "unet",
  "vit",
  "transformer",
];

const loaded = new Map<string, Promise<SubjectModel>>();

/** Loads a subject, or gives the one loaded before; besides the names above, a folder of tests/fixtures. */
export function subjectModel(name: string): Promise<SubjectModel> {
  const known = loaded.get(name) ?? loadSubject(name);
  loaded.set(name, known);
  return known;
}

async function loadSubject(name: string): Promise<SubjectModel> {
  if (name === "transformer") {
    return await subjectOf(name, transformer(), { input_ids: tokens() });
  }
  const folder = name.includes("/") ? name : `torch/${name}`;
  const bytes = readFixture(folder, "model.onnx");
  return await subjectOf(name, bytes, fixtureFeeds(folder, new ModelStructure(bytes)));
}

/** Any model as a subject: runs it once for the values of its live tensors. */
export async function subjectOf(
  name: string,
  bytes: Uint8Array,
  feeds: TensorMap,
): Promise<SubjectModel> {
  const structure = new ModelStructure(bytes);
  const tapped = decodeModel(bytes);
  const outputs = new Set(tapped.graph?.output.map((output) => output.name));
  for (const node of structure.graph.nodes) {
    if (node.isConstant) continue;
    for (const value of node.outputs) {
      if (value === "" || outputs.has(value)) continue;
      // A name alone: ONNX Runtime infers the type.
      tapped.graph?.output.push(create(ValueInfoProtoSchema, { name: value }));
    }
  }
  const values = { ...feeds, ...await plainRun(modelBytes(tapped), feeds) };
  return { name, bytes, feeds, structure, values };
}

function transformer(): Uint8Array {
  return transformerBytes({ blocks: 3, width: 32, heads: 4, mlpRatio: 2, vocabulary: 64 });
}

function tokens(): Tensor {
  const data = BigInt64Array.from({ length: 18 }, (_, index) => BigInt((index * 29 + 5) % 64));
  return { dtype: "int64", shape: [2, 9], data };
}

function fixtureFeeds(folder: string, { inputs }: ModelStructure): TensorMap {
  return Object.fromEntries(inputs.map((input) => {
    const file = `in.${input.name}.npy`;
    return [input.name, decodeNpy(readFileSync(fixturePath(folder, file)), file)];
  }));
}

/** A fresh message of a model's bytes, to be changed. */
export function decodeModel(bytes: Uint8Array): ModelProto {
  return fromBinary(ModelProtoSchema, bytes.slice());
}

/** The deepest module whose call holds a live node; of nested ones with the same nodes the innermost. */
export function ownerOf({ structure }: SubjectModel, nodeIndex: number): NodeOwner {
  let found: NodeOwner | undefined;
  for (const module of structure.tree.modules) {
    for (const call of module.calls) {
      if (!call.nodes.includes(nodeIndex)) continue;
      if (found === undefined || isInside(module.path, found.module.path)) found = { module, call };
    }
  }
  if (found === undefined) throw new Error(`node ${nodeIndex} lies in no module`);
  return found;
}

function isInside(path: string, outer: string): boolean {
  return outer === "" || path.startsWith(`${outer}.`);
}

/** The live nodes that use a value, directly or through constant nodes; ascending, each once. */
export function liveUsersOf({ structure: { graph } }: SubjectModel, value: string): number[] {
  const users = new Set<number>();
  const waiting = [value];
  const seen = new Set(waiting);
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    for (const index of graph.consumersOf(name)) {
      const node = graph.nodes[index] as GraphNode;
      if (!node.isConstant) users.add(index);
      else {
        for (const output of node.outputs) {
          if (!seen.has(output)) waiting.push(output);
          seen.add(output);
        }
      }
    }
  }
  return [...users].sort((left, right) => left - right);
}
