// Builds ONNX messages for tests: one function per message, plain values in, onnx-buf messages out, so
// that a test can change any field before it encodes. Nothing is filled in that a test did not ask for,
// except the IR version, the opset and the names of graph and model.

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  type FunctionProto,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type SparseTensorProto,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { type DType, dtypeInfo } from "../../tensor/dtype.ts";

/** A size, the name of a symbolic size, or null for an unnamed unknown one. */
export type Dimension = number | string | null;

/** What an attribute is made from: an INT, INTS, STRING, TENSOR or GRAPH by its look, or field by field. */
export type AttributeValue =
  | number
  | readonly number[]
  | string
  | TensorProto
  | GraphProto
  | { readonly float: number }
  | { readonly ref: string; readonly type: AttributeType }
  | { readonly graphs: readonly GraphProto[] };

/** Fields of a node beside its operator, inputs and outputs. */
export interface NodeOptions {
  readonly name?: string;
  readonly domain?: string;
  readonly overload?: string;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
}

/** The parts of a graph. Inputs and outputs may be names alone. */
export interface GraphParts {
  readonly name?: string;
  readonly nodes?: readonly NodeProto[];
  readonly inputs?: readonly (string | ValueInfoProto)[];
  readonly outputs?: readonly (string | ValueInfoProto)[];
  readonly initializers?: readonly TensorProto[];
  readonly sparse?: readonly SparseTensorProto[];
  readonly valueInfo?: readonly ValueInfoProto[];
}

/** The parts of a model: those of its graph, and more. */
export interface ModelParts extends GraphParts {
  readonly functions?: readonly FunctionProto[];
  /** Versions by domain; `{ "": 20 }` when left out. */
  readonly opsets?: Readonly<Record<string, number>>;
  readonly irVersion?: number;
}

/** The parts of a model-local function. */
export interface FunctionParts {
  readonly domain?: string;
  readonly overload?: string;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly nodes?: readonly NodeProto[];
  /** Names of attributes without a default. */
  readonly attributes?: readonly string[];
  /** Attributes with a default. */
  readonly defaults?: Readonly<Record<string, AttributeValue>>;
  readonly opsets?: Readonly<Record<string, number>>;
}

function onnxType(dtype: DType): number {
  const info = dtypeInfo(dtype);
  if (info === undefined) throw new TypeError(`no dtype "${dtype}"`);
  return info.onnxType;
}

/** The declaration of a tensor value; without `shape` its rank is open. */
export function valueInfo(
  name: string,
  dtype: DType = "float32",
  shape: readonly Dimension[] | null = null,
): ValueInfoProto {
  const dim = (shape ?? []).map((size) =>
    typeof size === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(size) } }
      : typeof size === "string"
      ? { value: { case: "dimParam" as const, value: size } }
      : {}
  );
  const elemType = onnxType(dtype);
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: "tensorType",
        value: shape === null ? { elemType } : { elemType, shape: { dim } },
      },
    },
  });
}

/** A float32 tensor in raw_data; element `i` is `fill(i)`, by default a small number that differs. */
export function floats(
  name: string,
  dims: readonly number[],
  fill: (index: number) => number = (index) => ((index * 37) % 101 - 50) / 64,
): TensorProto {
  const count = dims.reduce((product, size) => product * size, 1);
  const data = Float32Array.from({ length: count }, (_, index) => fill(index));
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: 1,
    rawData: new Uint8Array(data.buffer),
  });
}

/** An int64 tensor in raw_data: rank 1, or with `dims` any shape. */
export function int64s(
  name: string,
  values: readonly number[],
  dims: readonly number[] = [values.length],
): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: 7,
    rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
  });
}

/** A float32 tensor whose elements lie in a file; `entries` besides the location may be left out. */
export function externalFloats(
  name: string,
  dims: readonly number[],
  entries: { readonly location: string; readonly offset?: string; readonly length?: string },
): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: 1,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  });
}

