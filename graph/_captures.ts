// What the bodies of a node take from outside: scoping in one place, without any graph built yet.

import type { GraphProto, NodeProto } from "onnx-buf";

/** Outer values that a node's bodies use: names that the body neither declares nor computes. */
export function capturesOf(proto: NodeProto): readonly string[] {
  const found = new Set<string>();
  for (const attribute of proto.attribute) {
    if (attribute.g !== undefined) addFreeNames(attribute.g, found);
    for (const graph of attribute.graphs) addFreeNames(graph, found);
  }
  return found.size === 0 ? NO_NAMES : [...found];
}

const NO_NAMES: readonly string[] = Object.freeze([]);

function addFreeNames(graph: GraphProto, found: Set<string>): void {
  const own = new Set<string>();
  for (const input of graph.input) own.add(input.name);
  for (const tensor of graph.initializer) own.add(tensor.name);
  for (const sparse of graph.sparseInitializer) own.add(sparse.values?.name ?? "");
  for (const node of graph.node) for (const output of node.output) own.add(output);
  for (const node of graph.node) {
    for (const input of node.input) if (input !== "" && !own.has(input)) found.add(input);
    for (const capture of capturesOf(node)) if (!own.has(capture)) found.add(capture);
  }
  for (const output of graph.output) if (!own.has(output.name)) found.add(output.name);
}
