// Makes the float16 copy of a model: weights, constants and all that is computed in half precision,
// inputs and outputs float32 as they were, with casts at the edges. Bodies of control flow are converted
// with the rest. An operator that wants float32 by its definition is refused rather than guessed at.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
  type ValueInfoProto,
} from "onnx-buf";

const FLOAT = 1;
const FLOAT16 = 10;
/** The largest finite float16: what is larger is clamped to it, as converters do. */
const LARGEST = 65_504;
/** Operators with inputs or attributes that stay float32 whatever the model's type. */
const REFUSED = new Set([
  "Bernoulli",
  "DequantizeLinear",
  "DynamicQuantizeLinear",
  "Multinomial",
  "QuantizeLinear",
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
  "Resize",
  "Upsample",
]);

/**
 * The bytes of the float16 copy of a float32 model whose weights lie in the file. Inputs and outputs stay
 * float32, or become float16 too.
 */
export function halfCopy(
  bytes: Uint8Array,
  edges: "float32" | "float16" = "float32",
): Uint8Array<ArrayBuffer> {
  const model = fromBinary(ModelProtoSchema, bytes.slice());
  const { graph } = model;
  if (graph === undefined) throw new Error("the file holds no graph");
  convertGraph(graph);
  if (edges === "float32") castEdges(graph);
  return new Uint8Array(toBinary(ModelProtoSchema, model));
}

function convertGraph(graph: GraphProto): void {
  graph.valueInfo = []; // what the file says of inner types is no longer true
  for (const tensor of graph.initializer) toHalf(tensor);
  for (const value of [...graph.input, ...graph.output]) retype(value, FLOAT, FLOAT16);
  for (const node of graph.node) convertNode(node);
}

function convertNode(node: NodeProto): void {
  if (REFUSED.has(node.opType)) {
    throw new Error(`no float16 copy: ${node.opType} ("${node.name}") wants float32`);
  }
  for (const attribute of node.attribute) {
    if (attribute.g !== undefined) convertGraph(attribute.g);
    if (attribute.t !== undefined) toHalf(attribute.t);
    if (node.opType === "Cast" && attribute.name === "to" && attribute.i === BigInt(FLOAT)) {
      attribute.i = BigInt(FLOAT16);
    }
    if (node.opType === "Constant" && /^value_floats?$/.test(attribute.name)) {
      const values = attribute.name === "value_float" ? [attribute.f] : attribute.floats;
      const dims = attribute.name === "value_float" ? [] : [BigInt(values.length)];
      attribute.t = halfTensor(Float32Array.from(values), dims);
      attribute.name = "value";
      attribute.type = AttributeType.TENSOR;
      attribute.floats = [];
    }
  }
  const isDefaultFill = node.opType === "ConstantOfShape" && node.attribute.length === 0;
  if (isDefaultFill) {
    throw new Error(`no float16 copy: "${node.name}" fills with float32 by default`);
  }
}

function toHalf(tensor: TensorProto): void {
  if (tensor.dataType !== FLOAT) return;
  if (tensor.dataLocation === TensorProto_DataLocation.EXTERNAL) {
    throw new Error(`no float16 copy: the weight "${tensor.name}" lies in another file`);
  }
  const values = tensor.floatData.length > 0
    ? Float32Array.from(tensor.floatData)
    : new Float32Array(tensor.rawData.slice().buffer);
  const half = halfTensor(values, tensor.dims);
  tensor.dataType = FLOAT16;
  tensor.floatData = [];
  tensor.rawData = half.rawData;
}

function halfTensor(values: Float32Array, dims: readonly bigint[]): TensorProto {
  const half = Float16Array.from(
    values,
    (value) => Number.isFinite(value) ? Math.max(-LARGEST, Math.min(LARGEST, value)) : value,
  );
  return create(TensorProtoSchema, {
    dims: [...dims],
    dataType: FLOAT16,
    rawData: new Uint8Array(half.buffer),
  });
}

/** Whether the value was declared `from`; it is declared `to` now. */
function retype(value: ValueInfoProto, from: number, to: number): boolean {
  const type = value.type?.value;
  if (type?.case !== "tensorType" || type.value.elemType !== from) return false;
  type.value.elemType = to;
  return true;
}

/** Inputs and outputs are float32 again, a Cast beside each. */
function castEdges(graph: GraphProto): void {
  const weights = new Set(graph.initializer.map(({ name }) => name));
  const renames = new Map<string, string>();
  const head: NodeProto[] = [];
  const tail: NodeProto[] = [];
  for (const input of graph.input) {
    if (weights.has(input.name) || !retype(input, FLOAT16, FLOAT)) continue;
    renames.set(input.name, `${input.name}_half`);
    head.push(cast(input.name, `${input.name}_half`, FLOAT16));
  }
  for (const output of graph.output) {
    if (!retype(output, FLOAT16, FLOAT)) continue;
    renames.set(output.name, `${output.name}_half`);
    tail.push(cast(`${output.name}_half`, output.name, FLOAT));
  }
  renameValues(graph, renames);
  graph.node = [...head, ...graph.node, ...tail];
}

/** Renames values in the nodes; bodies see the values of the graph around them. */
function renameValues(graph: GraphProto, names: ReadonlyMap<string, string>): void {
  const renamed = (value: string): string => names.get(value) ?? value;
  for (const node of graph.node) {
    node.input = node.input.map(renamed);
    node.output = node.output.map(renamed);
    for (const { g } of node.attribute) {
      if (g === undefined) continue;
      renameValues(g, names);
      for (const output of g.output) output.name = renamed(output.name);
    }
  }
}

function cast(from: string, to: string, onnxType: number): NodeProto {
  return create(NodeProtoSchema, {
    name: `Cast_${from}`,
    opType: "Cast",
    input: [from],
    output: [to],
    attribute: [{ name: "to", type: AttributeType.INT, i: BigInt(onnxType) }],
  });
}
