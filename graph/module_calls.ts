// Tells the calls of a module apart. A module that is called three times owns three times the nodes;
// hooks must see three calls. Evidence, in order: use numbers in names, the number of calls of the
// modules inside, how often each parameter is used, how often the operator sequence repeats, and paths
// that leave and re-enter. It knows one level and what lies in which module; names are settled before.

import { type LiveGraph, reentryLevels } from "./convexity.ts";
import type { ModelGraph } from "./model_graph.ts";

/** A module at one level, before its calls are known. */
export interface LevelModule {
  /** The module's path. */
  readonly path: string;
  /** Live nodes that lie in no child, ascending, each with its use number where names tell one. */
  readonly ownNodes: readonly { readonly index: number; readonly call: number | null }[];
  /** Modules directly below. */
  readonly children: readonly LevelModule[];
  /** True when the module is known never to be called: its children count as its parent's. */
  readonly isContainer: boolean;
  /** True when the module's nodes are known to be those of one call. */
  readonly isSingleCall: boolean;
  /** The module's class, where the file has it. */
  readonly className: string | null;
}

/** What {@linkcode findCalls} finds. */
export interface LevelCalls {
  /** The nodes of each call of each module, by path, calls in execution order. */
  readonly calls: ReadonlyMap<string, readonly (readonly number[])[]>;
  /** Modules whose repetitions may be several calls or a loop in one. */
  readonly ambiguousPaths: ReadonlySet<string>;
}

/** Modules of torch.nn whose forward applies one operation once: as many calls as repetitions. */
const SINGLE_OPERATION_CLASSES: ReadonlySet<string> = new Set([
  "ELU",
  "GELU",
  "Hardsigmoid",
  "Hardswish",
  "Hardtanh",
  "Identity",
  "LeakyReLU",
  "Mish",
  "ReLU",
  "ReLU6",
  "SELU",
  "Sigmoid",
  "SiLU",
  "Softmax",
  "Softplus",
  "Tanh",
]);

/** Finds the calls of a module and of every module in it. */
export function findCalls(root: LevelModule, graph: ModelGraph, live: LiveGraph): LevelCalls {
  const finder = new CallFinder(graph, live);
  finder.visit(root);
  return finder;
}

type Call = readonly number[];

class CallFinder implements LevelCalls {
  readonly calls = new Map<string, readonly Call[]>();
  readonly ambiguousPaths = new Set<string>();

  constructor(readonly graph: ModelGraph, readonly live: LiveGraph) {}