function attribute(name: string, value: AttributeValue): AttributeProto {
  const of = (init: MessageInitShape<typeof AttributeProtoSchema>): AttributeProto =>
    create(AttributeProtoSchema, { ...init as object, name });
  if (typeof value === "number") return of({ type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === "string") {
    return of({ type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  }
  if (isNumbers(value)) return of({ type: AttributeType.INTS, ints: value.map(BigInt) });
  if ("float" in value) return of({ type: AttributeType.FLOAT, f: value.float });
  if ("ref" in value) return of({ type: value.type, refAttrName: value.ref });
  if ("graphs" in value) return of({ type: AttributeType.GRAPHS, graphs: [...value.graphs] });
  if (value.$typeName === "onnx.GraphProto") return of({ type: AttributeType.GRAPH, g: value });
  return of({ type: AttributeType.TENSOR, t: value });
}

function isNumbers(value: AttributeValue): value is readonly number[] {
  return Array.isArray(value);
}

function attributes(values: Readonly<Record<string, AttributeValue>> = {}): AttributeProto[] {
  return Object.entries(values).map(([name, value]) => attribute(name, value));
}

/** A node. */
export function node(
  opType: string,
  input: readonly string[],
  output: readonly string[],
  options: NodeOptions = {},
): NodeProto {
  const { attributes: values, ...rest } = options;
  return create(NodeProtoSchema, {
    opType,
    input: [...input],
    output: [...output],
    attribute: attributes(values),
    ...rest,
  });
}

/** A graph: a model's or a body. */
export function graph(parts: GraphParts): GraphProto {
  const declare = (value: string | ValueInfoProto): ValueInfoProto =>
    typeof value === "string" ? create(ValueInfoProtoSchema, { name: value }) : value;
  return create(GraphProtoSchema, {
    name: parts.name ?? "graph",
    node: [...parts.nodes ?? []],
    input: (parts.inputs ?? []).map(declare),
    output: (parts.outputs ?? []).map(declare),
    initializer: [...parts.initializers ?? []],
    sparseInitializer: [...parts.sparse ?? []],
    valueInfo: [...parts.valueInfo ?? []],
  });
}

function opsetImport(opsets: Readonly<Record<string, number>>) {
  return Object.entries(opsets).map(([domain, version]) => ({ domain, version: BigInt(version) }));
}

/** A model-local function of the domain `local`, opset 20 and `local` 1, unless told otherwise. */
export function functionOf(name: string, parts: FunctionParts): FunctionProto {
  return create(FunctionProtoSchema, {
    name,
    domain: parts.domain ?? "local",
    overload: parts.overload ?? "",
    input: [...parts.inputs ?? []],
    output: [...parts.outputs ?? []],
    node: [...parts.nodes ?? []],
    attribute: [...parts.attributes ?? []],
    attributeProto: attributes(parts.defaults),
    opsetImport: opsetImport(parts.opsets ?? { "": 20, local: 1 }),
  });
}

/** A model: IR version 10, opset 20, and `local` 1 where there are functions. */
export function modelOf(parts: ModelParts): ModelProto {
  const functions = [...parts.functions ?? []];
  const opsets = parts.opsets ?? (functions.length === 0 ? { "": 20 } : { "": 20, local: 1 });
  return create(ModelProtoSchema, {
    irVersion: BigInt(parts.irVersion ?? 10),
    opsetImport: opsetImport(opsets),
    graph: graph(parts),
    functions,
  });
}

/** The bytes of a model, or of the model made from parts. */
export function modelBytes(model: ModelProto | ModelParts): Uint8Array<ArrayBuffer> {
  return new Uint8Array(toBinary(ModelProtoSchema, isModel(model) ? model : modelOf(model)));
}

function isModel(model: ModelProto | ModelParts): model is ModelProto {
  return "$typeName" in model;
}
