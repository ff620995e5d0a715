// Modules for models that name none. The nodes stand in topological order; where few values cross from
// one part of the order to the next the model is cut into groups, and groups that repeat are blocks.
// Every run of consecutive nodes is convex, so each of these modules can run alone. It knows the data
// flow and operators only. Names are `block.0`, `block.0.1` (a part of it), `group.0` or `node.0`.

import type { GraphNode, ModelGraph } from "./model_graph.ts";
import type { Naming } from "./naming_evidence.ts";

/** More modules than this help nobody: groups are then joined. */
const GROUP_COUNT_MAX = 4096;
/** The longest sequence of groups that is looked for as one repeating block. */
const BLOCK_LENGTH_MAX = 64;
/** Without any cut, models smaller than this get a module per node. */
const SINGLE_NODE_COUNT_MAX = 64;

/**
 * Ways to cut, the strictest first: how many values may cross, and from what share of the model on a
 * value counts as long-lived (a mask, a skip) and is carried past the cuts.
 */
interface CutRule {
  readonly width: number;
  readonly longLivedShare: number;
}

const CUT_RULES: readonly CutRule[] = [
  { width: 1, longLivedShare: 1 },
  { width: 1, longLivedShare: 1 / 2 },
  { width: 1, longLivedShare: 1 / 4 },
  { width: 2, longLivedShare: 1 / 2 },
  { width: 3, longLivedShare: 1 / 4 },
];

/** A run of live nodes between two cuts, as a range of live positions. */
interface Group {
  readonly from: number;
  readonly to: number;
}

/** Names the top level's nodes by its shape where no name puts any of them into a module. */
export function nameByTopology(graph: ModelGraph, naming: Naming): Naming {
  const nodes = graph.nodes.filter((node) => !node.isConstant);
  if (nodes.length < 2) return naming;
  if (nodes.some((node) => (naming.places.get(node)?.path ?? "") !== "")) return naming;
  const places = new Map(naming.places);
  const containers = new Set(naming.containers);
  for (const [node, path] of topologyPaths(graph, nodes)) {
    places.set(node, { path, evidence: "topology", call: 0 });
    containers.add(path.slice(0, path.indexOf(".")));
  }
  return { ...naming, places, containers };
}

function topologyPaths(graph: ModelGraph, nodes: readonly GraphNode[]): Map<GraphNode, string> {
  const paths = new Map<GraphNode, string>();
  const groups = cutIntoGroups(graph, nodes);
  if (groups.length < 2) {
    nodes.forEach((node, index) => paths.set(node, `node.${index}`));
    return paths;
  }
  const assign = (group: Group, path: string): void => {
    for (let index = group.from; index < group.to; index++) {
      const node = nodes[index];
      if (node !== undefined) paths.set(node, path);
    }
  };
  let groupCount = 0;
  let blockCount = 0;
  for (const part of findRepeats(groups.map((group) => signature(nodes, group)))) {
    const first = groups[part.from] as Group;
    if (part.count === 1 || (part.period === 1 && first.to - first.from === 1)) {
      for (let index = 0; index < part.count; index++) {
        assign(groups[part.from + index] as Group, `group.${groupCount++}`);
      }
      continue;
    }
    for (let repeat = 0; repeat < part.count; repeat++) {
      const block = `block.${blockCount++}`;
      for (let index = 0; index < part.period; index++) {
        const group = groups[part.from + repeat * part.period + index] as Group;
        assign(group, part.period === 1 ? block : `${block}.${index}`);
      }
    }
  }
  return paths;
}

/** The groups of the strictest rule that divides the model well; one group when nothing divides it. */
function cutIntoGroups(graph: ModelGraph, nodes: readonly GraphNode[]): readonly Group[] {
  const spans = valueSpans(graph, nodes);
  let best: readonly Group[] = [{ from: 0, to: nodes.length }];
  let bestSize = nodes.length;
  for (const rule of CUT_RULES) {
    const groups = groupsOf(nodes.length, spans, rule);
    const size = Math.max(...groups.map((group) => group.to - group.from));
    if (size <= Math.max(1, nodes.length / 3)) return groups;
    if (size < bestSize) [best, bestSize] = [groups, size];
  }
  if (best.length > 1 || nodes.length < SINGLE_NODE_COUNT_MAX) return best;
  return narrowestCuts(nodes.length, spans);
}

/** From where to where each live value lives, in positions among the live nodes. */
function valueSpans(graph: ModelGraph, nodes: readonly GraphNode[]): Group[] {
  const positions = new Map(nodes.map((node, position) => [node.index, position]));
  const spans: Group[] = [];
  for (const [from, node] of nodes.entries()) {
    for (const value of node.outputs) {
      const last = value === "" ? undefined : graph.consumersOf(value).at(-1);
      if (last !== undefined) spans.push({ from, to: positions.get(last) ?? from });
    }
  }
  return spans;
}

