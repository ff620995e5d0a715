// Models with one fault each, and the truth about it. A place is a weight, a bias, a constant, an
// attribute or a node's element type, whose users all lie in one module; a fault alters it. Every case
// is another place, and its effect is seen at the module's own output (module_effect.ts, which knows
// nothing of comparisons); a place where no alteration is seen, or that no longer runs, is left for the
// next. The same count gives the same cases.

import { ModelProtoSchema } from "onnx-buf";
import type { GraphProto, ModelProto, TensorProto } from "onnx-buf";
import { toBinary } from "@bufbuild/protobuf";
import { moduleEffect } from "./module_effect.ts";
import { alterableAttributes, alterAttribute, alterDtype } from "./node_faults.ts";
import { plainRun } from "./plain_run.ts";
import { type SeededRandom, seededRandom } from "./seeded_random.ts";
import {
  decodeModel,
  liveUsersOf,
  type NodeOwner,
  ownerOf,
  SUBJECT_NAMES,
  type SubjectModel,
  subjectModel,
} from "./subject_models.ts";
import { alterTensor, isAlterable, isFloat } from "./tensor_faults.ts";

/** What is altered. */
export type FaultKind = "weight" | "bias" | "constant" | "attribute" | "dtype";

/** A model with a fault. */
export interface SeededFault {
  readonly subject: SubjectModel;
  readonly kind: FaultKind;
  /** What was altered and how, for a person. */
  readonly description: string;
  /** The deepest module that owns what was altered; the first of several where a weight is tied. */
  readonly owner: NodeOwner;
  /** The paths of all that own it. */
  readonly ownerPaths: readonly string[];
  /** The altered model. */
  readonly bytes: Uint8Array;
  /** What is seen at the owner's outputs, over the tolerance; at least 2. */
  readonly effect: number;
}

interface FaultPlace {
  readonly kind: FaultKind;
  readonly name: string;
  readonly owner: NodeOwner;
  readonly ownerPaths: readonly string[];
  /** Whether several modules, or several calls of one, use what is altered. */
  readonly isTied: boolean;
  /** Alters a fresh copy of the model in place and says how. */
  alter(graph: GraphProto, random: SeededRandom): string;
}

const KINDS: readonly FaultKind[] = ["weight", "bias", "constant", "attribute", "dtype"];
/** Alterations that are tried at one place. */
const ATTEMPTS = 4;
/** Twice the tolerance, so that no case hangs on the last digit of a processor. */
const VISIBLE = 2;

/** The first `count` faults, in turn over subjects and kinds. */
export async function seededFaults(
  count: number,
  names: readonly string[] = SUBJECT_NAMES,
): Promise<SeededFault[]> {
  const queues: (readonly [SubjectModel, FaultPlace[], SeededRandom])[] = [];
  for (const kind of KINDS) {
    for (const name of names) {
      const subject = await subjectModel(name);
      const random = seededRandom(queues.length);
      const places = faultPlaces(subject).filter((place) => place.kind === kind && !place.isTied);
      queues.push([subject, random.shuffled(places), random]);
    }
  }
  const faults: SeededFault[] = [];
  while (faults.length < count && queues.some(([, places]) => places.length > 0)) {
    for (const [subject, places, random] of queues) {
      if (faults.length === count) break;
      const fault = await nextFault(subject, places, random);
      if (fault !== null) faults.push(fault);
    }
  }
  return faults;
}

/** A fault in every tensor of a model that several modules, or several calls of one, share. */
export async function tiedFaults(name: string): Promise<SeededFault[]> {
  const subject = await subjectModel(name);
  const random = seededRandom(1);
  const faults: SeededFault[] = [];
  for (const place of faultPlaces(subject).filter(({ isTied }) => isTied)) {
    const fault = await nextFault(subject, [place], random);
    if (fault !== null) faults.push(fault);
  }
  return faults;
}

async function nextFault(
  subject: SubjectModel,
  places: FaultPlace[],
  random: SeededRandom,
): Promise<SeededFault | null> {
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const altered = decodeModel(subject.bytes);
      const how = place.alter(altered.graph as GraphProto, random);
      const bytes = new Uint8Array(toBinary(ModelProtoSchema, altered));
      const effect = await seenEffect(subject, place, altered, bytes);
      if (effect < VISIBLE) continue;
      const { kind, name, owner, ownerPaths } = place;
      const description = `${subject.name}: ${kind} ${name}: ${how}`;
      return { subject, kind, description, owner, ownerPaths, bytes, effect };
    }
  }
  return null;
}

