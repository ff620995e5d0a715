// Which node of one graph is which node of another that computes the same: by what leads to a node, by
// what it leads to, and by its neighbours. Names are the last resort, for they change with every export.
// It knows operators and wiring; what modules nodes lie in is given, weights and attributes are not read,
// so that an altered one does not hide its own node.
//
// Invariant: the answer is one to one. Identity nodes are looked through on both sides.

import type { GraphNode, ModelGraph } from "../../graph/model_graph.ts";

/** A graph with what is known of its nodes beforehand. */
export interface AlignableGraph {
  readonly graph: ModelGraph;
  /** A text that partners share, such as the matched module that a node lies in; `""` for nothing. */
  readonly hint: (node: number) => string;
}

/** Whether partners must share their hints, or hints only decide between equals. */
export type HintUse = "must agree" | "decides";

/** For nodes of the candidate, by index, the partner's index in the reference. */
export type NodeAlignment = ReadonlyMap<number, number>;

/** Aligns the live nodes of two top levels. */
export function alignNodes(
  reference: AlignableGraph,
  candidate: AlignableGraph,
  hints: HintUse,
): NodeAlignment {
  const numbers = new Map<string, number>();
  const left = new Side(reference, numbers, hints);
  const right = new Side(candidate, numbers, hints);
  return new Aligner(left, right).align();
}

/** The value that a value is a copy of: what stands before Identity nodes. */
export function canonicalValue(graph: ModelGraph, value: string): string {
  for (;;) {
    const producer = graph.producerOf(value);
    const node = producer === undefined ? undefined : graph.nodes[producer];
    if (node === undefined || !isTransparent(node)) return value;
    value = node.inputs[0] as string;
  }
}

/** How much of both graphs has partners, from 0 to 1. */
export function alignedShare(
  reference: ModelGraph,
  candidate: ModelGraph,
  alignment: NodeAlignment,
): number {
  const count = (graph: ModelGraph): number =>
    graph.nodes.filter((node) => !node.isConstant && !isTransparent(node)).length;
  return alignment.size / Math.max(1, count(reference), count(candidate));
}

/** Nodes with the Identity nodes between them, ascending. */
export function withIdentities(graph: ModelGraph, nodes: readonly number[]): readonly number[] {
  const all = new Set(nodes);
  for (const node of graph.nodes) {
    if (!isTransparent(node) || all.has(node.index)) continue;
    const source = graph.producerOf(node.inputs[0] as string);
    const isRead = (value: string): boolean =>
      graph.consumersOf(value).some((user) =>
        all.has(user) || (isTransparent(graph.nodes[user] as GraphNode) &&
          isRead(graph.nodes[user]?.outputs[0] as string))
      );
    if (source !== undefined && all.has(source) && isRead(node.outputs[0] as string)) {
      all.add(node.index);
    }
  }
  return all.size === nodes.length ? nodes : [...all].sort((left, right) => left - right);
}

function isTransparent(node: GraphNode): boolean {
  return node.opType === "Identity" && node.domain === "" && !node.isConstant;
}

/** A use of a value: by which node, in which place of its inputs. */
interface Use {
  readonly node: number;
  readonly place: number;
}

class Side {
  readonly graph: ModelGraph;
  readonly nodes: readonly number[];
  /** What a node is by itself. */
  readonly kinds = new Map<number, number>();
  /** With everything that leads to it, and with everything that it leads to. */
  readonly forward = new Map<number, number>();
  readonly backward = new Map<number, number>();
  /** Producers of the live inputs by place: node index and output, or the graph input's number. */
  readonly sources = new Map<number, readonly { from: number; output: number; place: number }[]>();
  readonly users = new Map<number, Use[]>();
  readonly #numbers: Map<string, number>;

  readonly hint: (node: number) => string;

