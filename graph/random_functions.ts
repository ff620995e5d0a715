// Which model-local functions draw random numbers, directly or through others: their calls are never
// constant, whatever their inputs are.

import type { GraphProto, ModelProto, NodeProto } from "onnx-buf";
import { functionKey } from "./inline_functions.ts";
import { RANDOM_OPERATORS } from "./model_graph.ts";

/** `domain:name` of every function of the model that draws. */
export function randomFunctions(model: ModelProto): ReadonlySet<string> {
  const found = new Set<string>();
  const keyOf = (node: NodeProto): string => functionKey(node.domain, node.opType, "").slice(0, -1);
  const draws = (node: NodeProto): boolean =>
    RANDOM_OPERATORS.has(node.opType) || found.has(keyOf(node)) ||
    node.attribute.some((attribute) =>
      [...(attribute.g === undefined ? [] : [attribute.g]), ...attribute.graphs].some((
        graph: GraphProto,
      ) => graph.node.some(draws))
    );
  for (let changed = true; changed;) {
    changed = false;
    for (const definition of model.functions) {
      const key = functionKey(definition.domain, definition.name, "").slice(0, -1);
      if (found.has(key) || !definition.node.some(draws)) continue;
      found.add(key);
      changed = true;
    }
  }
  return found;
}
