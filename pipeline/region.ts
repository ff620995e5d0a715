// Plans one region of the graph: the whole model, or the inside of a module that runs as a step of
// its own. Nodes become segments; a segment ends only where a hook must act before the next nodes may
// run. It knows no session.
//
// How: every node, every isolated module call, and every barrier (the point after a module whose
// outputs may change) is an item. An item's rank is the number of barriers and isolated calls that
// must have happened before it; nodes of one rank form one segment. An edit at one module therefore
// costs one cut, however deep it lies.

import { HooklineError } from "../errors/hookline_error.ts";
import type { ModelGraph } from "../graph/model_graph.ts";
import { usesOf } from "../graph/sub_model.ts";
import { type CallDemand, nameOf } from "./demand.ts";
import { EventSchedule } from "./event_schedule.ts";
import type { PlanStep, SegmentStep } from "./plan.ts";

/** What to plan. */
export interface RegionRequest {
  readonly graph: ModelGraph;
  /** Live nodes of the region, ascending. */
  readonly nodes: readonly number[];
  /** Values that must come out. */
  readonly outputs: readonly string[];
  /** Demands on module calls that lie in the region, the region's own module excluded. */
  readonly demands: readonly CallDemand[];
  /** Numbers the segments across regions. */
  readonly counter: { next: number };
}

/** A node, an isolated call, or a barrier, with what must come before it. */
interface Item {
  readonly kind: "node" | "module" | "barrier";
  /** Where it stands among all items when nothing else decides: by node order. */
  readonly order: number;
  readonly node: number;
  readonly demand: CallDemand | null;
  readonly before: Set<number>;
  rank: number;
}

/**
 * The steps of a region.
 *
 * @throws {HooklineError} MODULE_NOT_CUTTABLE or PLAN_CYCLE when the demanded cuts are impossible.
 */
export function planRegion(request: RegionRequest): PlanStep[] {
  const isolated = outermostIsolated(request.demands);
  const inner = new Map<CallDemand, CallDemand[]>();
  const own: CallDemand[] = [];
  for (const demand of request.demands) {
    if (isolated.includes(demand)) continue;
    const around = isolated.find((candidate) => contains(candidate, demand));
    if (around === undefined) own.push(demand);
    else inner.set(around, [...(inner.get(around) ?? []), demand]);
  }
  const barriers = own.filter((demand) => demand.demand.editsOutputs);
  const items = buildItems(request, isolated, barriers);
  rankItems(items);
  return layOut(request, items, own, inner);
}

/** True when `inside` lies within `outside`, by its nodes or, where those are equal, by its path. */
function contains(outside: CallDemand, inside: CallDemand): boolean {
  if (outside === inside || inside.nodes.size > outside.nodes.size) return false;
  if (inside.nodes.size === outside.nodes.size && depth(inside) <= depth(outside)) return false;
  for (const node of inside.nodes) if (!outside.nodes.has(node)) return false;
  return true;
}

function depth(demand: CallDemand): number {
  return demand.demand.module.path === "" ? 0 : demand.demand.module.path.split(".").length;
}

function outermostIsolated(demands: readonly CallDemand[]): CallDemand[] {
  const candidates = demands.filter((demand) => demand.demand.isolation !== null);
  const outermost = candidates.filter((demand) =>
    !candidates.some((other) => contains(other, demand))
  );
  const owner = new Map<number, CallDemand>();
  for (const demand of outermost) {
    if (!demand.call.isConvex) throw notCuttable(demand);
    for (const node of demand.nodes) {
      const other = owner.get(node);
      if (other !== undefined) throw overlap(demand, other);
      owner.set(node, demand);
    }
  }
  return outermost;
}