  constructor({ graph, hint }: AlignableGraph, numbers: Map<string, number>, hints: HintUse) {
    this.graph = graph;
    this.hint = hint;
    this.#numbers = numbers;
    this.nodes = graph.nodes.filter((node) => !node.isConstant && !isTransparent(node))
      .map((node) => node.index);
    for (const index of this.nodes) {
      const { domain, opType } = graph.nodes[index] as GraphNode;
      this.kinds.set(
        index,
        this.#number(`kind ${domain}:${opType} ${hints === "decides" ? "" : hint(index)}`),
      );
      this.#wire(index);
    }
    for (const index of this.nodes) this.forward.set(index, this.#forwardOf(index));
    for (const index of [...this.nodes].reverse()) {
      this.backward.set(index, this.#backwardOf(index));
    }
  }

  operator(node: number): string {
    const { domain, opType } = this.graph.nodes[node] as GraphNode;
    return `${domain}:${opType}`;
  }

  #number(text: string): number {
    let number = this.#numbers.get(text);
    if (number === undefined) this.#numbers.set(text, number = this.#numbers.size);
    return number;
  }

  #wire(index: number): void {
    const node = this.graph.nodes[index] as GraphNode;
    const sources: { from: number; output: number; place: number }[] = [];
    for (const [place, value] of [...node.inputs, ...node.captures].entries()) {
      if (value === "" || this.graph.isConstantValue(value)) continue;
      const source = canonicalValue(this.graph, value);
      const producer = this.graph.producerOf(source);
      if (producer === undefined) {
        sources.push({ from: -1, output: this.graph.inputs.indexOf(source), place });
        continue;
      }
      const output = this.graph.nodes[producer]?.outputs.indexOf(source) ?? 0;
      sources.push({ from: producer, output, place });
      const users = this.users.get(producer);
      const use = { node: index, place: place * 64 + output };
      if (users === undefined) this.users.set(producer, [use]);
      else users.push(use);
    }
    this.sources.set(index, sources);
  }

  #forwardOf(index: number): number {
    const sources = (this.sources.get(index) ?? []).map(({ from, output, place }) =>
      from < 0 ? `${place}<input` : `${place}<${this.forward.get(from)}.${output}`
    );
    return this.#number(`forward ${this.kinds.get(index)} ${sources.join(" ")}`);
  }

  #backwardOf(index: number): number {
    const uses = (this.users.get(index) ?? []).map(({ node, place }) =>
      `${place}>${this.backward.get(node)}`
    ).sort();
    const outputs = (this.graph.nodes[index] as GraphNode).outputs.map((value) =>
      this.graph.outputs.findIndex((name) => canonicalValue(this.graph, name) === value)
    );
    return this.#number(`backward ${this.kinds.get(index)} ${uses.join(" ")} ${outputs.join(",")}`);
  }
}

class Aligner {
  readonly #left: Side;
  readonly #right: Side;
  /** Partners both ways. */
  readonly #ofRight = new Map<number, number>();
  readonly #ofLeft = new Map<number, number>();
  readonly #fresh: [number, number][] = [];

  constructor(left: Side, right: Side) {
    this.#left = left;
    this.#right = right;
  }