  visit(module: LevelModule): void {
    for (const child of module.children) this.visit(child);
    this.calls.set(module.path, this.#split(module));
  }

  #split(module: LevelModule): readonly Call[] {
    const { own, children } = this.#contents(module);
    if (module.isSingleCall || module.isContainer) return [this.#allNodes(own, children)];
    const hinted = groupByUse(own);
    const free = own.filter((node) => node.call === null).map((node) => node.index);
    if (hinted.length > 0) return this.#assemble(hinted, children, free);
    if (children.length === 0) return this.#splitLeaf(module, free);
    const count = this.#callCount(module, children, free);
    if (count === 1) return [this.#allNodes(own, children)];
    const parts = splitRepeats(this.#signatures(free), count);
    const seeds = parts === null
      ? Array.from({ length: count }, (): number[] => [])
      : parts.map(([from, to]) => free.slice(from, to));
    return this.#assemble(seeds, children, parts === null ? free : []);
  }

  /** A module's own nodes and called children, with containers dissolved. */
  #contents(
    module: LevelModule,
  ): { own: { index: number; call: number | null }[]; children: (readonly Call[])[] } {
    const own = [...module.ownNodes];
    const children: (readonly Call[])[] = [];
    const add = (child: LevelModule): void => {
      if (!child.isContainer) {
        children.push(this.calls.get(child.path) ?? []);
        return;
      }
      own.push(...child.ownNodes.map(({ index }) => ({ index, call: null })));
      child.children.forEach(add);
    };
    module.children.forEach(add);
    own.sort((left, right) => left.index - right.index);
    return { own, children };
  }

  #allNodes(own: readonly { index: number }[], children: readonly (readonly Call[])[]): Call {
    const nodes = own.map((node) => node.index);
    for (const calls of children) {
      for (const call of calls) for (const node of call) nodes.push(node);
    }
    return nodes.sort(ascending);
  }

  /** How often a module without numbered nodes of its own is called, from what lies in it. */
  #callCount(
    module: LevelModule,
    children: readonly (readonly Call[])[],
    own: readonly number[],
  ): number {
    const count = children.reduce((sum, calls) => greatestCommonDivisor(sum, calls.length), 0);
    if (count <= 1) return 1;
    if (own.length > 0) return splitRepeats(this.#signatures(own), count) === null ? 1 : count;
    const isSequential = module.children.every((child) => /(?:^|\.)\d+$/.test(child.path));
    if (isSequential) return count;
    const windows = this.#assemble(Array.from({ length: count }, (): number[] => []), children, []);
    if (this.#hasForeignNodesBetween(windows)) return count;
    this.ambiguousPaths.add(module.path);
    // Nothing stands between the repetitions: they may as well be a loop inside one call. A head that
    // runs over several inputs loops; so does a module around a single one; a chain of several does not.
    return children.length > 1 && this.#isChain(windows) ? count : 1;
  }

  #hasForeignNodesBetween(windows: readonly Call[]): boolean {
    for (let index = 1; index < windows.length; index++) {
      const from = windows[index - 1]?.at(-1) ?? 0;
      const to = windows[index]?.[0] ?? 0;
      const between = (this.live.liveCounts[to] ?? 0) - (this.live.liveCounts[from + 1] ?? 0);
      if (between > 0) return true;
    }
    return false;
  }

  #isChain(windows: readonly Call[]): boolean {
    for (let index = 1; index < windows.length; index++) {
      const before = new Set(windows[index - 1]);
      const reads = (windows[index] ?? []).some((node) =>
        (this.live.predecessors[node] ?? []).some((predecessor) => before.has(predecessor))
      );
      if (!reads) return false;
    }
    return true;
  }

  /** A module without modules in it and without numbers. */
  #splitLeaf(module: LevelModule, nodes: readonly number[]): readonly Call[] {
    if (nodes.length <= 1) return [nodes];
    const signatures = this.#signatures(nodes);
    const levels = reentryLevels(this.live, nodes);
    const counts = [
      this.#parameterUses(nodes),
      module.className !== null && SINGLE_OPERATION_CLASSES.has(module.className)
        ? repetitions(signatures)
        : 1,
    ];
    for (const count of counts) {
      const parts = count > 1 ? splitRepeats(signatures, count) : null;
      if (parts !== null) return parts.map(([from, to]) => nodes.slice(from, to));
    }
    if (levels.length > 1 && haveEqualSequences(levels.map((level) => this.#signatures(level)))) {
      return levels;
    }
    return [nodes];
  }

  /** How often every parameter of the nodes is used; 1 when they disagree or there are none. */
  #parameterUses(nodes: readonly number[]): number {
    const uses = new Map<string, number>();
    for (const index of nodes) {
      for (const value of this.graph.nodes[index]?.inputs ?? []) {
        if (value === "" || !this.#isWeight(value)) continue;
        uses.set(value, (uses.get(value) ?? 0) + 1);
      }
    }
    let count = 0;
    for (const use of uses.values()) count = greatestCommonDivisor(count, use);
    return Math.max(1, count);
  }

  #isWeight(value: string): boolean {
    for (let graph: ModelGraph | null = this.graph; graph !== null; graph = graph.outer) {
      const tensor = graph.initializers.get(value);
      if (tensor !== undefined) return tensor.dims.length > 0 && tensor.dataType !== INT64;
      if (graph.producerOf(value) !== undefined) return false;
    }
    return false;
  }

