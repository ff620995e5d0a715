// Writes models that ONNX Runtime can open: the whole graph with more outputs (taps), or a part of it
// (cuts). Weights stay references into the original file, so a sub-model is small whatever it uses.
// It knows no session: value types at a cut are given, not inferred here.
//
// Invariant: a part computes exactly what its nodes compute in the whole. Constants are copied into
// every part that uses them; an initializer that is also a graph input stays listed as input, or ONNX
// Runtime would treat it as constant, pre-pack it and round differently.

import { create, toBinary } from "@bufbuild/protobuf";
import {
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { internalError } from "../errors/hookline_error.ts";
import { type DType, dtypeInfo } from "../tensor/dtype.ts";
import { copyMessage } from "./copy_message.ts";
import { functionsReached } from "./inline_functions.ts";
import type { GraphNode, ModelGraph } from "./model_graph.ts";
import { externalReferenceOf } from "./skeleton.ts";
import { graphTensors } from "./walk_tensors.ts";

/** The type of a value at a cut. */
export interface ValueType {
  readonly dtype: DType;
  /** Sizes, names of symbolic sizes, or null where unknown; null as a whole when the rank is unknown. */
  readonly shape: readonly (number | string | null)[] | null;
}

/** A part of a model: which nodes, what is fed, what comes out. */
export interface PartRequest {
  /** Indices of live nodes, ascending. */
  readonly nodes: readonly number[];
  /** Values that are fed, with their types; of values that the nodes compute, what is known beforehand. */
  readonly inputs: ReadonlyMap<string, ValueType>;
  /** Values that come out: computed by the nodes, or constant. */
  readonly outputs: readonly string[];
}

/** The encoded whole model, with `taps` as further outputs. A tap that is an output already is not repeated. */
export function encodeTapped(model: ModelProto, taps: readonly string[]): Uint8Array<ArrayBuffer> {
  const graph = model.graph as GraphProto;
  const known = new Set(graph.output.map((output) => output.name));
  const output = [...graph.output];
  for (const tap of taps) {
    if (known.has(tap)) continue;
    known.add(tap);
    output.push(nameOnly(tap));
  }
  const node = lightNodes(graph.node);
  return encode(
    model,
    copyMessage(GraphProtoSchema, graph, { node, output, metadataProps: [], docString: "" }),
  );
}

/**
 * The encoded whole model with `values` as further outputs, for asking ONNX Runtime for their types. What
 * the file says of sizes is left out, its inputs apart: a file that was made for another batch is wrong
 * there, which a whole run survives with a warning, and a cut that believed it would not.
 */
export function encodeProbe(
  model: ModelProto,
  values: readonly string[],
): Uint8Array<ArrayBuffer> {
  const graph = model.graph as GraphProto;
  return encodeTapped(
    copyMessage(ModelProtoSchema, model, {
      graph: copyMessage(GraphProtoSchema, graph, {
        valueInfo: graph.valueInfo.map(withoutSizes),
        output: graph.output.map(withoutSizes),
      }),
    }),
    values,
  );
}

function withoutSizes(declared: ValueInfoProto): ValueInfoProto {
  const type = declared.type?.value;
  if (type?.case !== "tensorType" || type.value.shape === undefined) return declared;
  const { elemType } = type.value;
  return create(ValueInfoProtoSchema, {
    name: declared.name,
    type: { value: { case: "tensorType", value: { elemType } } },
  });
}

/**
 * The probe of {@linkcode encodeProbe} with every weight that lies in a file as an input: shape inference
 * reads none of them, and a session that has none maps nothing. Operators that want constants refuse it.
 */
export function encodeWeightlessProbe(
  model: ModelProto,
  values: readonly string[],
): Uint8Array<ArrayBuffer> {
  const graph = model.graph as GraphProto;
  const isHeld = (tensor: TensorProto): boolean => externalReferenceOf(tensor) === null;
  const declared = new Set(graph.input.map((input) => input.name));
  const weights = graph.initializer.filter((tensor) =>
    !isHeld(tensor) && !declared.has(tensor.name)
  );
  const input = weights.map(({ name, dims, dataType: elemType }) => {
    const dim = dims.map((value) => ({ value: { case: "dimValue" as const, value } }));
    return create(ValueInfoProtoSchema, {
      name,
      type: { value: { case: "tensorType", value: { elemType, shape: { dim } } } },
    });
  });
  return encodeProbe(
    copyMessage(ModelProtoSchema, model, {
      graph: copyMessage(GraphProtoSchema, graph, {
        initializer: graph.initializer.filter(isHeld),
        input: [...graph.input, ...input],
      }),
    }),
    values,
  );
}

/** An encoded part of a model. */
export interface EncodedPart {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes of weights that the part refers to outside itself. */
  readonly weightByteLength: number;
  /** Names of its initializers. */
  readonly initializers: readonly string[];
}

/** Encodes a part of a model. */
export function encodePart(
  model: ModelProto,
  graph: ModelGraph,
  request: PartRequest,
): EncodedPart {
  const own = new Set(request.nodes);
  const isComputed = (value: string): boolean => own.has(graph.producerOf(value) ?? -1);
  const closure = closeOverConstants(graph, request);
  const node = lightNodes(closure.nodes.map((index) => (graph.nodes[index] as GraphNode).proto));
  const input: ValueInfoProto[] = [];
  const valueInfo: ValueInfoProto[] = [];
  for (const [name, type] of request.inputs) {
    (isComputed(name) ? valueInfo : input).push(encodeValueInfo(name, type));
  }
  const initializer: TensorProto[] = [];
  for (const name of closure.initializers) {
    const tensor = graph.initializers.get(name);
    if (tensor === undefined) throw internalError(`constant "${name}" has no initializer`);
    initializer.push(tensor);
    const declared = graph.proto.input.find((candidate) => candidate.name === name);
    if (declared !== undefined) input.push(declared);
  }
  const part = create(GraphProtoSchema, {
    name: graph.proto.name === "" ? "part" : graph.proto.name,
    node,
    input,
    output: request.outputs.map(nameOnly),
    valueInfo,
    initializer,
    sparseInitializer: graph.proto.sparseInitializer.filter((sparse) =>
      closure.sparse.has(sparse.values?.name ?? "")
    ),
    quantizationAnnotation: graph.proto.quantizationAnnotation.filter((entry) =>
      closure.used.has(entry.tensorName)
    ),
  });
  let weightByteLength = 0;
  for (const tensor of graphTensors(part)) {
    weightByteLength += externalReferenceOf(tensor)?.byteLength ?? 0;
  }
  return { bytes: encode(model, part), weightByteLength, initializers: closure.initializers };
}

interface Closure {
  /** Live nodes and the constant nodes they need, ascending. */
  readonly nodes: readonly number[];
  readonly initializers: readonly string[];
  readonly sparse: ReadonlySet<string>;
  readonly used: ReadonlySet<string>;
}

function closeOverConstants(graph: ModelGraph, request: PartRequest): Closure {
  const nodes = new Set(request.nodes);
  const initializers = new Set<string>();
  const sparse = new Set<string>();
  const used = new Set<string>();
  const waiting: string[] = [...request.outputs];
  for (const index of request.nodes) waiting.push(...usesOf(graph, index));
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (used.has(value)) continue;
    used.add(value);
    const producer = graph.producerOf(value);
    if (producer !== undefined && nodes.has(producer)) continue;
    if (request.inputs.has(value)) continue;
    if (producer !== undefined) {
      if (!(graph.nodes[producer]?.isConstant ?? false)) {
        throw internalError(`value "${value}" is neither fed to the part nor computed in it`);
      }
      nodes.add(producer);
      waiting.push(...usesOf(graph, producer));
    } else if (graph.isSparseInitializer(value)) sparse.add(value);
    else initializers.add(value);
  }
  // File order keeps the encoding independent of the order in which values were found.
  const ordered = [...graph.initializers.keys()].filter((name) => initializers.has(name));
  if (ordered.length !== initializers.size) {
    throw internalError(
      `the part uses values that nothing produces: ${[...initializers].slice(0, 3).join(", ")}`,
    );
  }
  return {
    nodes: [...nodes].sort((left, right) => left - right),
    initializers: ordered,
    sparse,
    used,
  };
}

