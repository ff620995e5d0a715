// Rewrites a model into another file that computes the same: what optimisers, converters and other
// exporters leave behind and a comparison must not take for a difference. Each rewrite changes a fresh
// message in place; weights go to a data file last, when the rest is done.

import { create, toBinary } from "@bufbuild/protobuf";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
} from "onnx-buf";
import { node as nodeOf } from "./build_model.ts";
import { convertOpset, TARGET_OPSETS } from "./opset_conversion.ts";
import { type SeededRandom, seededRandom } from "./seeded_random.ts";
import { decodeModel, SUBJECT_NAMES, type SubjectModel, subjectModel } from "./subject_models.ts";

/** What is done to a model. */
export type RewriteKind = "reorder" | "rename" | "identity" | "external" | "opset";

/** A rewritten model. */
export interface RewrittenModel {
  readonly subject: SubjectModel;
  readonly kinds: readonly RewriteKind[];
  /** What was done, for a person. */
  readonly description: string;
  /** Whether every node still has the name that it had, and those that came have one in its style. */
  readonly keepsNodeNames: boolean;
  readonly bytes: Uint8Array;
  /** The content of `DATA_FILE` beside the model, where weights lie in it. */
  readonly data: Uint8Array | null;
}

/** The name of the data file of a rewritten model. */
export const DATA_FILE = "weights.data";

const KINDS: readonly RewriteKind[] = ["reorder", "rename", "identity", "opset", "external"];

/** The first `count` rewritten models, in turn over subjects: each kind alone, then random mixtures. */
export async function rewrittenModels(
  count: number,
  names: readonly string[] = SUBJECT_NAMES,
): Promise<RewrittenModel[]> {
  const models: RewrittenModel[] = [];
  for (let seed = 0; seed < count; seed++) {
    const random = seededRandom(seed);
    const subject = await subjectModel(names[seed % names.length] as string);
    const turn = Math.floor(seed / names.length);
    const only = turn < 4 * KINDS.length ? KINDS[turn % KINDS.length] : undefined;
    const kinds = only === undefined ? KINDS.filter(() => random.next() < 0.6) : [only];
    models.push(rewrite(subject, kinds.length === 0 ? KINDS : kinds, random));
  }
  return models;
}

/** Rewrites a model in the ways named, in the order of the list above. */
export function rewrite(
  subject: SubjectModel,
  kinds: readonly RewriteKind[],
  random: SeededRandom,
): RewrittenModel {
  const model = decodeModel(subject.bytes);
  const said: string[] = [];
  let keepsNodeNames = true;
  let data: Uint8Array | null = null;
  for (const kind of kinds) {
    switch (kind) {
      case "reorder":
        said.push(reorderNodes(graphOf(model), random));
        break;
      case "rename": {
        const namesOfNodes = random.pick(["kept", "kept", "removed", "numbered"] as const);
        keepsNodeNames = namesOfNodes === "kept";
        said.push(renameValues(graphOf(model), { namesOfNodes, random }));
        break;
      }
      case "identity":
        said.push(addIdentities(graphOf(model), random));
        break;
      case "opset": {
        const target = random.pick(TARGET_OPSETS);
        convertOpset(model, target);
        said.push(`opset ${target}`);
        break;
      }
      case "external":
        data = moveWeights(model, random);
        said.push(`${data.byteLength} bytes of weights moved out`);
    }
  }
  const description = `${subject.name}: ${said.join(", ")}`;
  const bytes = new Uint8Array(toBinary(ModelProtoSchema, model));
  return { subject, kinds, description, keepsNodeNames, bytes, data };
}

function graphOf(model: ModelProto): GraphProto {
  if (model.graph === undefined) throw new Error("the model has no graph");
  return model.graph;
}

/** Puts the nodes into a random order that is topological. */
export function reorderNodes(graph: GraphProto, random: SeededRandom): string {
  const waiting = random.shuffled(graph.node);
  const produced = new Set(graph.node.flatMap(({ output }) => output));
  const done = new Set<string>([""]);
  const ordered: NodeProto[] = [];
  while (waiting.length > 0) {
    const at = waiting.findIndex(({ input }) =>
      input.every((value) => done.has(value) || !produced.has(value))
    );
    const [node] = waiting.splice(at, 1);
    if (node === undefined) throw new Error("the graph has a cycle");
    ordered.push(node);
    for (const value of node.output) done.add(value);
    if (random.next() < 0.3) waiting.push(...random.shuffled(waiting.splice(0)));
  }
  const moved = ordered.filter((node, index) => graph.node[index] !== node).length;
  graph.node = ordered;
  return `${moved} nodes moved`;
}

