// Which parameters a set of nodes uses: initializers, directly or through constant nodes, and weights
// that the exporter wrote as Constant nodes. It knows names and shapes, never elements.

import type { TensorProto } from "onnx-buf";
import type { GraphNode, ModelGraph } from "./model_graph.ts";

const FLOAT_TYPES: ReadonlySet<number> = new Set([1, 10, 11, 16]);
const BYTE_TYPES: ReadonlySet<number> = new Set([2, 3]);

/** Finds parameters; what it has found of constants it keeps. */
export class ModuleParameters {
  readonly #behind = new Map<GraphNode, readonly string[]>();

  /** Names of the parameters that ascending live nodes use, in order of first use. */
  of(graph: ModelGraph, nodes: readonly number[]): readonly string[] {
    const found = new Set<string>();
    for (const index of nodes) {
      const node = graph.nodes[index] as GraphNode;
      for (const value of node.inputs) this.#add(graph, value, found);
      for (const value of node.captures) this.#add(graph, value, found);
    }
    return [...found];
  }

  #add(graph: ModelGraph, value: string, found: Set<string>): void {
    if (value === "") return;
    for (let level: ModelGraph | null = graph; level !== null; level = level.outer) {
      const producer = level.producerOf(value);
      if (producer !== undefined) {
        const node = level.nodes[producer];
        if (node?.isConstant === true) {
          for (const name of this.#behindConstant(level, node)) found.add(name);
        }
        return;
      }
      if (level.initializers.has(value) || level.isSparseInitializer(value)) {
        found.add(value);
        return;
      }
      if (level.proto.input.some((input) => input.name === value)) return;
    }
  }

  /** Constant nodes come before their users in node order, so the depth is walked without recursion. */
  #behindConstant(graph: ModelGraph, node: GraphNode): readonly string[] {
    const pending = [node];
    const seen = new Set<GraphNode>(pending);
    const known = this.#behind.get(node);
    if (known !== undefined) return known;
    const found = new Set<string>();
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (next.opType === "Constant") {
        if (holdsWeights(next)) found.add(next.outputs[0] ?? "");
        continue;
      }
      for (const value of next.inputs) {
        const producer = graph.nodes[graph.producerOf(value) ?? -1];
        if (producer === undefined) this.#add(graph, value, found);
        else if (!seen.has(producer)) {
          seen.add(producer);
          pending.push(producer);
        }
      }
    }
    const names = [...found];
    this.#behind.set(node, names);
    return names;
  }
}

/** Paddle2ONNX names its weights. */
const WEIGHT_NAME = /\.[wb]_\d+(?:_\d+)?$/;

function holdsWeights(node: GraphNode): boolean {
  const tensor: TensorProto | undefined = node.proto.attribute.find((attribute) =>
    attribute.name === "value"
  )?.t;
  if (tensor === undefined || tensor.dims.length === 0) return false;
  if (WEIGHT_NAME.test(node.outputs[0] ?? "")) return true;
  const count = tensor.dims.reduce((product, size) => product * size, 1n);
  if (FLOAT_TYPES.has(tensor.dataType)) return count >= 2n;
  return BYTE_TYPES.has(tensor.dataType) && count >= 16n;
}
