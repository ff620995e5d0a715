// Which values of a part ONNX Runtime must know the length of: a Resize whose `sizes` has no known length is
// refused when a session opens. In the whole model the length may follow from numbers that ONNX Runtime
// traced through Shape, Gather and Slice; a cut hides the numbers, and with them the length.

import type { ModelGraph } from "./model_graph.ts";

/** Where a Resize takes its target size. Source: the operator's own list of inputs. */
const SIZES_INPUT = 3;

/** The values that Resize nodes among these take as `sizes`, constants left out; each once. */
export function targetSizes(graph: ModelGraph, nodes: readonly number[]): readonly string[] {
  const found = new Set<string>();
  for (const index of nodes) {
    const node = graph.nodes[index];
    if (node?.opType !== "Resize") continue;
    const sizes = node.inputs[SIZES_INPUT] ?? "";
    if (sizes !== "" && !graph.isConstantValue(sizes)) found.add(sizes);
  }
  return [...found];
}
