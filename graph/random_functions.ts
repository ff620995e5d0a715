// Which model-local functions draw random numbers, directly or through others: their calls are never
// constant, whatever their inputs are.

import type { ModelProto, NodeProto } from "onnx-buf";
import { functionKey } from "./inline_functions.ts";
import { RANDOM_OPERATORS } from "./model_graph.ts";

/** `domain:name` of every function of the model that draws; overloads are not told apart. */
export function randomFunctions(model: ModelProto): ReadonlySet<string> {
  const callers = new Map<string, string[]>();
  const found = new Set<string>();
  for (const definition of model.functions) {
    const caller = keyOf(definition.domain, definition.name);
    const visit = (node: NodeProto): void => {
      if (RANDOM_OPERATORS.has(node.opType)) found.add(caller);
      const callee = keyOf(node.domain, node.opType);
      const known = callers.get(callee);
      if (known === undefined) callers.set(callee, [caller]);
      else known.push(caller);
      for (const attribute of node.attribute) {
        attribute.g?.node.forEach(visit);
        for (const graph of attribute.graphs) graph.node.forEach(visit);
      }
    };
    definition.node.forEach(visit);
  }
  for (const key of found) { // a Set also hands out what is added meanwhile
    for (const caller of callers.get(key) ?? []) found.add(caller);
  }
  return found;
}

function keyOf(domain: string, name: string): string {
  return functionKey(domain, name, "").slice(0, -1);
}