/** For each position the number of values that cross from it to the next. */
function crossingWidths(nodeCount: number, spans: readonly Group[]): number[] {
  const changes = new Array<number>(nodeCount + 1).fill(0);
  for (const { from, to } of spans) {
    changes[from] = (changes[from] ?? 0) + 1;
    changes[to] = (changes[to] ?? 0) - 1;
  }
  let width = 0;
  return changes.slice(0, nodeCount).map((change) => width += change);
}

function groupsOf(
  nodeCount: number,
  spans: readonly Group[],
  rule: CutRule,
): readonly Group[] {
  const longest = Math.max(16, nodeCount * rule.longLivedShare);
  const counted = spans.filter(({ from, to }) => to - from <= longest);
  const widths = crossingWidths(nodeCount, counted);
  const cuts: number[] = [];
  for (let position = 0; position < nodeCount - 1; position++) {
    const width = widths[position] ?? 0;
    if (width >= 1 && width <= rule.width) cuts.push(position + 1);
  }
  return joined(cuts, nodeCount);
}

/** Cuts a model that no rule divides at the narrowest places, about sixteen. */
function narrowestCuts(nodeCount: number, spans: readonly Group[]): readonly Group[] {
  const widths = crossingWidths(nodeCount, spans);
  const stride = Math.ceil(nodeCount / 16);
  const cuts: number[] = [];
  for (let start = stride >> 1; start + stride <= nodeCount; start += stride) {
    let best = start;
    for (let position = start; position < start + stride - 1; position++) {
      if ((widths[position] ?? 0) < (widths[best] ?? 0)) best = position;
    }
    cuts.push(best + 1);
  }
  return joined(cuts, nodeCount);
}

function joined(cuts: readonly number[], nodeCount: number): readonly Group[] {
  const stride = Math.ceil((cuts.length + 1) / GROUP_COUNT_MAX);
  const kept = cuts.filter((_, index) => (index + 1) % stride === 0);
  return [...kept, nodeCount].map((to, index) => ({ from: kept[index - 1] ?? 0, to }));
}

/** The operators of a group and how they hang together. */
function signature(nodes: readonly GraphNode[], group: Group): string {
  const producers = new Map<string, string>();
  const parts: string[] = [];
  for (let index = group.from; index < group.to; index++) {
    const node = nodes[index];
    if (node === undefined) continue;
    const inputs = node.inputs.map((value) => producers.get(value) ?? "");
    parts.push(`${node.domain}:${node.opType}(${inputs.join(",")})`);
    node.outputs.forEach((value, output) => {
      if (value !== "") producers.set(value, `${index - group.from}.${output}`);
    });
  }
  return parts.join(";");
}

interface Repeat {
  readonly from: number;
  /** Groups in one repetition. */
  readonly period: number;
  /** Repetitions; 1 for what does not repeat. */
  readonly count: number;
}

/** Splits a sequence, from the left, into the repetitions that cover most and what lies between. */
function findRepeats(signatures: readonly string[]): Repeat[] {
  const ids = new Map<string, number>();
  const sequence = signatures.map((text) => {
    const id = ids.get(text) ?? ids.size;
    ids.set(text, id);
    return id;
  });
  const longest = Math.min(BLOCK_LENGTH_MAX, sequence.length >> 1);
  const equalRuns: Int32Array[] = [];
  for (let period = 1; period <= longest; period++) {
    const runs = new Int32Array(sequence.length + 1);
    for (let index = sequence.length - period - 1; index >= 0; index--) {
      runs[index] = sequence[index] === sequence[index + period] ? (runs[index + 1] ?? 0) + 1 : 0;
    }
    equalRuns.push(runs);
  }
  const found: Repeat[] = [];
  for (let from = 0; from < sequence.length;) {
    let best: Repeat = { from, period: 1, count: 1 };
    let bestSlack = 0;
    for (const [offset, runs] of equalRuns.entries()) {
      const period = offset + 1;
      const run = runs[from] ?? 0;
      const count = Math.floor(run / period) + 1;
      if (count === 1 || count * period <= best.count * best.period) continue;
      best = { from, period, count };
      bestSlack = run - (count - 1) * period;
    }
    // The same repetitions may be read from a few groups later on: begin with what begins a layer.
    const shift = startsLayer(signatures[from]) ? 0 : [...Array(bestSlack).keys()]
      .map((index) => index + 1).find((index) => startsLayer(signatures[from + index])) ?? 0;
    for (let index = 0; index < shift; index++) {
      found.push({ from: from + index, period: 1, count: 1 });
    }
    found.push({ ...best, from: from + shift });
    from += shift + best.period * best.count;
  }
  return found;
}

function startsLayer(signature: string | undefined): boolean {
  return /^[^:]*:(?:\w*Conv\w*|\w*Gemm\w*|\w*MatMul\w*|LSTM|GRU|RNN)\(/.test(signature ?? "");
}
