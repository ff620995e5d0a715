import type { ModelGraph } from "./model_graph.ts";
import type { Naming } from "./naming_evidence.ts";
/** STUB */
export function nameByTopology(_graph: ModelGraph, naming: Naming): Naming {
  return naming;
}
