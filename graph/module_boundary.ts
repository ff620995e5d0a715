// What crosses the border of a set of nodes: values that it reads from outside and values that outside
// reads from it. Constants and initializers never cross: whoever needs them copies them.

import type { GraphNode, ModelGraph } from "./model_graph.ts";

/** The border of a set of nodes. */
export interface NodeBoundary {
  /** Non-constant values used and not computed inside, in order of first use. */
  readonly inputs: string[];
  /** Values computed inside that are used outside or are outputs of the graph, in node order. */
  readonly outputs: string[];
}

/** The border of ascending live nodes of a level. */
export function boundaryOf(graph: ModelGraph, nodes: readonly number[]): NodeBoundary {
  const inside = new Set(nodes);
  const graphOutputs = graphOutputsOf(graph);
  const inputs = new Set<string>();
  const outputs: string[] = [];
  const use = (value: string): void => {
    if (value === "" || inputs.has(value)) return;
    const producer = graph.producerOf(value);
    if (producer !== undefined ? inside.has(producer) : false) return;
    if (!graph.isConstantValue(value)) inputs.add(value);
  };
  for (const index of nodes) {
    const node = graph.nodes[index] as GraphNode;
    node.inputs.forEach(use);
    node.captures.forEach(use);
    for (const value of node.outputs) {
      if (value === "") continue;
      if (
        graphOutputs.has(value) ||
        graph.consumersOf(value).some((consumer) => !inside.has(consumer))
      ) outputs.push(value);
    }
  }
  return { inputs: [...inputs], outputs };
}

const OUTPUT_SETS = new WeakMap<ModelGraph, ReadonlySet<string>>();

function graphOutputsOf(graph: ModelGraph): ReadonlySet<string> {
  let outputs = OUTPUT_SETS.get(graph);
  if (outputs === undefined) OUTPUT_SETS.set(graph, outputs = new Set(graph.outputs));
  return outputs;
}