function buildItems(
  request: RegionRequest,
  isolated: readonly CallDemand[],
  barriers: readonly CallDemand[],
): Item[] {
  const { graph } = request;
  const items: Item[] = [];
  const itemOfNode = new Map<number, number>();
  const add = (
    kind: Item["kind"],
    order: number,
    node: number,
    demand: CallDemand | null,
  ): number => items.push({ kind, order, node, demand, before: new Set(), rank: 0 }) - 1;
  for (const demand of isolated) {
    const id = add("module", first(demand), -1, demand);
    for (const node of demand.nodes) itemOfNode.set(node, id);
  }
  for (const node of request.nodes) {
    if (!itemOfNode.has(node)) itemOfNode.set(node, add("node", node, node, null));
  }
  const barrierItems = barriers.map((demand) => add("barrier", last(demand) + 0.5, -1, demand));
  const chains = barrierChains(barriers, barrierItems);

  // The item after which a consumer may read a value: its producer, or the last barrier of a module
  // that the consumer does not belong to.
  const sourceOf = (
    value: string,
    isInside: (barrier: CallDemand) => boolean,
  ): number | undefined => {
    const producer = graph.producerOf(value);
    let source = producer === undefined ? undefined : itemOfNode.get(producer);
    if (source === undefined) return undefined; // from outside the region, or constant
    for (const { demand, item } of chains.get(value) ?? []) {
      if (isInside(demand)) break;
      source = item;
    }
    return source;
  };
  for (const [id, item] of items.entries()) {
    if (item.kind === "barrier") {
      const barrier = item.demand as CallDemand;
      for (const node of barrier.nodes) {
        const inside = itemOfNode.get(node);
        if (inside !== undefined) item.before.add(inside);
      }
      for (const value of barrier.call.outputs) {
        for (const link of chains.get(value) ?? []) {
          if (link.item === id) break;
          item.before.add(link.item);
        }
      }
      continue;
    }
    const uses = item.kind === "node"
      ? usesOf(graph, item.node)
      : (item.demand as CallDemand).call.inputs;
    const anyNode = item.kind === "node" ? item.node : first(item.demand as CallDemand);
    for (const value of uses) {
      const source = sourceOf(
        value,
        (barrier) =>
          barrier.nodes.has(anyNode) && (item.demand === null || contains(barrier, item.demand)),
      );
      if (source !== undefined && source !== id) item.before.add(source);
    }
  }
  return items;
}

type Chain = { readonly demand: CallDemand; readonly item: number }[];

/** For each value the barriers that may change it, innermost module first. */
function barrierChains(
  barriers: readonly CallDemand[],
  ids: readonly number[],
): Map<string, Chain> {
  const chains = new Map<string, Chain>();
  for (const [index, demand] of barriers.entries()) {
    for (const value of demand.call.outputs) {
      const chain = chains.get(value) ?? [];
      chain.push({ demand, item: ids[index] as number });
      chains.set(value, chain);
    }
  }
  for (const chain of chains.values()) {
    chain.sort((left, right) =>
      left.demand.nodes.size - right.demand.nodes.size || depth(right.demand) - depth(left.demand)
    );
  }
  return chains;
}

/** Ranks items in a deterministic topological order and leaves them sorted by it. */
function rankItems(items: Item[]): void {
  const dependents: number[][] = items.map(() => []);
  const waiting = items.map((item) => item.before.size);
  for (const [id, item] of items.entries()) {
    for (const earlier of item.before) dependents[earlier]?.push(id);
  }
  const byOrder = (left: number, right: number): number =>
    (items[left] as Item).order - (items[right] as Item).order || left - right;
  const sorted: number[] = [];
  let ready = items.map((_, id) => id).filter((id) => waiting[id] === 0).sort(byOrder);
  while (ready.length > 0) {
    const next: number[] = [];
    for (const id of ready) {
      sorted.push(id);
      const item = items[id] as Item;
      for (const earlier of item.before) {
        const other = items[earlier] as Item;
        const step = item.kind === "node" && other.kind !== "node" ? 1 : 0;
        item.rank = Math.max(item.rank, other.rank + step);
      }
      for (const dependent of dependents[id] ?? []) {
        const left = (waiting[dependent] ?? 0) - 1;
        waiting[dependent] = left;
        if (left === 0) next.push(dependent);
      }
    }
    ready = next.sort(byOrder);
  }
  if (sorted.length < items.length) throw cycle(items.filter((_, id) => (waiting[id] ?? 0) > 0));
  const position = new Map(sorted.map((id, index) => [id, index]));
  const topological = items.map((item, id) => ({ item, at: position.get(id) ?? 0 })).sort((a, b) =>
    a.at - b.at
  );
  items.splice(0, items.length, ...topological.map((entry) => entry.item));
}

function layOut(
  request: RegionRequest,
  items: readonly Item[],
  own: readonly CallDemand[],
  inner: ReadonlyMap<CallDemand, readonly CallDemand[]>,
): PlanStep[] {
  const steps: PlanStep[] = [];
  const schedule = new EventSchedule(request.graph, own, request.nodes);
  const lastRank = items.reduce((rank, item) => Math.max(rank, item.rank), 0);
  const byRank: Item[][] = Array.from({ length: lastRank + 1 }, () => []);
  for (const item of items) byRank[item.rank]?.push(item);
  const cuts = items.filter((item) => item.kind !== "node").map((item) => item.order).sort((a, b) =>
    a - b
  );
  const segmentOfNode = new Map<number, number>();
  for (const [rank, group] of byRank.entries()) {
    for (const item of group) if (item.kind === "node") segmentOfNode.set(item.node, rank);
  }
  const wanted = wantedByHooks(own);
  for (const [rank, group] of byRank.entries()) {
    const nodes = group.filter((item) => item.kind === "node").map((item) => item.node).sort((
      a,
      b,
    ) => a - b);
    if (nodes.length > 0) {
      steps.push(segmentStep(request, nodes, rank, segmentOfNode, wanted));
      schedule.computed(nodes);
    }
    for (const item of group) {
      if (item.kind === "node") continue;
      const demand = item.demand as CallDemand;
      steps.push(...schedule.takeReady(cuts.shift() ?? Infinity));
      if (item.kind === "barrier") steps.push(...schedule.takeBarrier(demand));
      else {
        steps.push(moduleStep(request, demand, inner.get(demand) ?? []));
        schedule.computed([...demand.nodes]);
      }
    }
    steps.push(...schedule.takeReady(cuts[0] ?? Infinity));
  }
  steps.push(...schedule.takeReady(Infinity));
  return steps;
}