/** Values that a node reads, bodies included. */
export function usesOf(graph: ModelGraph, index: number): readonly string[] {
  const node = graph.nodes[index];
  if (node === undefined) return [];
  const inputs = node.inputs.includes("")
    ? node.inputs.filter((value) => value !== "")
    : node.inputs;
  return node.captures.length === 0 ? inputs : [...inputs, ...node.captures];
}

function encode(model: ModelProto, graph: GraphProto): Uint8Array<ArrayBuffer> {
  const functions = model.functions.length === 0
    ? []
    : functionsReached(model.functions, graph.node);
  const bytes = toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: model.irVersion,
      opsetImport: model.opsetImport,
      graph,
      functions,
    }),
  );
  return bytes as Uint8Array<ArrayBuffer>;
}

/**
 * Nodes without metadata, which no session reads, and without names that stand twice: inlining a function
 * at two places repeats its nodes' names, and ONNX Runtime refuses a graph with two nodes of one name.
 */
function lightNodes(nodes: readonly NodeProto[]): NodeProto[] {
  const seen = new Set<string>();
  return nodes.map((node) => {
    const isRepeated = node.name !== "" && seen.has(node.name);
    seen.add(node.name);
    if (!isRepeated && node.metadataProps.length === 0 && node.docString === "") return node;
    return copyMessage(NodeProtoSchema, node, {
      metadataProps: [],
      docString: "",
      ...(isRepeated ? { name: "" } : {}),
    });
  });
}

function nameOnly(name: string): ValueInfoProto {
  return create(ValueInfoProtoSchema, { name });
}

function encodeValueInfo(name: string, type: ValueType): ValueInfoProto {
  const elemType = dtypeInfo(type.dtype)?.onnxType ?? 0;
  const shape = type.shape === null ? {} : {
    shape: {
      dim: type.shape.map((size) =>
        typeof size === "number"
          ? { value: { case: "dimValue" as const, value: BigInt(size) } }
          : typeof size === "string"
          ? { value: { case: "dimParam" as const, value: size } }
          : {}
      ),
    },
  };
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: "tensorType", value: { elemType, ...shape } } },
  });
}
