// Whether a set of nodes can run alone. A set is convex when no path leaves it and comes back. Constant
// nodes are in no path: whoever needs them copies them. It knows one graph level and sets of nodes;
// what the sets are is for others. Cost: the span between the first and the last node of the set.

import type { GraphNode, ModelGraph } from "./model_graph.ts";

/** Indices of the live nodes that a node reads from, outer values left out. */
export function livePredecessors(graph: ModelGraph, node: GraphNode): number[] {
  const found: number[] = [];
  const add = (value: string): void => {
    if (value === "") return;
    const producer = graph.producerOf(value);
    if (producer !== undefined && graph.nodes[producer]?.isConstant === false) found.push(producer);
  };
  for (const value of node.inputs) add(value);
  for (const value of node.captures) add(value);
  return found;
}

/** Live predecessors of every node of a level, computed once. */
export function predecessorTable(graph: ModelGraph): readonly (readonly number[])[] {
  return graph.nodes.map((node) => node.isConstant ? NONE : livePredecessors(graph, node));
}

const NONE: readonly number[] = Object.freeze([]);

/** What {@linkcode isConvex} and {@linkcode reentryLevels} work on: one level's live nodes. */
export interface LiveGraph {
  /** For each node the live nodes that it reads from. */
  readonly predecessors: readonly (readonly number[])[];
  /** For each node the number of live nodes before it. */
  readonly liveCounts: readonly number[];
}

/** Indexes a level for convexity questions. */
export function indexLiveGraph(graph: ModelGraph): LiveGraph {
  const liveCounts: number[] = [];
  let count = 0;
  for (const node of graph.nodes) {
    liveCounts.push(count);
    if (!node.isConstant) count++;
  }
  liveCounts.push(count);
  return { predecessors: predecessorTable(graph), liveCounts };
}

/** True when no path leaves the ascending `nodes` and re-enters them. */
export function isConvex(live: LiveGraph, nodes: readonly number[]): boolean {
  const first = nodes[0];
  const last = nodes[nodes.length - 1];
  if (first === undefined || last === undefined) return true;
  const spanned = (live.liveCounts[last + 1] ?? 0) - (live.liveCounts[first] ?? 0);
  if (spanned === nodes.length) return true; // nothing lies between
  const inside = new Set(nodes);
  const reached = new Set<number>(); // outside nodes that a path from the set reaches
  for (let index = first + 1; index <= last; index++) {
    const isInside = inside.has(index);
    for (const predecessor of live.predecessors[index] ?? NONE) {
      if (predecessor < first) continue;
      if (isInside) {
        if (reached.has(predecessor)) return false;
      } else if (inside.has(predecessor) || reached.has(predecessor)) {
        reached.add(index);
        break;
      }
    }
  }
  return true;
}

/**
 * Splits ascending `nodes` by how often paths have left and re-entered the set before them. Each part
 * is convex; a convex set is one part.
 */
export function reentryLevels(live: LiveGraph, nodes: readonly number[]): number[][] {
  const first = nodes[0];
  const last = nodes[nodes.length - 1];
  if (first === undefined || last === undefined) return [];
  const inside = new Set(nodes);
  const levels = new Map<number, number>();
  const parts: number[][] = [];
  for (let index = first; index <= last; index++) {
    const isInside = inside.has(index);
    let level = isInside ? 0 : -1;
    for (const predecessor of live.predecessors[index] ?? NONE) {
      const from = levels.get(predecessor);
      if (from === undefined) continue;
      const leaves = !isInside && inside.has(predecessor);
      level = Math.max(level, leaves ? from + 1 : from);
    }
    if (level < 0) continue; // an outside node that no path from the set reaches
    levels.set(index, level);
    if (!isInside) continue;
    const part = parts[level];
    if (part !== undefined) part.push(index);
    else parts[level] = [index];
  }
  return parts.filter((part) => part !== undefined);
}
