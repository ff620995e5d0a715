// What of the candidate runs alone in a comparison: each matched call, and of a call that holds others
// the nodes that lie in none of them. Worked out before anything runs, so that the recorded runs know
// which values will be asked for.

import { boundaryOf } from "../../graph/module_boundary.ts";
import { isWithin } from "../../graph/module_path.ts";
import type { ModelGraph } from "../../graph/model_graph.ts";
import type { ModelStructure } from "../../pipeline/model_structure.ts";
import { executionPositions } from "../../pipeline/run_order.ts";
import type { CallPair, CallPart } from "./module_pairs.ts";

/** A matched call with what is needed to judge it. */
export interface ComparedCall {
  readonly pair: CallPair;
  /** Matched calls inside it, at any depth. */
  readonly inside: readonly ComparedCall[];
  /** The candidate's nodes in no call of `inside`; null when there is none inside, or none that computes. */
  readonly own: CallPart | null;
  /** True when both sides compute it with the same operators, so that even shapes must agree. */
  readonly isSameStructure: boolean;
}

/** The calls in the order in which the reference ends them: what lies inside comes before. */
export function comparedCalls(
  reference: ModelStructure,
  candidate: ModelStructure,
  pairs: readonly CallPair[],
): readonly ComparedCall[] {
  const positions = executionPositions(reference.graph, reference.tree.modules);
  const ends = new Map(pairs.map((pair) => {
    let end = -1;
    for (const node of pair.reference.nodes) end = Math.max(end, positions[node] ?? node);
    return [pair, pair.module === "" ? Infinity : end] as const;
  }));
  const ordered = [...pairs].sort((left, right) =>
    (ends.get(left) as number) - (ends.get(right) as number) ||
    left.reference.nodes.length - right.reference.nodes.length ||
    right.module.length - left.module.length
  );
  const made: ComparedCall[] = [];
  for (const pair of ordered) {
    const nodes = new Set(pair.candidate.nodes);
    const inside = made.filter((call) =>
      isInside(call.pair.module, pair.module) &&
      call.pair.candidate.nodes.every((node) => nodes.has(node))
    );
    made.push({
      pair,
      inside,
      own: ownPart(candidate.graph, pair, inside),
      isSameStructure: operatorsOf(reference.graph, pair.reference.nodes) ===
        operatorsOf(candidate.graph, pair.candidate.nodes),
    });
  }
  return made;
}

/** What is known of the candidate's values when calls are settled. */
export interface SettledBy {
  readonly partnerOf: (candidate: string) => string | undefined;
  readonly pairs: ReadonlyMap<string, string>;
}

/** Nodes that a part may take in beside its own. */
const MOST_TAKEN_IN = 32;

/**
 * The calls as they are run: with the values that belong to the reference's outputs as outputs, wherever
 * in the call they are computed, and grown by the nodes between them and values that have a partner, where
 * those nodes are of operators that the reference does not have: what a tool put between two modules (to
 * quantise, say) belongs to the one that reads it.
 */
export function settledCalls(
  calls: readonly ComparedCall[],
  values: SettledBy,
  reference: ModelGraph,
  candidate: ModelGraph,
): readonly ComparedCall[] {
  const known = new Set(reference.nodes.map(({ domain, opType }) => `${domain}:${opType}`));
  const ofReference = new Map<string, string>();
  for (const [name, partner] of values.pairs) {
    if (candidate.producerOf(name) !== undefined) ofReference.set(partner, name);
  }
  const settled = new Map<ComparedCall, ComparedCall>();
  for (const call of calls) {
    const { pair } = call;
    const inside = call.inside.map((inner) => settled.get(inner) as ComparedCall);
    const nodes = grownNodes(pair.candidate.nodes, values, candidate, known);
    const grown = { nodes, ...boundaryOf(candidate, nodes) };
    const here = new Set(pair.candidate.nodes);
    const covered = new Set(pair.candidate.outputs.map((name) => values.partnerOf(name)));
    const within = pair.reference.outputs.flatMap((name) => {
      const partner = covered.has(name) ? undefined : ofReference.get(name);
      const producer = partner === undefined ? undefined : candidate.producerOf(partner);
      return partner !== undefined && here.has(producer ?? -1) ? [partner] : [];
    });
    const wanted = new Set(pair.reference.outputs);
    const leaving = pair.candidate.outputs.filter((name) => {
      const partner = values.partnerOf(name);
      return partner === undefined || wanted.has(partner);
    });
    const next: CallPair = {
      ...pair,
      candidate: { nodes, inputs: grown.inputs, outputs: [...leaving, ...within] },
    };
    settled.set(call, { ...call, pair: next, inside, own: ownPart(candidate, next, inside) });
  }
  return [...settled.values()];
}

function grownNodes(
  nodes: readonly number[],
  values: SettledBy,
  graph: ModelGraph,
  known: ReadonlySet<string>,
): readonly number[] {
  const all = new Set(nodes);
  let inputs: readonly string[] = boundaryOf(graph, nodes).inputs;
  for (;;) {
    const added = inputs.flatMap((value) => {
      const producer = values.partnerOf(value) === undefined ? graph.producerOf(value) : undefined;
      const node = producer === undefined ? undefined : graph.nodes[producer];
      return node === undefined || known.has(`${node.domain}:${node.opType}`) ? [] : [node.index];
    });
    if (added.length === 0) break;
    for (const node of added) all.add(node);
    if (all.size > nodes.length + MOST_TAKEN_IN) return nodes;
    inputs = boundaryOf(graph, [...all].sort((left, right) => left - right)).inputs;
  }
  return all.size === nodes.length ? nodes : [...all].sort((left, right) => left - right);
}

function isInside(path: string, around: string): boolean {
  return path !== around && (around === "" || isWithin(path, around));
}

function ownPart(
  graph: ModelGraph,
  pair: CallPair,
  inside: readonly ComparedCall[],
): CallPart | null {
  if (inside.length === 0) return null;
  const taken = new Set(inside.flatMap((call) => call.pair.candidate.nodes));
  const nodes = pair.candidate.nodes.filter((node) => !taken.has(node));
  // Casts alone compute nothing: what they round is the price of the type that was chosen.
  const isComputing = nodes.some((node) =>
    !["Cast", "Identity"].includes(graph.nodes[node]?.opType ?? "")
  );
  if (!isComputing) return null;
  const { inputs, outputs } = boundaryOf(graph, nodes);
  const here = new Set(nodes);
  const leaving = pair.candidate.outputs.filter((name) => here.has(graph.producerOf(name) ?? -1));
  return { nodes, inputs, outputs: [...new Set([...outputs, ...leaving])] };
}

/** The operators of live nodes, sorted; what only copies or casts does not count. */
function operatorsOf(graph: ModelGraph, nodes: readonly number[]): string {
  return nodes.flatMap((index) => {
    const node = graph.nodes[index];
    if (node === undefined || node.opType === "Identity" || node.opType === "Cast") return [];
    return [`${node.domain}:${node.opType}`];
  }).sort().join(" ");
}