  #signatures(nodes: readonly number[]): string[] {
    return nodes.map((index) => {
      const node = this.graph.nodes[index];
      return node === undefined ? "" : `${node.domain}:${node.opType}`;
    });
  }

  /** Gives each seed its share of the children's calls and of the nodes that no number places. */
  #assemble(
    seeds: readonly (readonly number[])[],
    children: readonly (readonly Call[])[],
    free: readonly number[],
  ): readonly Call[] {
    const parts = seeds.map((seed) => [...seed]);
    const starts = seeds.map((seed) => seed[0] ?? Infinity);
    for (const calls of children) {
      for (const [order, call] of calls.entries()) {
        const part = calls.length % parts.length === 0
          ? Math.floor(order * parts.length / calls.length)
          : Math.max(0, starts.findLastIndex((start) => start <= (call[0] ?? 0)));
        parts[part]?.push(...call);
      }
    }
    const found = parts.map((part) => part.sort(ascending));
    const ends = found.map((part) => [part[0] ?? Infinity, part.at(-1) ?? -Infinity] as const);
    for (const index of free) {
      let best = 0;
      let bestDistance = Infinity;
      for (const [part, [from, to]] of ends.entries()) {
        const distance = index < from ? from - index : index > to ? index - to : 0;
        if (distance < bestDistance) {
          best = part;
          bestDistance = distance;
        }
      }
      found[best]?.push(index);
    }
    return found.map((part) => part.sort(ascending)).filter((part) => part.length > 0)
      .sort((left, right) => (left[0] ?? 0) - (right[0] ?? 0));
  }
}

const INT64 = 7;

function ascending(left: number, right: number): number {
  return left - right;
}

function greatestCommonDivisor(left: number, right: number): number {
  let [larger, smaller] = [left, right];
  while (smaller > 0) [larger, smaller] = [smaller, larger % smaller];
  return larger;
}

/** Nodes by use number, in the order of the numbers. */
function groupByUse(own: readonly { index: number; call: number | null }[]): number[][] {
  const groups = new Map<number, number[]>();
  for (const { index, call } of own) {
    if (call === null) continue;
    const group = groups.get(call);
    if (group === undefined) groups.set(call, [index]);
    else group.push(index);
  }
  return [...groups].sort(([left], [right]) => left - right).map(([, group]) => group);
}

/**
 * Splits a sequence into `count` repetitions, as index ranges; the first may have more in front,
 * because later ones share what it computes. Null when the sequence does not repeat so.
 */
function splitRepeats(sequence: readonly string[], count: number): [number, number][] | null {
  for (let period = Math.floor(sequence.length / count); period >= 1; period--) {
    const tail = sequence.length - period * (count - 1);
    let repeats = true;
    for (let index = tail; index < sequence.length && repeats; index++) {
      repeats = sequence[index] === sequence[index - period];
    }
    if (!repeats) continue;
    const ranges: [number, number][] = [[0, tail]];
    for (let from = tail; from < sequence.length; from += period) {
      ranges.push([from, from + period]);
    }
    return ranges;
  }
  return null;
}

/** The largest number of equal parts that a sequence consists of. */
function repetitions(sequence: readonly string[]): number {
  for (let period = 1; period <= sequence.length / 2; period++) {
    if (sequence.length % period !== 0) continue;
    if (sequence.every((item, index) => index < period || item === sequence[index - period])) {
      return sequence.length / period;
    }
  }
  return 1;
}

function haveEqualSequences(sequences: readonly (readonly string[])[]): boolean {
  const [first, ...rest] = sequences;
  return first !== undefined &&
    rest.every((sequence) =>
      sequence.length === first.length && sequence.every((item, index) => item === first[index])
    );
}