function wantedByHooks(own: readonly CallDemand[]): Set<string> {
  const wanted = new Set<string>();
  for (const { demand, call } of own) {
    if (demand.tapsInputs) { for (const value of call.inputs) wanted.add(value); }
    if (demand.tapsOutputs) { for (const value of call.outputs) wanted.add(value); }
  }
  return wanted;
}

function segmentStep(
  request: RegionRequest,
  nodes: readonly number[],
  rank: number,
  segmentOfNode: ReadonlyMap<number, number>,
  wanted: ReadonlySet<string>,
): SegmentStep {
  const { graph } = request;
  const inputs = new Set<string>();
  const outputs: string[] = [];
  const taps: string[] = [];
  const regionOutputs = new Set(request.outputs);
  const region = new Set(request.nodes);
  for (const node of nodes) {
    for (const value of usesOf(graph, node)) {
      const producer = graph.producerOf(value);
      const isOwn = producer !== undefined && segmentOfNode.get(producer) === rank;
      if (!isOwn && !graph.isConstantValue(value)) inputs.add(value);
    }
    for (const value of graph.nodes[node]?.outputs ?? []) {
      if (value === "") continue;
      const isUsedLater = graph.consumersOf(value).some((consumer) =>
        region.has(consumer) && segmentOfNode.get(consumer) !== rank
      );
      if (isUsedLater || regionOutputs.has(value)) outputs.push(value);
      else if (wanted.has(value)) {
        outputs.push(value);
        taps.push(value);
      }
    }
  }
  const liveCount = graph.nodes.filter((node) => !node.isConstant).length;
  return {
    kind: "segment",
    index: request.counter.next++,
    nodes,
    isWhole: nodes.length === liveCount,
    inputs: [...inputs],
    outputs,
    taps,
  };
}

function moduleStep(
  request: RegionRequest,
  demand: CallDemand,
  inner: readonly CallDemand[],
): PlanStep {
  const { call } = demand;
  return {
    kind: "module",
    module: demand.demand.module.path,
    callIndex: demand.callIndex,
    because: demand.demand.isolation ?? "split",
    inputs: call.inputs,
    outputs: call.outputs,
    steps: planRegion({
      graph: request.graph,
      nodes: call.nodes,
      outputs: call.outputs,
      demands: inner,
      counter: request.counter,
    }),
  };
}

function first(demand: CallDemand): number {
  return demand.call.nodes[0] ?? 0;
}

function last(demand: CallDemand): number {
  return demand.call.nodes[demand.call.nodes.length - 1] ?? 0;
}

function notCuttable(demand: CallDemand): HooklineError {
  const { module } = demand.demand;
  return new HooklineError("MODULE_NOT_CUTTABLE", {
    message: `cannot run ${nameOf(module)} alone: ${
      module.reason ?? "a path leaves it and comes back"
    }`,
    fix: "observe it instead, or hook one of its children or its parent",
    details: { module: module.path, hooks: demand.demand.hookNames },
  });
}

function overlap(left: CallDemand, right: CallDemand): HooklineError {
  return new HooklineError("PLAN_CYCLE", {
    message: `cannot cut both ${nameOf(left.demand.module)} and ${
      nameOf(right.demand.module)
    }: they share nodes and neither lies in the other`,
    fix: "choose spans that do not overlap",
    details: { modules: [left.demand.module.path, right.demand.module.path] },
  });
}

function cycle(stuck: readonly Item[]): HooklineError {
  const modules = [
    ...new Set(
      stuck.flatMap((item) => item.demand === null ? [] : [item.demand.demand.module.path]),
    ),
  ];
  return new HooklineError("PLAN_CYCLE", {
    message: `cannot cut ${
      modules.map((path) => nameOf({ path })).join(" and ")
    }: what they compute depends on one another`,
    fix: "hook one of them, or the smallest module that contains both",
    details: { modules },
  });
}
