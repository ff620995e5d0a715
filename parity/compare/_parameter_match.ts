// Which modules belong together by the shapes of their weights and the order in which they run: for two
// exports of one network that share neither names nor operators.

import type { GraphModule, ModuleTree } from "../../graph/graph_module.ts";
import type { ModelGraph } from "../../graph/model_graph.ts";
import type { ModelStructure } from "../../pipeline/model_structure.ts";
import { modulesOf } from "./module_pairs.ts";

/** Pairs of modules beyond which no common subsequence is looked for. */
const MOST_COMPARED = 25_000_000;

/**
 * Adds partners to those that are known: modules of equal shapes, inside modules that belong together, in
 * execution order. First those of which both sides have as many, because the homes of others follow from
 * them; then a longest common subsequence of the rest.
 *
 * @param partners The candidate's module for each of the reference's.
 */
export function matchByParameters(
  reference: ModelStructure,
  candidate: ModelStructure,
  partners: Map<GraphModule, GraphModule>,
): void {
  for (;;) {
    const { left, right, lefts, rights } = openKeys(reference, candidate, partners);
    if (left.length === 0 || right.length === 0) return;
    const before = partners.size;
    for (const key of new Set(lefts)) {
      const ones = left.filter((_, index) => lefts[index] === key);
      const others = right.filter((_, index) => rights[index] === key);
      if (key === null || ones.length !== others.length) continue;
      for (const [index, one] of ones.entries()) partners.set(one, others[index] as GraphModule);
    }
    if (partners.size > before) continue;
    if (left.length * right.length > MOST_COMPARED) return;
    for (const [one, other] of commonSubsequence(lefts, rights)) {
      partners.set(left[one] as GraphModule, right[other] as GraphModule);
    }
    return;
  }
}

/** The modules without a partner on both sides, and what each must have in common with its partner. */
function openKeys(
  reference: ModelStructure,
  candidate: ModelStructure,
  partners: ReadonlyMap<GraphModule, GraphModule>,
) {
  const homes = new Map([...partners].map(([module, partner]) => [partner, module]));
  const left = withParameters(reference.tree).filter((one) => !partners.has(one));
  const right = withParameters(candidate.tree).filter((one) => !homes.has(one));
  const isMatched = (one: GraphModule) => partners.has(one) ? one : undefined;
  return {
    left,
    right,
    lefts: left.map((module) => keyOf(reference, module, isMatched)),
    rights: right.map((module) => keyOf(candidate, module, (one) => homes.get(one))),
  };
}

function keyOf(
  { graph, tree }: ModelStructure,
  module: GraphModule,
  partnerOf: (module: GraphModule) => GraphModule | undefined,
): string | null {
  const weights = parameterKey(graph, module);
  if (weights === "") return null;
  return `${homeOf(tree, module, partnerOf)?.path ?? ""} ${module.calls.length} ${weights}`;
}

function withParameters(tree: ModuleTree): GraphModule[] {
  return modulesOf(tree).filter((module) => module.parameters.length > 0);
}

/** `TensorProto.DataType` of what holds sizes and places, not weights: int32, int64 and bool. */
const SIZE_TYPES: ReadonlySet<number> = new Set([6, 7, 9]);

/** Shapes of a module's weights, sorted; `""` when it has none. */
function parameterKey(graph: ModelGraph, module: GraphModule): string {
  return module.parameters.flatMap((name) => {
    const tensor = graph.initializers.get(name);
    if (tensor === undefined || SIZE_TYPES.has(tensor.dataType)) return [];
    if (tensor.dims.every((size) => size === 1n)) return [];
    return [[...tensor.dims].sort().join("x")];
  }).sort().join(" ");
}

/** The nearest enclosing module that has a partner, as the reference has it. */
function homeOf(
  tree: ModuleTree,
  module: GraphModule,
  partnerOf: (module: GraphModule) => GraphModule | undefined,
): GraphModule | undefined {
  for (let path = module.parent; path !== null && path !== "";) {
    const around = tree.get(path);
    if (around === undefined) return undefined;
    const partner = partnerOf(around);
    if (partner !== undefined) return partner;
    path = around.parent;
  }
  return undefined;
}

/** Index pairs of a longest common subsequence; null is equal to nothing. */
function commonSubsequence(
  left: readonly (string | null)[],
  right: readonly (string | null)[],
): [number, number][] {
  const width = right.length + 1;
  const lengths = new Uint32Array((left.length + 1) * width);
  for (let row = left.length - 1; row >= 0; row--) {
    for (let column = right.length - 1; column >= 0; column--) {
      lengths[row * width + column] = left[row] !== null && left[row] === right[column]
        ? 1 + (lengths[(row + 1) * width + column + 1] as number)
        : Math.max(
          lengths[(row + 1) * width + column] as number,
          lengths[row * width + column + 1] as number,
        );
    }
  }
  const pairs: [number, number][] = [];
  for (let row = 0, column = 0; row < left.length && column < right.length;) {
    if (left[row] !== null && left[row] === right[column]) pairs.push([row++, column++]);
    else if (
      (lengths[(row + 1) * width + column] as number) >=
        (lengths[row * width + column + 1] as number)
    ) row++;
    else column++;
  }
  return pairs;
}
