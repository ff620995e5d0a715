// The smallest groups of nodes whose outputs have a partner on the other side: what lies between one
// anchor and those before it. Fed with the reference's values, each can be judged alone. It knows no
// session.

import type { ModelGraph } from "../../graph/model_graph.ts";
import { usesOf } from "../../graph/sub_model.ts";

/** Nodes between anchors. */
export interface NodeGroup {
  /** Indices of live nodes, ascending. */
  readonly nodes: readonly number[];
  /** Anchored values that the group's last node computes. */
  readonly outputs: readonly string[];
}

/**
 * The groups of `scope`, in execution order: one for each node with an anchored output, holding every
 * node of `nodes` between it and the anchors that it reads. Groups share nodes that lie before a fork.
 */
export function groupsBetween(
  graph: ModelGraph,
  { nodes, scope, anchors }: {
    /** Nodes that a group may hold. */
    readonly nodes: readonly number[];
    /** Nodes that a group may end in. */
    readonly scope: readonly number[];
    /** Values with a partner. */
    readonly anchors: ReadonlySet<string>;
  },
): readonly NodeGroup[] {
  const inside = new Set(nodes);
  return [...scope].sort((left, right) => left - right).flatMap((last): readonly NodeGroup[] => {
    const outputs = (graph.nodes[last]?.outputs ?? []).filter((value) => anchors.has(value));
    if (outputs.length === 0) return [];
    return [{ nodes: nodesBetween(graph, outputs, { inside, stops: anchors }), outputs }];
  });
}

/** The nodes of `inside` that compute `outputs` from `stops`, ascending. */
export function nodesBetween(
  graph: ModelGraph,
  outputs: readonly string[],
  { inside, stops }: {
    readonly inside: ReadonlySet<number>;
    readonly stops: ReadonlySet<string>;
  },
): readonly number[] {
  const found = new Set<number>();
  const waiting: number[] = [];
  const visit = (value: string): void => {
    const producer = graph.producerOf(value);
    if (producer === undefined || !inside.has(producer) || found.has(producer)) return;
    found.add(producer);
    waiting.push(producer);
  };
  outputs.forEach(visit);
  for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) {
    for (const value of usesOf(graph, index)) if (!stops.has(value)) visit(value);
  }
  return [...found].sort((left, right) => left - right);
}

/** The values that a run of groups hands on: anchored ones that are used outside, or not at all. */
export function outputsOf(
  graph: ModelGraph,
  groups: readonly NodeGroup[],
): { readonly nodes: readonly number[]; readonly outputs: readonly string[] } {
  const nodes = new Set(groups.flatMap((group) => group.nodes));
  const last = groups.at(-1)?.outputs ?? [];
  const leaves = (value: string): boolean =>
    last.includes(value) || graph.outputs.includes(value) ||
    graph.consumersOf(value).some((user) => !nodes.has(user));
  return {
    nodes: [...nodes].sort((left, right) => left - right),
    outputs: groups.flatMap((group) => group.outputs.filter(leaves)),
  };
}