/** Renames every inner value, sometimes parameters, inputs and outputs as well, and treats node names. */
export function renameValues(
  graph: GraphProto,
  { namesOfNodes, random }: {
    readonly namesOfNodes: "kept" | "removed" | "numbered";
    readonly random: SeededRandom;
  },
): string {
  const style = random.pick(["numbered", "suffixed"]);
  const withParameters = random.next() < 0.5;
  const withEnds = random.next() < 0.25;
  const kept = new Set<string>([""]);
  if (!withParameters) { for (const { name } of graph.initializer) kept.add(name); }
  if (!withEnds) { for (const { name } of [...graph.input, ...graph.output]) kept.add(name); }
  const names = new Map<string, string>();
  const renamed = (value: string): string => {
    if (kept.has(value)) return value;
    const known = names.get(value) ?? (style === "numbered" ? `v${names.size}` : `${value}.r`);
    names.set(value, known);
    return known;
  };
  for (const input of graph.input) input.name = renamed(input.name);
  for (const [index, node] of graph.node.entries()) {
    node.input = node.input.map(renamed);
    node.output = node.output.map(renamed);
    if (namesOfNodes === "removed") node.name = "";
    if (namesOfNodes === "numbered") node.name = `node_${index}`;
  }
  for (const tensor of graph.initializer) tensor.name = renamed(tensor.name);
  for (const output of graph.output) output.name = renamed(output.name);
  graph.valueInfo = [];
  const what = [
    ...(withParameters ? ["parameters"] : []),
    ...(withEnds ? ["inputs and outputs"] : []),
  ];
  return `${names.size} values ${style}${what.length === 0 ? "" : ` (${what.join(", ")} too)`}, ` +
    `node names ${namesOfNodes}`;
}

/** Puts Identity nodes behind random values: before some of their users, or before all of them. */
export function addIdentities(graph: GraphProto, random: SeededRandom): string {
  const count = 1 + random.below(8);
  const ends = new Set(graph.output.map(({ name }) => name));
  const producers = graph.node.filter(({ opType }) => opType !== "Constant");
  for (let added = 0; added < count; added++) {
    const producer = random.pick(producers);
    const slot = random.below(producer.output.length);
    const value = producer.output[slot] as string;
    const fresh = `${value}_identity_${added}`;
    const scope = producer.name.replace(/[^/]*$/, "");
    const name = random.pick([`${scope}Identity_${900 + added}`, `Identity_${900 + added}`]);
    const before = ends.has(value) || random.next() < 0.5;
    if (before) {
      // The Identity takes the name over: all users, and the model's outputs, read it.
      producer.output[slot] = fresh;
      insertAfter(graph, producer, nodeOf("Identity", [fresh], [value], { name }));
      continue;
    }
    const users = graph.node.filter(({ input }) => input.includes(value));
    const switched = users.filter((_, index) => index === 0 || random.next() < 0.5);
    for (const user of switched) {
      user.input = user.input.map((input) => input === value ? fresh : input);
    }
    insertAfter(graph, producer, nodeOf("Identity", [value], [fresh], { name }));
  }
  return `${count} Identity nodes added`;
}

function insertAfter(graph: GraphProto, producer: NodeProto, node: NodeProto): void {
  graph.node.splice(graph.node.indexOf(producer) + 1, 0, node);
}

/** Moves weights of 128 bytes and more to a data file, at random places in it. */
export function moveWeights(model: ModelProto, random: SeededRandom): Uint8Array {
  const pieces: Uint8Array[] = [];
  let offset = 0;
  const add = (piece: Uint8Array): number => {
    const start = offset;
    pieces.push(piece);
    offset += piece.byteLength;
    return start;
  };
  for (const tensor of random.shuffled(graphOf(model).initializer)) {
    if (tensor.rawData.byteLength < 128) continue;
    add(new Uint8Array(random.below(64)));
    const start = add(tensor.rawData);
    const entries = {
      location: DATA_FILE,
      offset: String(start),
      length: String(tensor.rawData.byteLength),
    };
    tensor.externalData = Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value })
    );
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
    tensor.rawData = new Uint8Array();
  }
  const data = new Uint8Array(offset);
  let at = 0;
  for (const piece of pieces) {
    data.set(piece, at);
    at += piece.byteLength;
  }
  return data;
}
