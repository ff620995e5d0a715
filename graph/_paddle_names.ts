// The dialect of Paddle2ONNX: nodes are `p2o.Add.66`, weights are Constants named `conv2d_394.w_0`, and
// the value that a Paddle layer ends with is `relu_0.tmp_0`. There is no tree: the modules are the
// layer instances. A layer that became several nodes begins behind the last value that another names.

import type { GraphNode, ModelGraph } from "./model_graph.ts";
import type { DialectPlace } from "./_node_place.ts";
import type { ParameterNames } from "./_parameter_names.ts";

const LAYER_VALUE = /^([A-Za-z][A-Za-z0-9_]*_\d+)\.tmp_\d+$/;
/** Layers with weights that the converter takes apart; others with weights are one node each. */
const COMPOSITE_LAYER = /^(?:layer|group|instance)_norm/;

/** True when a model comes from Paddle2ONNX. */
export function isPaddleDialect(graph: ModelGraph): boolean {
  return graph.nodes.some((node) => node.name.startsWith("p2o."));
}

/** The places that layer names give. */
export function paddlePlaces(
  graph: ModelGraph,
  parameters: ParameterNames,
): Map<GraphNode, DialectPlace> {
  const places = new Map<GraphNode, DialectPlace>();
  const growing: GraphNode[] = [];
  for (const node of graph.nodes) {
    if (node.isConstant) continue;
    const vote = parameters.votesOf(node)[0];
    const layer = vote ?? layerOf(node);
    if (layer === null) continue;
    const evidence = vote === undefined ? "valueNames" : "parameterNames";
    places.set(node, { path: layer, evidence, call: null, calledPaths: [layer] });
    if (vote === undefined || COMPOSITE_LAYER.test(layer)) growing.push(node);
  }
  for (const last of growing) {
    const place = places.get(last);
    const pending = [last];
    for (
      let node = pending.pop();
      node !== undefined && place !== undefined;
      node = pending.pop()
    ) {
      for (const value of node.inputs) {
        const producer = graph.nodes[graph.producerOf(value) ?? -1];
        if (producer === undefined || producer.isConstant || places.has(producer)) continue;
        places.set(producer, place);
        pending.push(producer);
      }
    }
  }
  return places;
}

function layerOf(node: GraphNode): string | null {
  for (const value of node.outputs) {
    const layer = LAYER_VALUE.exec(value)?.[1];
    if (layer !== undefined) return layer;
  }
  return null;
}
