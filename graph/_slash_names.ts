// The dialect with a leading slash: `/encoder/layer.0/attention/self/query/MatMul`. TorchScript's
// exporter (torch >= 1.13), the onnxruntime-genai builder and what ONNX Runtime's optimiser leaves of
// either speak it. It cuts a node's name or its first output's name down to the scope; what a scope
// means is for scope_alignment.

import type { EvidenceKind } from "./graph_module.ts";
import type { GraphNode } from "./model_graph.ts";

/** What a fusion of ONNX Runtime adds behind the name of a node that it keeps. */
const FUSION_TAIL = /(?:\/+[A-Za-z0-9_]*fus(?:ion|ed)[A-Za-z0-9_]*)+\/*$/i;

/** What spox puts in front of the names of a model that it has inlined. */
const INLINED = /^([^/]*?)_*Inline_\d+__(?=\/)/;
/** Deeper scopes are no module paths. */
const DEPTH_MAX = 64;

/** A scope, `""` for the root, and what holds it. */
export interface SlashScope {
  /** The text up to the operator. */
  readonly scope: string;
  /** Which name held it. */
  readonly evidence: EvidenceKind;
}

/** A node's scope; null when neither its name nor that of its first output holds one. */
export function slashScope(node: GraphNode): SlashScope | null {
  const byName = slashScopeOfName(node.name);
  if (byName !== null) return byName;
  const output = node.outputs.find((value) => value !== "") ?? "";
  if (!output.startsWith("/")) return null;
  return bounded(withoutOperator(output.replace(/[/_]output_\d+$/, "")), "valueNames");
}

/** The scope in the name of a node. */
export function slashScopeOfName(name: string): SlashScope | null {
  const bare = (name.startsWith("fused /") ? name.slice("fused ".length) : name)
    .replace(INLINED, (_, prefix: string) => prefix === "" ? "" : `/${prefix}`);
  if (!bare.startsWith("/")) return null;
  return bounded(withoutOperator(bare.replace(FUSION_TAIL, "")), "nodeNames");
}

function bounded(scope: string, evidence: EvidenceKind): SlashScope | null {
  return scope.length > 1024 || scope.split("/").length > DEPTH_MAX ? null : { scope, evidence };
}

function withoutOperator(name: string): string {
  const slash = name.replace(/\/+$/, "").lastIndexOf("/");
  return slash <= 0 ? "" : name.slice(0, slash);
}