/** The effect at the module's output, or 0 when the module or the whole model no longer runs. */
async function seenEffect(
  subject: SubjectModel,
  { owner }: FaultPlace,
  altered: ModelProto,
  bytes: Uint8Array,
): Promise<number> {
  try {
    const effect = await moduleEffect(subject, owner, altered);
    if (effect >= VISIBLE) await plainRun(bytes, subject.feeds);
    return effect;
  } catch {
    return 0; // the alteration made a model that ONNX Runtime refuses
  }
}

function faultPlaces(subject: SubjectModel): FaultPlace[] {
  return [...tensorPlaces(subject), ...nodePlaces(subject)];
}

function tensorPlaces(subject: SubjectModel): FaultPlace[] {
  const places: FaultPlace[] = [];
  const { graph } = decodeModel(subject.bytes);
  for (const tensor of graph?.initializer ?? []) {
    const kind = tensor.dims.length > 1 ? "weight" : isFloat(tensor) ? "bias" : "constant";
    addTensorPlace(places, subject, { kind, name: tensor.name, tensor });
  }
  for (const { opType, attribute, output: [name = ""] } of graph?.node ?? []) {
    const tensor = attribute.find((candidate) => candidate.name === "value")?.t;
    if (opType !== "Constant" || tensor === undefined) continue;
    addTensorPlace(places, subject, { kind: "constant", name, tensor });
  }
  return places;
}

function addTensorPlace(
  places: FaultPlace[],
  subject: SubjectModel,
  found: { readonly kind: FaultKind; readonly name: string; readonly tensor: TensorProto },
): void {
  const { kind, name, tensor } = found;
  if (!isAlterable(tensor)) return;
  const owners = liveUsersOf(subject, name).map((index) => ownerOf(subject, index));
  const owner = owners[0];
  if (owner === undefined) return;
  places.push({
    kind,
    name,
    owner,
    ownerPaths: [...new Set(owners.map(({ module }) => module.path))],
    isTied: owners.some(({ call }) => call !== owner.call),
    alter(graph, random): string {
      const initializer = graph.initializer.find((candidate) => candidate.name === name);
      const constant = graph.node.find(({ output }) => output[0] === name);
      const target = initializer ??
        constant?.attribute.find((attribute) => attribute.name === "value")?.t;
      if (target === undefined) throw new Error(`"${name}" is no tensor of the model`);
      return alterTensor(target, random);
    },
  });
}

function nodePlaces(subject: SubjectModel): FaultPlace[] {
  const places: FaultPlace[] = [];
  const floats = floatValues(subject);
  for (const { index, isConstant, proto } of subject.structure.graph.nodes) {
    if (isConstant) continue;
    const owner = ownerOf(subject, index);
    const held = { owner, ownerPaths: [owner.module.path], isTied: false };
    const value = proto.output[0] as string;
    const nodeIn = (graph: GraphProto) => {
      const node = graph.node.find(({ output }) => output[0] === value);
      if (node === undefined) throw new Error(`no node computes "${value}"`);
      return node;
    };
    for (const name of alterableAttributes(proto)) {
      places.push({
        kind: "attribute",
        name: `${name} of ${proto.name}`,
        ...held,
        alter: (graph, random) => alterAttribute(nodeIn(graph), name, random),
      });
    }
    const computesFloats = proto.output.every((output) => floats.has(output));
    if (!computesFloats || !proto.input.some((input) => floats.has(input))) continue;
    places.push({
      kind: "dtype",
      name: proto.name,
      ...held,
      alter: (graph, random) => alterDtype(graph, nodeIn(graph), floats, random),
    });
  }
  return places;
}

/** The names of all float32 values. */
function floatValues({ bytes, values }: SubjectModel): Set<string> {
  const names = Object.entries(values).filter(([, { dtype }]) => dtype === "float32");
  const { graph } = decodeModel(bytes);
  const weights = (graph?.initializer ?? []).filter(isFloat);
  const constants = (graph?.node ?? []).filter(({ attribute }) =>
    attribute.some(({ t }) => t !== undefined && isFloat(t))
  );
  return new Set([
    ...names.map(([name]) => name),
    ...weights.map(({ name }) => name),
    ...constants.map(({ output }) => output[0] as string),
  ]);
}
