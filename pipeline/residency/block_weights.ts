// The weights of one module as residency sees them: how many bytes, where they lie in which files, and
// what about them decides how they can be moved. It reads the graph and no weight.

import { realpathSync } from "node:fs";
import { join } from "node:path";
import type { NodeProto, TensorProto } from "onnx-buf";
import { externalReferenceOf } from "../../graph/skeleton.ts";
import type { GraphModule } from "../../graph/graph_module.ts";
import type { GraphNode, ModelGraph } from "../../graph/model_graph.ts";
import { usesOf } from "../../graph/sub_model.ts";
import { nodeTensors } from "../../graph/walk_tensors.ts";
import type { FileRange } from "../../sessions/mapped_weights/weight_memory.ts";
import { type DType, dtypeFromOnnx, dtypeInfo } from "../../tensor/dtype.ts";
import type { ModelStructure } from "../model_structure.ts";

/** The weights of one module. */
export interface BlockWeights {
  /** The module's path. */
  readonly module: string;
  /** Bytes of its weights that lie in files; smaller ones are part of the structure. */
  readonly byteLength: number;
  /** Where they lie. */
  readonly ranges: readonly FileRange[];
  /** True when some are 4 bits or fewer an element: without prepacking those are 5 to 58 times slower. */
  readonly isPacked: boolean;
  /** True when some are of 16 bits, which ONNX Runtime widens where the CPU has no kernel for them. */
  readonly isHalf: boolean;
  /** Types of weights that cannot be given to a session as inputs, each once. */
  readonly unfed: readonly DType[];
  /** Operators that make new weights out of old ones when a session opens, each once. */
  readonly folding: readonly string[];
  /** True when it holds convolutions, whose weights ONNX Runtime reorders at its highest levels. */
  readonly hasConvolution: boolean;
}

const PACKED_OPERATORS: readonly string[] = ["MatMulNBits", "MatMulBnb4", "GatherBlockQuantized"];
const PACKED_BITS = 4;
/** Types of weights that sessions take as inputs from JavaScript. */
export const FED_DTYPES: readonly DType[] = ["float16", "float32", "float64", "int8", "uint8"];

/** The weights of a module. */
export function blockWeights(structure: ModelStructure, module: GraphModule): BlockWeights {
  const { graph } = structure;
  const nodes = nodesOf(graph, module);
  const tensors = tensorsOf(graph, nodes);
  const ranges: FileRange[] = [];
  const dtypes = new Set<DType>();
  for (const tensor of tensors) {
    const range = rangeOf(structure, tensor);
    if (range === null) continue;
    ranges.push(range);
    dtypes.add(dtypeFromOnnx(tensor.dataType)?.dtype ?? "string");
  }
  const isSmall = (dtype: DType): boolean => (dtypeInfo(dtype)?.bitWidth ?? 0) <= PACKED_BITS;
  ranges.sort(byPlace);
  return {
    module: module.path,
    byteLength: ranges.reduce((sum, range) => sum + range.byteLength, 0),
    ranges,
    isPacked: [...dtypes].some(isSmall) ||
      nodes.some((node) => PACKED_OPERATORS.includes(node.opType)),
    isHalf: dtypes.has("float16") || dtypes.has("bfloat16"),
    unfed: [...dtypes].filter((dtype) => !FED_DTYPES.includes(dtype)).sort(),
    folding: foldingOf(structure, nodes),
    hasConvolution: nodes.some((node) => /^(Fused)?Conv/.test(node.opType)),
  };
}

/** Bytes of all weights of the model that lie in files. */
export function modelWeightByteLength(structure: ModelStructure): number {
  const { graph } = structure;
  const tensors = new Set<TensorProto>(graph.initializers.values());
  for (const node of graph.nodes) for (const tensor of nodeTensors(node.proto)) tensors.add(tensor);
  let byteLength = 0;
  for (const tensor of tensors) byteLength += rangeOf(structure, tensor)?.byteLength ?? 0;
  return byteLength;
}

/** The module's nodes, and the constant nodes that feed them. */
function nodesOf(graph: ModelGraph, module: GraphModule): GraphNode[] {
  const found = new Set<number>(module.calls.flatMap((call) => call.nodes));
  for (const index of found) { // also visits what is added meanwhile
    for (const value of usesOf(graph, index)) {
      const producer = graph.producerOf(value);
      if (producer !== undefined && graph.nodes[producer]?.isConstant === true) found.add(producer);
    }
  }
  return [...found].flatMap((index) => graph.nodes[index] ?? []);
}

function tensorsOf(graph: ModelGraph, nodes: readonly GraphNode[]): ReadonlySet<TensorProto> {
  const tensors = new Set<TensorProto>();
  for (const node of nodes) {
    for (const tensor of nodeTensors(node.proto)) tensors.add(tensor);
    for (const value of usesOf(graph, node.index)) {
      const tensor = graph.initializers.get(value);
      if (tensor !== undefined) tensors.add(tensor);
    }
  }
  return tensors;
}

/** Where a tensor's elements lie; null for one that is part of the structure. */
export function rangeOf(structure: ModelStructure, tensor: TensorProto): FileRange | null {
  const reference = externalReferenceOf(tensor);
  if (reference === null || structure.weightFolder === null) return null;
  const { location, byteOffset, byteLength } = reference;
  return {
    path: realPathOf(structure, structure.weightFolder, location),
    byteOffset,
    byteLength: byteLength ?? storedByteLengthOf(tensor),
  };
}

const REAL_PATHS = new WeakMap<ModelStructure, Map<string, string>>();

/** The kernel lists mappings by real path; a model has few files and many weights. */
function realPathOf(structure: ModelStructure, folder: string, location: string): string {
  const known = REAL_PATHS.get(structure) ?? new Map<string, string>();
  REAL_PATHS.set(structure, known);
  const path = known.get(location) ?? realpathSync(join(folder, location));
  known.set(location, path);
  return path;
}

function storedByteLengthOf(tensor: TensorProto): number {
  const bits = dtypeFromOnnx(tensor.dataType)?.bitWidth ?? 0;
  return Math.ceil(tensor.dims.reduce((count, size) => count * Number(size), 1) * bits / 8);
}

/** Constant operators over weights in files: their results would take memory of their own. */
function foldingOf(structure: ModelStructure, nodes: readonly GraphNode[]): readonly string[] {
  const { graph } = structure;
  const readsFile = (node: NodeProto): boolean =>
    node.input.some((value) => {
      const tensor = graph.initializers.get(value);
      return tensor !== undefined && rangeOf(structure, tensor) !== null;
    });
  const found = nodes.filter((node) =>
    node.isConstant && node.opType !== "Constant" && readsFile(node.proto)
  );
  return [...new Set(found.map((node) => node.opType))].sort();
}

function byPlace(left: FileRange, right: FileRange): number {
  if (left.path !== right.path) return left.path < right.path ? -1 : 1;
  return left.byteOffset - right.byteOffset;
}
