// Calls of two models that belong together, as data, and what is left when some of them turn out not to.

import type { GraphModule, ModuleCall, ModuleTree } from "../../graph/graph_module.ts";
import type { UnmatchedModule } from "./compare_report.ts";
import type { NodeAlignment } from "./node_alignment.ts";

/** What told that two modules belong together. */
export type MatchedBy = "path" | "prefix" | "structure";

/** One call of a module, or the part of the candidate that stands for it. */
export type CallPart = Pick<ModuleCall, "nodes" | "inputs" | "outputs">;

/** A call of the reference with its partner. */
export interface CallPair {
  /** The module's path in the reference. */
  readonly module: string;
  /** Its path in the candidate; the reference's where the candidate has no module of its own for it. */
  readonly candidateModule: string;
  readonly className: string | null;
  /** Which call of the module, from 0. */
  readonly call: number;
  readonly by: MatchedBy;
  readonly reference: CallPart;
  readonly candidate: CallPart;
}

/** What belongs together. */
export interface ModuleMatch {
  /** Pairs of calls, the root first, in the order of the reference's modules. */
  readonly pairs: readonly CallPair[];
  readonly onlyReference: readonly UnmatchedModule[];
  readonly onlyCandidate: readonly UnmatchedModule[];
  /** Modules by what told. The root, which belongs together always, is not counted. */
  readonly matchedBy: Readonly<Record<MatchedBy, number>>;
  readonly alignment: NodeAlignment;
  /** True when almost every node has a partner: then the two files hold one graph. */
  readonly isOneGraph: boolean;
  readonly notes: readonly string[];
}

/** The match without some pairs, whose modules then have no partner. */
export function withoutPairs(
  match: ModuleMatch,
  refuted: ReadonlySet<CallPair>,
  why: string,
): ModuleMatch {
  const pairs = match.pairs.filter((pair) => !refuted.has(pair));
  const [left, right] = [new Map<string, string | null>(), new Map<string, string | null>()];
  for (const pair of refuted) {
    if (pairs.some(({ module }) => module === pair.module)) continue;
    left.set(pair.module, pair.className);
    if (pair.candidateModule !== pair.module) right.set(pair.candidateModule, null);
  }
  const list = (modules: ReadonlyMap<string, string | null>): UnmatchedModule[] =>
    [...modules].map(([module, className]) => ({ module, className, why }));
  return {
    ...match,
    pairs,
    matchedBy: countModules(pairs),
    onlyReference: [...match.onlyReference, ...list(left)],
    onlyCandidate: [...match.onlyCandidate, ...list(right)],
  };
}

/** How many modules were matched, by what told. */
export function countModules(pairs: readonly CallPair[]): Record<MatchedBy, number> {
  const matchedBy = { path: 0, prefix: 0, structure: 0 };
  const counted = new Set<string>([""]);
  for (const { module, by } of pairs) {
    if (!counted.has(module)) matchedBy[by]++;
    counted.add(module);
  }
  return matchedBy;
}

/** The modules that can be run: not the root, not lists, not what lies in a body. */
export function modulesOf(tree: ModuleTree): GraphModule[] {
  return tree.modules.filter((module) =>
    module.path !== "" && module.insideBody === null && module.calls.length > 0
  );
}
