// What ONNX Runtime itself makes of a model of the ONNX backend suite: onnxruntime-node called directly,
// on the recorded inputs, held against the recorded outputs. Nothing of Hookline takes part but the
// import of the package with telemetry off: it is what Hookline is measured against.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type GraphProto, ModelProtoSchema, type NodeProto, TensorProtoSchema } from "onnx-buf";
import {
  loadOrt,
  type OrtFeed,
  type OrtModule,
  type OrtSession,
  type OrtValue,
} from "../../sessions/ort_loader.ts";

/** A tensor of JavaScript numbers, big integers, strings or bytes, whoever made it. */
export interface PlainTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: ArrayLike<number | bigint | string>;
}

/** Why plain ONNX Runtime does not pass a model. */
export type PlainFailure =
  /** An input is a sequence, an optional, or of a type that JavaScript has no array for. */
  | "JavaScript cannot feed it"
  /** It draws random numbers without a seed: it never gives the same result twice. */
  | "draws random numbers"
  | "does not load"
  | "does not run"
  | "gives another result than the suite expects";

/** What became of a model in plain ONNX Runtime. */
export type PlainResult =
  | {
    readonly passes: true;
    readonly feeds: Readonly<Record<string, PlainTensor>>;
    readonly outputs: Readonly<Record<string, PlainTensor>>;
  }
  | { readonly passes: false; readonly why: PlainFailure; readonly detail: string };

const ATOL = 1e-4;
const RTOL = 1e-3;

interface Elements {
  readonly type: string;
  readonly make: (
    bytes: ArrayBuffer,
  ) => ArrayBufferView & ArrayLike<number | bigint> & { set(from: never): void };
  readonly field?: "floatData" | "int32Data" | "int64Data" | "doubleData" | "uint64Data";
}

/** Element types by their number in onnx.proto: those that onnxruntime-node takes. */
const ELEMENTS: Readonly<Record<number, Elements>> = {
  1: { type: "float32", make: (bytes) => new Float32Array(bytes), field: "floatData" },
  2: { type: "uint8", make: (bytes) => new Uint8Array(bytes), field: "int32Data" },
  3: { type: "int8", make: (bytes) => new Int8Array(bytes), field: "int32Data" },
  4: { type: "uint16", make: (bytes) => new Uint16Array(bytes), field: "int32Data" },
  5: { type: "int16", make: (bytes) => new Int16Array(bytes), field: "int32Data" },
  6: { type: "int32", make: (bytes) => new Int32Array(bytes), field: "int32Data" },
  7: { type: "int64", make: (bytes) => new BigInt64Array(bytes), field: "int64Data" },
  9: { type: "bool", make: (bytes) => new Uint8Array(bytes), field: "int32Data" },
  10: { type: "float16", make: (bytes) => new Float16Array(bytes) }, // typed field: bits, none here
  11: { type: "float64", make: (bytes) => new Float64Array(bytes), field: "doubleData" },
  12: { type: "uint32", make: (bytes) => new Uint32Array(bytes), field: "uint64Data" },
  13: { type: "uint64", make: (bytes) => new BigUint64Array(bytes), field: "uint64Data" },
};
const STRING = 8;

/** Opens a model in ONNX Runtime as it comes, without any rewriting of its graph. */
export async function openPlain(path: string): Promise<OrtSession> {
  const { InferenceSession } = await loaded();
  return await InferenceSession.create(path, {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "disabled",
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    logId: "plain",
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
}

let ort: Promise<OrtModule> | undefined;

function loaded(): Promise<OrtModule> {
  return ort ??= loadOrt().then(({ module }) => module);
}

/** Runs every output of an open model on these inputs. */
export async function runPlain(
  session: OrtSession,
  feeds: Readonly<Record<string, PlainTensor>>,
): Promise<Record<string, PlainTensor>> {
  const given = Object.entries(feeds).map(([name, { type, dims, data }]): [string, OrtFeed] => [
    name,
    { type, dims, data: type === "float16" ? bitsOf(data) : data, location: "cpu" },
  ]);
  const values = await session.run(
    Object.fromEntries(given),
    session.outputMetadata.map(({ name }) => name),
  );
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, plainTensor(value)]),
  );
}

/** Runs a model of the backend suite on its recorded inputs and looks at what comes out. */
export async function tryPlain(path: string): Promise<PlainResult> {
  const fails = (why: PlainFailure, cause: unknown): PlainResult => ({
    passes: false,
    why,
    detail: (cause instanceof Error ? cause.message : String(cause)).slice(0, 300),
  });
  if (liveNodes(path).some(drawsRandomly)) return fails("draws random numbers", "no seed");
  let session: OrtSession;
  try {
    session = await openPlain(path);
  } catch (error) {
    return fails("does not load", error);
  }
  try {
    const feeds: Record<string, PlainTensor> = {};
    for (const [index, input] of session.inputMetadata.entries()) {
      if (!input.isTensor) return fails("JavaScript cannot feed it", `${input.name} is no tensor`);
      const tensor = recorded(path, `input_${index}.pb`);
      if (tensor === null) return fails("JavaScript cannot feed it", `${input.name} has no array`);
      feeds[input.name] = tensor;
    }
    let outputs: Record<string, PlainTensor>;
    try {
      outputs = await runPlain(session, feeds);
    } catch (error) {
      return fails("does not run", error);
    }
    for (const [index, { name }] of session.outputMetadata.entries()) {
      const difference = unexpected(outputs[name], recorded(path, `output_${index}.pb`));
      if (difference === null) continue;
      return fails("gives another result than the suite expects", `${name}: ${difference}`);
    }
    return { passes: true, feeds, outputs };
  } finally {
    await session.release();
  }
}