  align(): NodeAlignment {
    const both = (side: Side) => (node: number): string =>
      `${side.forward.get(node)} ${side.backward.get(node)}`;
    this.#alignClasses(both, "unique");
    this.#alignClasses((side) => (node) => `${side.forward.get(node)}`, "unique");
    this.#alignClasses((side) => (node) => `${side.backward.get(node)}`, "unique");
    const keys = [
      both,
      (side: Side) => (node: number): string => `${side.forward.get(node)}`,
      (side: Side) => (node: number): string => `${side.backward.get(node)}`,
    ];
    for (const keyOf of keys) {
      this.#alignClasses(
        (side) => (node) => side.hint(node) === "" ? "" : `${keyOf(side)(node)} ${side.hint(node)}`,
        "unique",
      );
    }
    for (const keyOf of keys) this.#alignClasses(keyOf, "in order");
    this.#alignSurrounded();
    return this.#ofRight;
  }

  /** Pairs the nodes whose key only they have, or as many on both sides. */
  #alignClasses(keyOf: (side: Side) => (node: number) => string, how: "unique" | "in order"): void {
    const left = this.#classes(this.#left, this.#ofLeft, keyOf(this.#left));
    const right = this.#classes(this.#right, this.#ofRight, keyOf(this.#right));
    for (const [key, lefts] of left) {
      const rights = right.get(key);
      if (rights === undefined || rights.length !== lefts.length) continue;
      if (how === "unique" ? lefts.length > 1 : lefts.length > 64) continue;
      for (const node of lefts) {
        if (this.#ofLeft.has(node)) continue; // a neighbour of one paired before
        const partner = rights.find((other) => !this.#ofRight.has(other));
        if (partner !== undefined) this.#pair(node, partner);
        this.#propagate();
      }
    }
  }

  #classes(
    side: Side,
    paired: ReadonlyMap<number, number>,
    keyOf: (node: number) => string,
  ): Map<string, number[]> {
    const classes = new Map<string, number[]>();
    for (const node of side.nodes) {
      if (paired.has(node)) continue;
      const key = keyOf(node);
      if (key === "") continue;
      const members = classes.get(key);
      if (members === undefined) classes.set(key, [node]);
      else members.push(node);
    }
    return classes;
  }

  #pair(left: number, right: number): void {
    this.#ofLeft.set(left, right);
    this.#ofRight.set(right, left);
    this.#fresh.push([left, right]);
  }

  /** What feeds partners in one place, or is fed by them in one place, is partners where it is alike. */
  #propagate(): void {
    for (let pair = this.#fresh.pop(); pair !== undefined; pair = this.#fresh.pop()) {
      const [left, right] = pair;
      const rights = this.#right.sources.get(right) ?? [];
      for (const source of this.#left.sources.get(left) ?? []) {
        const other = rights.find(({ place }) => place === source.place);
        if (other === undefined || other.output !== source.output) continue;
        this.#pairIfAlike(source.from, other.from);
      }
      this.#propagateToUsers(left, right);
    }
  }

  #propagateToUsers(left: number, right: number): void {
    const keyOf = (side: Side, { node, place }: Use): string => `${side.kinds.get(node)} ${place}`;
    const rights = new Map<string, Use[]>();
    for (const use of this.#right.users.get(right) ?? []) {
      if (this.#ofRight.has(use.node)) continue;
      const key = keyOf(this.#right, use);
      rights.set(key, [...rights.get(key) ?? [], use]);
    }
    const lefts = new Map<string, Use[]>();
    for (const use of this.#left.users.get(left) ?? []) {
      if (this.#ofLeft.has(use.node)) continue;
      const key = keyOf(this.#left, use);
      lefts.set(key, [...lefts.get(key) ?? [], use]);
    }
    for (const [key, [use, ...others]] of lefts) {
      const [other, ...rest] = rights.get(key) ?? [];
      if (use === undefined || other === undefined || others.length + rest.length > 0) continue;
      this.#pairIfAlike(use.node, other.node);
    }
  }

  #pairIfAlike(left: number, right: number): void {
    if (left < 0 || right < 0 || this.#ofLeft.has(left) || this.#ofRight.has(right)) return;
    if (this.#left.kinds.get(left) === this.#right.kinds.get(right)) this.#pair(left, right);
  }

  /**
   * A node of another operator whose neighbours are all partners stands in its partner's place. Casts that
   * only the candidate has are looked through: a node that was put into another precision lies in two.
   */
  #alignSurrounded(): void {
    for (const node of this.#right.nodes) {
      if (this.#ofRight.has(node) || this.#isAddedCast(node)) continue;
      const places = new Set(
        this.#realUsers(node).map(({ node: user, place }) => {
          const partner = this.#ofRight.get(user);
          const source = partner === undefined ? undefined : this.#left.sources.get(partner)
            ?.find((one) => one.place === Math.floor(place / 64) && one.output === place % 64);
          return source === undefined ? -1 : source.from;
        }),
      );
      const [only, ...others] = places;
      if (only === undefined || others.length > 0 || only < 0 || this.#ofLeft.has(only)) continue;
      const sources = this.#right.sources.get(node) ?? [];
      const fits = (this.#left.sources.get(only) ?? []).every(({ from, place }) => {
        const other = sources.find((one) => one.place === place);
        if (from < 0 || other === undefined) return from < 0;
        return this.#ofRight.get(this.#realSource(other.from)) === from;
      });
      if (fits) this.#pair(only, node);
    }
  }

  #isAddedCast(node: number): boolean {
    return !this.#ofRight.has(node) && this.#right.operator(node) === ":Cast";
  }

  #realUsers(node: number): readonly Use[] {
    return (this.#right.users.get(node) ?? []).flatMap((use) =>
      this.#isAddedCast(use.node) ? this.#realUsers(use.node) : [use]
    );
  }

  #realSource(node: number): number {
    let at = node;
    while (at >= 0 && this.#isAddedCast(at)) at = this.#right.sources.get(at)?.[0]?.from ?? -1;
    return at;
  }
}
