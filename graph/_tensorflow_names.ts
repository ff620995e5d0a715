// The dialect of TensorFlow, Keras and JAX converters: `model/conv2d/Conv2D__6`, no leading slash.
// Operators open scopes of their own that look like modules; those known are left out. It cuts a name
// down to a module path and knows nothing else.

import type { GraphNode, ModelGraph } from "./model_graph.ts";

const PRODUCER = /tf2onnx|keras|tensorflow|tflite|jax/i;
/** Wrappers of the whole graph that are no module. */
const WRAPPER = /^(?:StatefulPartitionedCall|PartitionedCall|jax2tf.*|pjit.*|jit\(.*|xla.*)$/;
/** Scopes that operators open below a layer. */
const OPERATOR_SCOPE = new RegExp(
  "^(?:batchnorm|moments|[Tt]ensordot|strided_slice|einsum|Einsum|SelectV2|separable_conv2d|" +
    "depthwise|Conv[123]D|BiasAdd|MatMul|ExpandDims|Squeeze|Reshape|assert.*|cond|while)" +
    "(?:_\\d+)?$",
);

/** True when a model's names look like TensorFlow's. */
export function isTensorFlowDialect(graphs: readonly ModelGraph[], producer: string): boolean {
  let innerSlashCount = 0;
  let leadingSlashCount = 0;
  let liveCount = 0;
  for (const graph of graphs) {
    for (const node of graph.nodes) {
      if (node.isConstant) continue;
      liveCount++;
      if (node.name.startsWith("/")) leadingSlashCount++;
      else if (node.name.includes("/")) innerSlashCount++;
    }
  }
  if (innerSlashCount === 0 || leadingSlashCount > 0) return false;
  return PRODUCER.test(producer) || innerSlashCount > liveCount * 0.3;
}

/** The module path in a node's name, or null when it has none. */
export function tensorFlowPath(node: GraphNode): string | null {
  const part = node.name.slice(node.name.lastIndexOf(";") + 1).replace(/:\d+$/, "");
  const slash = part.lastIndexOf("/");
  if (slash <= 0) return null;
  const segments = part.slice(0, slash).split("/").filter((segment) => segment !== "");
  while (segments.length > 0 && WRAPPER.test(segments[0] ?? "")) segments.shift();
  while (segments.length > 1 && isOperatorScope(segments)) segments.pop();
  const components = segments.flatMap(segmentComponents);
  return components.join(".");
}

function isOperatorScope(segments: readonly string[]): boolean {
  const last = segments[segments.length - 1] ?? "";
  const before = segments[segments.length - 2] ?? "";
  return OPERATOR_SCOPE.test(last) || before === last || before.startsWith(`${last}_`);
}

/** `layer_._0` is how Hugging Face's TensorFlow models write `layer.0`; other dots are part of a name. */
function segmentComponents(segment: string): string[] {
  return segment.split("_._").map((part) => part.replaceAll(".", "_").replace(/__\d+$/, ""))
    .filter((part) => part !== "");
}
