// The dialect with a leading slash: `/encoder/layer.0/attention/self/query/MatMul`. TorchScript's
// exporter (torch >= 1.13), the onnxruntime-genai builder and what ONNX Runtime's optimiser leaves of
// either speak it. It cuts a node's name or its first output's name down to the scope; what a scope
// means is for scope_alignment.

import type { EvidenceKind } from "./graph_module.ts";
import type { GraphNode, ModelGraph } from "./model_graph.ts";

/** What a fusion of ONNX Runtime adds behind the name of a node that it keeps. */
const FUSION_TAIL = /\/[A-Za-z0-9]*(?:Fusion|Fused)[A-Za-z0-9]*\/?$/;

/** True when some live node carries a scope. */
export function isSlashDialect(graph: ModelGraph): boolean {
  return graph.nodes.some((node) => !node.isConstant && slashScope(node) !== null);
}

/** A node's scope, `""` for the root, with what holds it; null when neither name is a scope. */
export function slashScope(node: GraphNode): { scope: string; evidence: EvidenceKind } | null {
  const name = node.name.startsWith("fused /") ? node.name.slice("fused ".length) : node.name;
  if (name.startsWith("/")) {
    return { scope: withoutOperator(name.replace(FUSION_TAIL, "")), evidence: "nodeNames" };
  }
  const output = node.outputs.find((value) => value !== "") ?? "";
  if (!output.startsWith("/")) return null;
  return {
    scope: withoutOperator(output.replace(/[/_]output_\d+$/, "")),
    evidence: "valueNames",
  };
}

function withoutOperator(name: string): string {
  const slash = name.replace(/\/+$/, "").lastIndexOf("/");
  return slash <= 0 ? "" : name.slice(0, slash);
}
