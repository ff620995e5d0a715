// The committed generator of the benchmarks' models: a transformer as ONNX bytes. A file is streamed:
// the structure is encoded first, so that every length is known, then each weight is made in small
// pieces and written at once. Invariant: same options, same bytes, in memory and on disk, and what is
// written is the canonical encoding (decoding and encoding again gives the same bytes).

import { closeSync, openSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "onnx-buf";
import { encodeVarint } from "../graph/wire.ts";
import { dtypeInfo } from "../tensor/dtype.ts";
import {
  type ByteSink,
  elementByteLength,
  streamWeight,
  weightElementCount,
  type WeightSpec,
} from "./seeded_weights.ts";
import {
  buildTransformerGraph,
  inputName,
  outputName,
  type TransformerGraph,
  type TransformerShape,
} from "./transformer_graph.ts";

/** What to generate; every field has a default. */
export interface TransformerOptions extends Partial<TransformerShape> {
  /** Fixes the symbolic dimension `tokens`. */
  readonly tokens?: number;
  /** Fixes the symbolic dimension `batch`. */
  readonly batch?: number;
  /** Version of the default operator set; 17 when left out, the first with LayerNormalization. */
  readonly opset?: number;
  /** Seed of the weights; 1 when left out. */
  readonly seed?: number;
}

/** What to write to a file. */
export interface WriteTransformerOptions extends TransformerOptions {
  /** Where the weights lie: in the file (the default) or beside it in `NAME.data`. */
  readonly weights?: "inline" | "external";
}

/** What was generated. */
export interface TransformerReport {
  /** Bytes of the `.onnx` file. */
  readonly fileByteLength: number;
  /** Bytes of the weights alone. */
  readonly weightByteLength: number;
  /** Number of weights' elements. */
  readonly parameterCount: number;
  /** Number of nodes, constants included. */
  readonly nodeCount: number;
}

/**
 * The benchmarks' default: 12 blocks of width 416 with 8 heads are 24,985,792 parameters, 99,943,168
 * bytes of float32.
 */
export const DEFAULT_TRANSFORMER: TransformerShape = Object.freeze({
  blocks: 12,
  width: 416,
  heads: 8,
  mlpRatio: 4,
  dtype: "float32",
  vocabulary: null,
});

const IR_VERSION = 8n;
/** Tags of the length-delimited fields ModelProto.graph, GraphProto.initializer, TensorProto.raw_data. */
const GRAPH_TAG = (7 << 3) | 2;
const INITIALIZER_TAG = (5 << 3) | 2;
const RAW_DATA_TAG = (9 << 3) | 2;

/**
 * Writes a transformer to `path`, and with `weights: "external"` its weights to `path` + `.data`. Holds
 * a fraction of one weight in memory, so that 2 GB are written as well as 2 MB.
 *
 * @throws {RangeError} when a size is no positive whole number or `heads` does not divide `width`.
 */
export function writeTransformer(
  path: string,
  options: WriteTransformerOptions = {},
): TransformerReport {
  const plan = planTransformer(options);
  const isExternal = options.weights === "external";
  const pieces = encodeTransformer(plan, isExternal ? `${basename(path)}.data` : null);
  writeFile(path, (sink) => streamPieces(plan, pieces, sink));
  if (isExternal) {
    writeFile(`${path}.data`, (sink) => {
      for (const weight of plan.graph.weights) streamWeight(weight, plan.dtype, plan.seed, sink);
    });
  }
  return reportOf(plan, pieces);
}

/** The bytes that {@linkcode writeTransformer} writes with inline weights; for models that fit memory. */
export function transformerBytes(options: TransformerOptions = {}): Uint8Array<ArrayBuffer> {
  const plan = planTransformer(options);
  const pieces = encodeTransformer(plan, null);
  const bytes = new Uint8Array(reportOf(plan, pieces).fileByteLength);
  let offset = 0;
  streamPieces(plan, pieces, (chunk) => {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  });
  return bytes;
}

/** What {@linkcode writeTransformer} would write; makes no weight. */
export function describeTransformer(options: WriteTransformerOptions = {}): TransformerReport {
  const plan = planTransformer(options);
  const isExternal = options.weights === "external";
  return reportOf(plan, encodeTransformer(plan, isExternal ? "model.onnx.data" : null));
}

interface TransformerPlan extends TransformerShape {
  readonly graph: TransformerGraph;
  readonly seed: number;
  readonly opset: number;
  readonly tokens: number | "tokens";
  readonly batch: number | "batch";
}

/** A piece of the file: bytes that are known, or a weight whose elements are made when written. */
type Piece = Uint8Array | WeightSpec;

function planTransformer(options: TransformerOptions): TransformerPlan {
  const shape = { ...DEFAULT_TRANSFORMER, ...options };
  const { blocks, width, heads, mlpRatio, vocabulary, tokens, batch } = shape;
  const sizes = { blocks, width, heads, mlpRatio, vocabulary, tokens, batch };
  for (const [name, size] of Object.entries(sizes)) {
    if (size === null || size === undefined) continue;
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new RangeError(`${name} is ${size}: use a positive whole number`);
    }
  }
  if (width % heads !== 0) throw new RangeError(`${heads} heads do not divide the width ${width}`);
  return {
    ...shape,
    graph: buildTransformerGraph(shape),
    seed: options.seed ?? 1,
    opset: options.opset ?? 17,
    tokens: options.tokens ?? "tokens",
    batch: options.batch ?? "batch",
  };
}

