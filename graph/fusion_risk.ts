// Which values ONNX Runtime would not compute by themselves at a high optimization level, because it
// fuses the node that makes them with the one node that reads them. Making such a value visible, or
// cutting after it, ends the fusion, and the last digits of later values may change. A table of pairs
// can only say "may": `hookline verify` measures.
//
// Source: the transformers of onnxruntime/core/optimizer, ONNX Runtime 1.29 (CPU): MatMulAddFusion,
// GemmActivationFusion, ConvActivationFusion, Conv{Add,Mul,BN}Fusion, BiasGeluFusion, GeluFusion,
// LayerNormFusion, SkipLayerNormFusion, MatmulTransposeFusion, MatMulScaleFusion, QuickGeluFusion.

import type { ModelGraph } from "./model_graph.ts";

const ACTIVATIONS: readonly string[] = [
  "Relu",
  "Sigmoid",
  "Tanh",
  "LeakyRelu",
  "Clip",
  "HardSigmoid",
];

/** Operators that are fused with the only reader of their output, by the reader's operator. */
const FUSED_WITH: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["MatMul", new Set(["Add", "Div", "Mul", "Transpose"])],
  ["Gemm", new Set(ACTIVATIONS)],
  ["Conv", new Set([...ACTIVATIONS, "BatchNormalization", "Add", "Mul"])],
  ["Transpose", new Set(["MatMul"])],
  [
    "Add",
    new Set([
      "LayerNormalization",
      "SimplifiedLayerNormalization",
      "Gelu",
      "FastGelu",
      "Sqrt",
      "Mul",
    ]),
  ],
  ["Div", new Set(["Erf", "Mul"])],
  ["Erf", new Set(["Add"])],
  ["Mul", new Set(["Mul", "Sigmoid", "MatMul"])],
  ["Sigmoid", new Set(["Mul"])],
  ["ReduceMean", new Set(["Sub", "Add"])],
  ["Pow", new Set(["ReduceMean"])],
  ["Sqrt", new Set(["Div"])],
]);

/**
 * The pair of operators that a tap or cut at `value` may keep from being fused, such as
 * `"Add → LayerNormalization"`; null when none is known. A value that several nodes read, or that is an
 * output already, stands alone anyway.
 */
export function fusionRisk(graph: ModelGraph, value: string): string | null {
  const producer = graph.producerOf(value);
  const [reader, ...others] = graph.consumersOf(value);
  if (producer === undefined || reader === undefined || others.length > 0) return null;
  if (graph.outputs.includes(value)) return null;
  const [made, read] = [graph.nodes[producer]?.opType ?? "", graph.nodes[reader]?.opType ?? ""];
  return FUSED_WITH.get(made)?.has(read) === true ? `${made} → ${read}` : null;
}
