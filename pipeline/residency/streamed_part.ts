// A part of a model whose weights are inputs, without the names of this one place: equal blocks give equal
// bytes, and so share one session. Single numbers, integers and what lies in bodies stay constants,
// because ONNX Runtime fuses operators and infers shapes by them.
//
// Invariant: fed with its own weights, the part computes what the nodes compute.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { copyMessage } from "../../graph/copy_message.ts";
import { externalReferenceOf } from "../../graph/skeleton.ts";
import { encodePart, type PartRequest } from "../../graph/sub_model.ts";
import { type DType, dtypeFromOnnx } from "../../tensor/dtype.ts";
import type { ModelStructure } from "../model_structure.ts";
import { FED_DTYPES } from "./block_weights.ts";

/** A weight that is fed. */
export interface FedWeight {
  /** The input's name. */
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Where its elements are: in the tensor itself, or where it refers to. */
  readonly tensor: TensorProto;
}

/** A part whose weights are inputs. */
export interface StreamedPart {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The part's name of each value that is fed, by its name in the model. */
  readonly inputNames: ReadonlyMap<string, string>;
  /** The part's name of each value that comes out, by its name in the model. */
  readonly outputNames: ReadonlyMap<string, string>;
  readonly weights: readonly FedWeight[];
}

/** Encodes a part of a model with its weights as inputs. */
export function encodeStreamedPart(
  structure: ModelStructure,
  request: PartRequest,
): StreamedPart {
  const model = fromBinary(
    ModelProtoSchema,
    encodePart(structure.proto, structure.graph, request).bytes,
  );
  const graph = model.graph as GraphProto;
  const fed = new Map<string, TensorProto>();
  for (const tensor of graph.initializer) if (canFeed(tensor)) fed.set(tensor.name, tensor);
  const node = graph.node.filter((candidate) => {
    const constant = constantOf(candidate);
    if (constant === null) return true;
    fed.set(constant.name, constant.tensor);
    return false;
  });
  const rename = hasBodies(node) ? (name: string) => name : numbered();
  const inputs = graph.input.filter(({ name }) => !fed.has(name));
  const input = inputs.map((value) => renamedInfo(value, rename));
  const weights = [...fed].map(([name, tensor]): FedWeight => ({
    name: rename(name),
    dtype: dtypeFromOnnx(tensor.dataType)?.dtype ?? "float32",
    shape: tensor.dims.map(Number),
    tensor,
  }));
  const initializer = graph.initializer.filter(({ name }) => !fed.has(name)).map((tensor) => {
    tensor.name = rename(tensor.name);
    return tensor;
  });
  const part = copyMessage(GraphProtoSchema, graph, {
    name: "part",
    input: [...input, ...weights.map(weightInfo)],
    initializer,
    node: node.map((one) => renamedNode(one, rename)),
    output: graph.output.map((value) => renamedInfo(value, rename)),
    valueInfo: graph.valueInfo.map((value) => renamedInfo(value, rename)),
  });
  const names = (values: Iterable<string>): ReadonlyMap<string, string> =>
    new Map([...values].map((value) => [value, rename(value)]));
  return {
    bytes: toBinary(
      ModelProtoSchema,
      copyMessage(ModelProtoSchema, model, { graph: part }),
    ) as Uint8Array<ArrayBuffer>,
    inputNames: names(request.inputs.keys()),
    outputNames: names(request.outputs),
    weights,
  };
}

const FLOATS: readonly DType[] = ["float32", "float16", "float64"];

/** Weights that JavaScript can hold, but for single numbers. Integers of 8 bits count only in files. */
function canFeed(tensor: TensorProto): boolean {
  const dtype = dtypeFromOnnx(tensor.dataType)?.dtype;
  if (dtype === undefined) return false;
  const isFile = externalReferenceOf(tensor) !== null;
  if (isFile) return FED_DTYPES.includes(dtype);
  return FLOATS.includes(dtype) && tensor.dims.reduce((count, size) => count * size, 1n) > 1n;
}

/** The tensor of a `Constant` node that is fed instead, under the name of its output. */
function constantOf(node: NodeProto): { name: string; tensor: TensorProto } | null {
  if (node.opType !== "Constant" || node.domain !== "") return null;
  const tensor = node.attribute.find((attribute) => attribute.name === "value")?.t;
  const [name] = node.output;
  return tensor !== undefined && name !== undefined && canFeed(tensor) ? { name, tensor } : null;
}

/** Captures make renaming a matter of scopes; such parts keep their names, and their own sessions. */
function hasBodies(nodes: readonly NodeProto[]): boolean {
  return nodes.some((node) =>
    node.attribute.some((attribute) => attribute.g !== undefined || attribute.graphs.length > 0)
  );
}

function numbered(): (name: string) => string {
  const names = new Map<string, string>([["", ""]]);
  return (name) => {
    const known = names.get(name);
    if (known !== undefined) return known;
    const made = `v${names.size}`;
    names.set(name, made);
    return made;
  };
}

function renamedNode(node: NodeProto, rename: (name: string) => string): NodeProto {
  return copyMessage(NodeProtoSchema, node, {
    name: "",
    input: node.input.map(rename),
    output: node.output.map(rename),
  });
}

function renamedInfo(value: ValueInfoProto, rename: (name: string) => string): ValueInfoProto {
  return copyMessage(ValueInfoProtoSchema, value, { name: rename(value.name) });
}

function weightInfo({ name, shape, tensor }: FedWeight): ValueInfoProto {
  const dim = shape.map((size) => ({ value: { case: "dimValue" as const, value: BigInt(size) } }));
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: { case: "tensorType", value: { elemType: tensor.dataType, shape: { dim } } },
    }),
  });
}
