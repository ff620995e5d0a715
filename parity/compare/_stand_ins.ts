// The parts of the candidate that stand in the places of the reference's calls, found node by node: for
// candidates whose own modules have other names, other borders or none.

import type { ModuleCall } from "../../graph/graph_module.ts";
import { boundaryOf } from "../../graph/module_boundary.ts";
import type { ModelGraph } from "../../graph/model_graph.ts";
import type { ModelStructure } from "../../pipeline/model_structure.ts";
import type { CallPart } from "./module_pairs.ts";
import { canonicalValue, type NodeAlignment, withIdentities } from "./node_alignment.ts";

/** The share of a call's nodes that must have partners, to take those for the call's partner. */
const ALMOST_ALL = 0.9;

/** The candidate's nodes that stand in the places of the reference's. */
export class StandIns {
  readonly #reference: ModelGraph;
  readonly #candidate: ModelGraph;
  readonly #ofReference = new Map<number, number>();
  readonly #partners: NodeAlignment;

  constructor(reference: ModelStructure, candidate: ModelStructure, alignment: NodeAlignment) {
    this.#partners = alignment;
    this.#reference = reference.graph;
    this.#candidate = candidate.graph;
    for (const [partner, node] of alignment) this.#ofReference.set(node, partner);
  }

  /** Those of a call, where almost all of its nodes have partners; else null. */
  of(call: ModuleCall): readonly number[] | null {
    const live = call.nodes.filter((node) => !isIdentity(this.#reference, node));
    const found = live.flatMap((node) => {
      const partner = this.#ofReference.get(node);
      return partner === undefined ? [] : [partner];
    });
    if (live.length === 0 || found.length < ALMOST_ALL * live.length) return null;
    return [...new Set(found)].sort((left, right) => left - right);
  }

  /** With those of a module's nodes that have no partner anywhere: an altered one may be among them. */
  joined(nodes: readonly number[], module: readonly number[]): readonly number[] {
    const strangers = module.filter((node) =>
      !this.#partners.has(node) && !isIdentity(this.#candidate, node)
    );
    return this.#withAdded(new Set([...nodes, ...strangers]));
  }

  /**
   * With what the candidate alone has around them: casts back to the type that the reference has, of what
   * the nodes compute, and whatever only they read.
   */
  #withAdded(nodes: Set<number>): readonly number[] {
    const graph = this.#candidate;
    for (const { index, isConstant, inputs, opType } of graph.nodes.toReversed()) {
      if (isConstant || nodes.has(index) || this.#partners.has(index)) continue;
      if (isIdentity(graph, index)) continue;
      const source = graph.producerOf(canonicalValue(graph, inputs[0] ?? ""));
      const isCastBack = opType === "Cast" && source !== undefined && this.#partners.has(source);
      const isOurs = isCastBack && !this.#isHalving(index)
        ? nodes.has(source)
        : this.#readersOf(index).every((reader) => nodes.has(reader));
      if (isOurs) nodes.add(index);
    }
    return [...nodes].sort((left, right) => left - right);
  }

  /** The nodes that read what a node computes, Identity nodes looked through; none for a graph output. */
  #readersOf(index: number): readonly number[] {
    const graph = this.#candidate;
    const readers = (graph.nodes[index]?.outputs ?? []).flatMap((value) =>
      graph.consumersOf(value).flatMap((reader) =>
        isIdentity(graph, reader) ? this.#readersOf(reader) : [reader]
      )
    );
    return readers.length === 0 ? [-1] : readers;
  }

  #isHalving(index: number): boolean {
    const to = this.#candidate.nodes[index]?.proto.attribute.find(({ name }) => name === "to")?.i;
    return to === 10n || to === 16n;
  }
}

function isIdentity(graph: ModelGraph, node: number): boolean {
  return graph.nodes[node]?.opType === "Identity";
}

/** The nodes of calls as a text, Identity nodes left out. */
export function nodesKey(graph: ModelGraph, calls: readonly (readonly number[])[]): string {
  return calls.map((nodes) => nodes.filter((node) => !isIdentity(graph, node)).join(",")).join(
    " ",
  );
}

/** Nodes with the Identity nodes between them and their border. */
export function partOf(graph: ModelGraph, nodes: readonly number[]): CallPart {
  const all = withIdentities(graph, nodes);
  return { nodes: all, ...boundaryOf(graph, all) };
}