/** Concatenated protobuf messages merge, so each run of known fields is encoded by the schema. */
function encodeTransformer(plan: TransformerPlan, location: string | null): Piece[] {
  const { graph, dtype, vocabulary, width, batch, tokens } = plan;
  const ids = vocabulary !== null;
  const input = valueInfo(
    inputName(vocabulary),
    ids ? "int64" : dtype,
    ids ? [batch, tokens] : [batch, tokens, width],
  );
  const output = valueInfo(outputName(vocabulary), dtype, [batch, tokens, vocabulary ?? width]);
  const inGraph: Piece[] = [
    toBinary(
      GraphProtoSchema,
      create(GraphProtoSchema, { name: "main_graph", node: [...graph.nodes] }),
    ),
    ...initializerPieces(plan, location),
    toBinary(GraphProtoSchema, create(GraphProtoSchema, { input: [input], output: [output] })),
  ];
  return [
    toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, { irVersion: IR_VERSION, producerName: "hookline-bench" }),
    ),
    header(GRAPH_TAG, byteLengthOf(inGraph, dtype)),
    ...inGraph,
    toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, { opsetImport: [{ domain: "", version: BigInt(plan.opset) }] }),
    ),
  ];
}

function initializerPieces(plan: TransformerPlan, location: string | null): Piece[] {
  const pieces: Piece[] = [];
  let offset = 0;
  for (const weight of plan.graph.weights) {
    const byteLength = weightElementCount(weight) * elementByteLength(plan.dtype);
    const external = location === null ? {} : {
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: [
        { key: "location", value: location },
        { key: "offset", value: String(offset) },
        { key: "length", value: String(byteLength) },
      ],
    };
    const facts = toBinary(
      TensorProtoSchema,
      create(TensorProtoSchema, {
        name: weight.name,
        dims: weight.shape.map(BigInt),
        dataType: onnxType(plan.dtype),
        ...external,
      }),
    );
    offset += byteLength;
    if (location !== null) {
      pieces.push(header(INITIALIZER_TAG, facts.byteLength), facts);
      continue;
    }
    const raw = header(RAW_DATA_TAG, byteLength);
    const whole = facts.byteLength + raw.byteLength + byteLength;
    pieces.push(header(INITIALIZER_TAG, whole), facts, raw, weight);
  }
  return pieces;
}

function valueInfo(
  name: string,
  dtype: "int64" | TransformerShape["dtype"],
  shape: readonly (number | string)[],
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape.map((size) => ({
    value: typeof size === "number"
      ? { case: "dimValue" as const, value: BigInt(size) }
      : { case: "dimParam" as const, value: size },
  }));
  return {
    name,
    type: {
      value: { case: "tensorType", value: { elemType: onnxType(dtype), shape: { dim } } },
    },
  };
}

function onnxType(dtype: string): number {
  const info = dtypeInfo(dtype);
  if (info === undefined) throw new TypeError(`no dtype "${dtype}"`);
  return info.onnxType;
}

function header(tag: number, byteLength: number): Uint8Array {
  return Uint8Array.of(tag, ...encodeVarint(byteLength));
}

function byteLengthOf(pieces: readonly Piece[], dtype: TransformerShape["dtype"]): number {
  return pieces.reduce((sum, piece) => {
    const own = piece instanceof Uint8Array
      ? piece.byteLength
      : weightElementCount(piece) * elementByteLength(dtype);
    return sum + own;
  }, 0);
}

function streamPieces(plan: TransformerPlan, pieces: readonly Piece[], sink: ByteSink): void {
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) sink(piece);
    else streamWeight(piece, plan.dtype, plan.seed, sink);
  }
}

function writeFile(path: string, stream: (sink: ByteSink) => void): void {
  const file = openSync(path, "w");
  try {
    stream((chunk) => {
      for (let done = 0; done < chunk.byteLength;) {
        done += writeSync(file, chunk, done, chunk.byteLength - done);
      }
    });
  } finally {
    closeSync(file);
  }
}

function reportOf(plan: TransformerPlan, pieces: readonly Piece[]): TransformerReport {
  const { weights, nodes } = plan.graph;
  const parameterCount = weights.reduce((sum, weight) => sum + weightElementCount(weight), 0);
  return {
    fileByteLength: byteLengthOf(pieces, plan.dtype),
    weightByteLength: parameterCount * elementByteLength(plan.dtype),
    parameterCount,
    nodeCount: nodes.length,
  };
}
