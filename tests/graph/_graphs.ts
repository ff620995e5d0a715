// Graphs of a few nodes, written with names that tests may change, and calls over them.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  TensorProto_DataLocation,
  type TensorProtoSchema,
} from "onnx-buf";
import type { ModuleCall } from "../../graph/graph_module.ts";
import { ModelGraph } from "../../graph/model_graph.ts";

/** What a message may be made from, finished messages apart: those cannot be spread. */
type Init<T> = Extract<T, { readonly $typeName?: never }>;

export type TensorInit = Init<MessageInitShape<typeof TensorProtoSchema>>;
export type GraphInit = Init<MessageInitShape<typeof GraphProtoSchema>>;
type AttributeInit = MessageInitShape<typeof AttributeProtoSchema>;

export function graphOf(init: GraphInit): ModelGraph {
  return new ModelGraph(create(GraphProtoSchema, init), { label: "test" });
}

/** All nodes of a graph as one call. */
export function wholeCall(graph: ModelGraph): ModuleCall {
  return {
    nodes: graph.nodes.map((node) => node.index),
    inputs: graph.inputs,
    outputs: graph.outputs,
    isConvex: true,
  };
}

/** The call of these nodes, its boundary found as the module tree finds it. */
export function callOf(graph: ModelGraph, nodes: readonly number[]): ModuleCall {
  const own = new Set(nodes);
  const inputs = new Set<string>();
  const outputs: string[] = [];
  for (const index of nodes) {
    const node = graph.nodes[index];
    for (const value of [...node?.inputs ?? [], ...node?.captures ?? []]) {
      const producer = graph.producerOf(value);
      const isOwn = producer !== undefined && own.has(producer);
      if (value !== "" && !isOwn && !graph.isConstantValue(value)) inputs.add(value);
    }
    for (const value of node?.outputs ?? []) {
      const isUsed = graph.consumersOf(value).some((consumer) => !own.has(consumer));
      if (isUsed || graph.outputs.includes(value)) outputs.push(value);
    }
  }
  return { nodes, inputs: [...inputs], outputs, isConvex: true };
}

export function float32(name: string, dims: readonly number[], fill = 1): TensorInit {
  const count = dims.reduce((product, size) => product * size, 1);
  const data = new Float32Array(count).fill(fill);
  return { name, dims: dims.map(BigInt), dataType: 1, rawData: new Uint8Array(data.buffer) };
}

export function int64(name: string, values: readonly number[], isScalar = false): TensorInit {
  const data = BigInt64Array.from(values, BigInt);
  return {
    name,
    dims: isScalar ? [] : [BigInt(values.length)],
    dataType: 7,
    rawData: new Uint8Array(data.buffer),
  };
}

/** A reference to a file that does not exist. */
export function external(
  name: string,
  dataType: number,
  dims: readonly number[],
  byteOffset = 0,
): TensorInit {
  return {
    name,
    dims: dims.map(BigInt),
    dataType,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [
      { key: "location", value: "nowhere.bin" },
      { key: "offset", value: String(byteOffset) },
    ],
  };
}

/** Attributes from numbers (int), number arrays (ints), texts, and anything else as given. */
export function attributes(
  values: Record<string, number | number[] | string | AttributeInit>,
): AttributeProto[] {
  return Object.entries(values).map(([name, value]) => {
    if (typeof value === "number") {
      return create(AttributeProtoSchema, {
        name,
        type: AttributeProto_AttributeType.INT,
        i: BigInt(value),
      });
    }
    if (Array.isArray(value)) {
      return create(AttributeProtoSchema, {
        name,
        type: AttributeProto_AttributeType.INTS,
        ints: value.map(BigInt),
      });
    }
    if (typeof value === "string") {
      return create(AttributeProtoSchema, {
        name,
        type: AttributeProto_AttributeType.STRING,
        s: new TextEncoder().encode(value),
      });
    }
    return create(AttributeProtoSchema, { ...(value as object), name });
  });
}