/** The nodes of a model that are on the way to its outputs. */
export function liveNodes(path: string): NodeProto[] {
  const { graph } = fromBinary(ModelProtoSchema, readFileSync(path));
  const wanted = new Set(graph?.output.map(({ name }) => name));
  const live: NodeProto[] = [];
  // Nodes come in topological order, so that one pass from the last to the first finds them all.
  for (const node of graph?.node.toReversed() ?? []) {
    if (!node.output.some((name) => name !== "" && wanted.has(name))) continue;
    live.push(node);
    for (const name of read(node)) wanted.add(name);
  }
  return live;
}

function drawsRandomly({ opType, attribute }: NodeProto): boolean {
  return /^(Bernoulli|Multinomial|Random(Normal|Uniform)(Like)?)$/.test(opType) &&
    !attribute.some(({ name }) => name === "seed");
}

/** What a node reads, and everything that is read in its bodies. */
function read(node: NodeProto): string[] {
  const bodies = node.attribute.flatMap(({ g, graphs }) => g === undefined ? graphs : [g]);
  const inside = (body: GraphProto): string[] => [
    ...body.output.map(({ name }) => name),
    ...body.node.flatMap(read),
  ];
  return [...node.input, ...bodies.flatMap(inside)];
}

/** A recorded tensor; null when there is none that JavaScript can hold. */
function recorded(path: string, file: string): PlainTensor | null {
  const at = join(dirname(path), "test_data_set_0", file);
  if (!existsSync(at)) return null;
  const proto = fromBinary(TensorProtoSchema, readFileSync(at));
  const dims = proto.dims.map(Number);
  const count = dims.reduce((product, size) => product * size, 1);
  if (proto.dataType === STRING) {
    const decoder = new TextDecoder();
    return { type: "string", dims, data: proto.stringData.map((bytes) => decoder.decode(bytes)) };
  }
  const elements = ELEMENTS[proto.dataType];
  if (elements === undefined) return null;
  const size = elements.make(new ArrayBuffer(0)) as unknown as { BYTES_PER_ELEMENT: number };
  const bytes = new ArrayBuffer(count * size.BYTES_PER_ELEMENT);
  const data = elements.make(bytes);
  if (proto.rawData.length > 0) new Uint8Array(bytes).set(proto.rawData);
  else if (count > 0) {
    if (elements.field === undefined) return null;
    const list = proto[elements.field] as readonly (number | bigint)[];
    if (list.length !== count) throw new Error(`${at} holds ${list.length} of ${count} elements`);
    data.set(
      (elements.type === "uint32" ? list.map(Number) : list) as never,
    );
  }
  return { type: elements.type, dims, data };
}

function plainTensor({ type, dims, data }: OrtValue): PlainTensor {
  const held = data as PlainTensor["data"];
  const isBits = type === "float16" && held instanceof Uint16Array;
  return {
    type,
    dims,
    data: isBits ? new Float16Array(held.buffer, held.byteOffset, held.length) : held,
  };
}

function bitsOf(data: PlainTensor["data"]): PlainTensor["data"] {
  if (!(data instanceof Float16Array)) return data;
  return new Uint16Array(data.buffer, data.byteOffset, data.length);
}

/** How an output differs from the expected one; null when it does not, NaN being equal to NaN. */
function unexpected(found: PlainTensor | undefined, wanted: PlainTensor | null): string | null {
  if (wanted === null) return "no expected output that JavaScript can hold";
  if (found === undefined) return "it is missing";
  if (found.type !== wanted.type) return `it is ${found.type}, not ${wanted.type}`;
  if (String(found.dims) !== String(wanted.dims)) {
    return `its shape is [${found.dims}], not [${wanted.dims}]`;
  }
  for (let at = 0; at < wanted.data.length; at++) {
    const [want, got] = [wanted.data[at], found.data[at]];
    if (want === got || Object.is(want, got)) continue;
    if (
      typeof want === "number" && typeof got === "number" &&
      Math.abs(want - got) <= ATOL + RTOL * Math.abs(want)
    ) continue;
    return `element ${at} is ${got}, not ${want}`;
  }
  return null;
}

/** How two tensors differ in type, shape or any bit; null when they do not. */
export function bitDifference(found: PlainTensor | undefined, wanted: PlainTensor): string | null {
  if (found === undefined) return "it is missing";
  if (found.type !== wanted.type) return `it is ${found.type}, not ${wanted.type}`;
  if (String(found.dims) !== String(wanted.dims)) {
    return `its shape is [${found.dims}], not [${wanted.dims}]`;
  }
  const [left, right] = [bytesOf(found.data), bytesOf(wanted.data)];
  if (left.length !== right.length) return `it has ${left.length} bytes, not ${right.length}`;
  const at = left.findIndex((byte, index) => byte !== right[index]);
  return at < 0 ? null : `byte ${at} is ${left[at]}, not ${right[at]}`;
}

function bytesOf(data: PlainTensor["data"]): Uint8Array {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new TextEncoder().encode(JSON.stringify(data));
}
