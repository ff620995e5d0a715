// STUB
import type { NodeProto } from "onnx-buf";
import type { FunctionFrame } from "./function_frame.ts";
import type { GraphNode, ModelGraph } from "./model_graph.ts";
import type { DialectPlace } from "./naming_evidence.ts";
import type { ParameterNames } from "./parameter_names.ts";

/** The places that inlined function calls give. */
export function functionPlaces(
  _graphs: readonly ModelGraph[],
  _frames: ReadonlyMap<NodeProto, readonly FunctionFrame[]>,
  _parameters: ParameterNames,
): Map<GraphNode, DialectPlace> {
  return new Map();
}
