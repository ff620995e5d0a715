// The operators of one type inside a module, taken as a module: `encoder.layer.0.attention::Softmax`.
// Attention weights and router scores are no module's output, yet a node computes them; this names them
// without value names, which differ from export to export. Each such node is one call.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { GraphModule } from "../graph/graph_module.ts";
import { boundaryOf } from "../graph/module_boundary.ts";
import { type ModuleSelector, selectModules } from "../graph/selector.ts";
import type { ModelStructure } from "./model_structure.ts";

const FORM = /^([^]*)::([A-Za-z_][A-Za-z0-9_]*)$/;

/** What `MODULE::Operator` names, or null for text of another form and for a module's own path. */
export function parseOperatorPath(
  structure: ModelStructure,
  text: string,
): { readonly module: string; readonly opType: string } | null {
  const [, module, opType] = FORM.exec(text) ?? [];
  if (module === undefined || opType === undefined) return null;
  return structure.tree.get(text) === undefined ? { module, opType } : null;
}

/**
 * The operators of a type inside a module, each node one call, in the order of the graph.
 *
 * @throws {HooklineError} HOOK_MATCH_EMPTY when the module holds no such operator; the nearest operator
 * types are named.
 */
export function operatorModule(
  structure: ModelStructure,
  module: GraphModule,
  opType: string,
): GraphModule {
  const found = findOperators(structure, module, opType);
  if (found !== null) return found;
  const { graph } = structure;
  const types = nodesOf(module).map((node) => graph.nodes[node]?.opType ?? "");
  const held = [...new Set(types)].sort();
  const nearest = nearestNames(opType, held);
  const shown = module.path === "" ? "the model" : `"${module.path}"`;
  throw new HooklineError("HOOK_MATCH_EMPTY", {
    message: `"${module.path}::${opType}" matches nothing: ${shown} holds no ${opType} operator`,
    fix: nearest.length > 0
      ? `did you mean ${nearest.map((name) => `"${module.path}::${name}"`).join(" or ")}?`
      : `the exporter may have fused it into another operator; ${shown} holds ${
        held.slice(0, 20).join(", ") || "none"
      }${held.length > 20 ? ` and ${held.length - 20} more types` : ""}`,
    details: { pattern: `${module.path}::${opType}`, nearest },
  });
}

/**
 * The modules of a selector; its texts of the form `SELECTOR::Operator`, alone or in a list, name the
 * operators inside the modules that `SELECTOR` finds. Modules without such an operator are passed over.
 *
 * @throws {HooklineError} HOOK_MATCH_EMPTY, SELECTOR_SYNTAX.
 */
export function selectWithOperators(
  structure: ModelStructure,
  selector: ModuleSelector,
): readonly GraphModule[] {
  const texts = typeof selector === "string" ? [selector] : Array.isArray(selector) ? selector : [];
  const isOperator = (member: ModuleSelector): member is string =>
    typeof member === "string" && parseOperatorPath(structure, member) !== null;
  if (!texts.some(isOperator)) return selectModules(structure.tree, selector);
  const operators = texts.filter(isOperator).flatMap((text) => selectOperators(structure, text));
  const others = texts.filter((member) => !isOperator(member));
  const modules = others.length === 0 ? [] : selectModules(structure.tree, others);
  const byPath = new Map([...modules, ...operators].map((module) => [module.path, module]));
  return Object.freeze([...byPath.values()]);
}

function selectOperators(structure: ModelStructure, text: string): GraphModule[] {
  const parsed = parseOperatorPath(structure, text);
  if (parsed === null) return [];
  const modules = selectModules(structure.tree, parsed.module);
  const found = modules.flatMap((module) => findOperators(structure, module, parsed.opType) ?? []);
  const [first] = modules;
  return found.length > 0 || first === undefined
    ? found
    : [operatorModule(structure, first, parsed.opType)];
}

function findOperators(
  structure: ModelStructure,
  module: GraphModule,
  opType: string,
): GraphModule | null {
  const { graph } = structure;
  if (module.insideBody !== null) return null;
  const nodes = nodesOf(module).filter((node) => graph.nodes[node]?.opType === opType);
  if (nodes.length === 0) return null;
  return {
    path: `${module.path}::${opType}`,
    className: opType,
    parent: module.path,
    children: [],
    calls: nodes.map((node) => ({ nodes: [node], ...boundaryOf(graph, [node]), isConvex: true })),
    parameters: [],
    evidence: module.evidence,
    isCuttable: true,
    reason: null,
    insideBody: null,
  };
}

function nodesOf(module: GraphModule): readonly number[] {
  return [...new Set(module.calls.flatMap((call) => call.nodes))].sort((left, right) =>
    left - right
  );
}
