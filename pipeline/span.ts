// A span: consecutive sibling modules taken as one, so that a hook can replace or skip many blocks at
// once. To hooks and plans it is a module like any other.

import { HooklineError } from "../errors/hookline_error.ts";
import { indexLiveGraph, isConvex } from "../graph/convexity.ts";
import type { GraphModule } from "../graph/graph_module.ts";
import { boundaryOf } from "../graph/module_boundary.ts";
import { selectSpan } from "../graph/selector.ts";
import type { ModelStructure } from "./model_structure.ts";

/**
 * The module that a span is, its pattern as path.
 *
 * @throws {HooklineError} MODULE_SPAN_INVALID when the modules are not consecutive siblings or cannot
 * run as one, MODULE_INSIDE_BODY, HOOK_MATCH_EMPTY.
 */
export function spanModule(structure: ModelStructure, pattern: string): GraphModule {
  const { graph, tree } = structure;
  const parts = selectSpan(tree, pattern);
  const inside = parts.find((part) => part.insideBody !== null);
  if (inside !== undefined) {
    throw new HooklineError("MODULE_INSIDE_BODY", {
      message:
        `cannot hook the span "${pattern}": "${inside.path}" lies inside the body of ${inside.insideBody}`,
      fix: "hook the module around the control flow instead",
      details: { span: pattern, module: inside.path },
    });
  }
  // Nodes between two blocks that belong to neither (a mask, a skip connection) stay outside.
  const nodes = [...new Set(parts.flatMap((part) => part.calls.flatMap((call) => call.nodes)))]
    .sort((left, right) => left - right);
  const convex = isConvex(indexLiveGraph(graph), nodes);
  const reason = convex ? null : "a path leaves the span and comes back";
  return {
    path: pattern,
    className: null,
    parent: parts[0]?.parent ?? "",
    children: parts.map((part) => part.path),
    calls: [{ nodes, ...boundaryOf(graph, nodes), isConvex: convex }],
    parameters: [...new Set(parts.flatMap((part) => part.parameters))],
    evidence: parts[0]?.evidence ?? "user",
    isCuttable: convex,
    reason,
    insideBody: null,
  };
}
