// The one order in which nodes run and hooks are called, whatever the plan: as the modules' own code
// would run it. A module call is entered once its inputs are there, runs without interruption, and is
// left before anybody reads what it computes. It knows data flow and nesting, no segment.
//
// How: nodes, isolated calls, enters and leaves are items of a graph, sorted topologically by the place
// that nesting and the file give them. What a value's version needs is a hard edge; what only keeps
// calls in one piece is a soft one, given up where modules interlock or a path leaves and comes back.

import { HooklineError } from "../errors/hookline_error.ts";
import { usesOf } from "../graph/sub_model.ts";
import type { ModelGraph } from "../graph/model_graph.ts";
import { CallNesting, contains } from "./call_nesting.ts";
import { type CallDemand, nameOf } from "./demand.ts";

/** A node, an isolated call, or the point where a call's hooks are entered or left. */
export type OrderedItem =
  | { readonly kind: "node"; readonly node: number; readonly after: readonly OrderedItem[] }
  | {
    readonly kind: "module" | "enter" | "leave";
    readonly call: CallDemand;
    readonly after: readonly OrderedItem[];
  };

/** What to order. */
export interface OrderRequest {
  readonly graph: ModelGraph;
  readonly nodes: readonly number[];
  /** Place of each node when nothing else decides. */
  readonly positions: readonly number[];
  /** Calls that run as a step of their own; none lies in another. */
  readonly isolated: readonly CallDemand[];
  /** The other calls, none of which lies in an isolated one. */
  readonly calls: readonly CallDemand[];
}

/**
 * The items in running order; `after` holds what each one needs done before.
 *
 * @throws {HooklineError} PLAN_CYCLE when calls that change values depend on one another.
 */
export function runOrder(request: OrderRequest): readonly OrderedItem[] {
  return new OrderBuilder(request).build();
}

interface Draft {
  readonly item: OrderedItem & { readonly after: OrderedItem[] };
  /** Place among all items: the positions of the calls around it, then its own. */
  readonly place: readonly number[];
  readonly hard: Set<Draft>;
  readonly soft: Set<Draft>;
}

class OrderBuilder {
  readonly #request: OrderRequest;
  readonly #nesting: CallNesting;
  readonly #drafts: Draft[] = [];
  readonly #ofNode = new Map<number, Draft>();
  readonly #enters = new Map<CallDemand, Draft>();
  readonly #leaves = new Map<CallDemand, Draft>();
  /** For each value the calls that it leaves, innermost first. */
  readonly #leavers = new Map<string, CallDemand[]>();

  constructor(request: OrderRequest) {
    this.#request = request;
    this.#nesting = new CallNesting([...request.calls, ...request.isolated]);
    this.#nesting.requireNested([...request.calls, ...request.isolated]);
  }

  build(): readonly OrderedItem[] {
    const { calls, isolated } = this.#request;
    this.#addItems();
    for (const call of [...calls].sort((left, right) => left.nodes.size - right.nodes.size)) {
      for (const value of call.call.outputs) push(this.#leavers, value, call);
    }
    for (const leavers of this.#leavers.values()) {
      leavers.sort((left, right) => contains(left, right) ? 1 : contains(right, left) ? -1 : 0);
    }
    for (const node of this.#request.nodes) {
      const draft = this.#ofNode.get(node) as Draft;
      if (draft.item.kind !== "node") continue;
      const around = this.#ownAround(this.#nesting.aroundNode(node));
      this.#placeInside(draft, around);
      for (const value of usesOf(this.#request.graph, node)) this.#read(draft, value, around);
    }
    for (const call of isolated) {
      const draft = this.#ofNode.get([...call.nodes][0] ?? -1);
      if (draft !== undefined) this.#linkEntry(draft, call, true);
    }
    for (const call of calls) {
      const enter = this.#enters.get(call) as Draft;
      this.#linkEntry(enter, call, call.demand.tapsInputs);
      this.#leaves.get(call)?.hard.add(enter);
    }
    return sorted(this.#drafts);
  }

  #addItems(): void {
    const { calls, isolated, nodes } = this.#request;
    for (const call of isolated) {
      const draft = this.#add({ kind: "module", call, after: [] }, [
        ...this.#placeAround(call),
        this.#firstOf(call),
      ]);
      for (const node of call.nodes) this.#ofNode.set(node, draft);
    }
    for (const call of calls) {
      const outside = [...this.#placeAround(call), this.#firstOf(call)];
      this.#enters.set(call, this.#add({ kind: "enter", call, after: [] }, [...outside, -1]));
      this.#leaves.set(call, this.#add({ kind: "leave", call, after: [] }, [...outside, Infinity]));
    }
    for (const node of nodes) {
      if (this.#ofNode.has(node)) continue;
      const around = this.#nesting.aroundNode(node).map((call) => this.#firstOf(call));
      const place = [...around, this.#positionOf(node)];
      this.#ofNode.set(node, this.#add({ kind: "node", node, after: [] }, place));
    }
  }

  #add(item: Draft["item"], place: readonly number[]): Draft {
    const draft: Draft = { item, place, hard: new Set(), soft: new Set() };
    this.#drafts.push(draft);
    return draft;
  }

  #positionOf(node: number): number {
    return this.#request.positions[node] ?? node;
  }

  readonly #firsts = new Map<CallDemand, number>();

  #firstOf(call: CallDemand): number {
    let first = this.#firsts.get(call);
    if (first === undefined) {
      first = Infinity;
      for (const node of call.nodes) first = Math.min(first, this.#positionOf(node));
      this.#firsts.set(call, first);
    }
    return first;
  }

  #placeAround(call: CallDemand): number[] {
    return this.#nesting.aroundCall(call).map((outer) => this.#firstOf(outer));
  }

  #ownAround(around: readonly CallDemand[]): readonly CallDemand[] {
    return around.filter((call) => this.#enters.has(call));
  }

  /** An item runs between the enter and the leave of the innermost call around it. */
  #placeInside(draft: Draft, around: readonly CallDemand[]): void {
    const inner = around[around.length - 1];
    if (inner === undefined) return;
    draft.soft.add(this.#enters.get(inner) as Draft);
    this.#leaves.get(inner)?.hard.add(draft);
  }

  #linkEntry(entry: Draft, call: CallDemand, needsInputs: boolean): void {
    const around = this.#ownAround(this.#nesting.aroundCall(call));
    this.#placeInside(entry, around);
    const leave = this.#leaves.get(call);
    if (leave !== undefined) this.#placeInside(leave, around);
    for (const value of call.call.inputs) this.#read(entry, value, [...around, call], !needsInputs);
  }

  /** An item outside reads a value after the last call that changes it was left. */
  #read(
    reader: Draft,
    value: string,
    around: readonly CallDemand[],
    isSoft = false,
  ): void {
    const producer = this.#request.graph.producerOf(value);
    let version = producer === undefined ? undefined : this.#ofNode.get(producer);
    if (version === undefined || version === reader) return; // from outside the region, or constant
    let last = version;
    for (const call of this.#leavers.get(value) ?? []) {
      if (around.includes(call)) break;
      last = this.#leaves.get(call) as Draft;
      if (call.demand.editsOutputs) version = last;
    }
    if (!isSoft) reader.hard.add(version);
    reader.soft.add(last);
  }
}

function push<Item>(map: Map<string, Item[]>, key: string, item: Item): void {
  const items = map.get(key);
  if (items === undefined) map.set(key, [item]);
  else items.push(item);
}

function comparePlaces(left: readonly number[], right: readonly number[]): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const [a, b] = [left[index] as number, right[index] as number];
    if (a !== b) return a < b ? -1 : 1; // no difference: both may be infinite
  }
  return left.length - right.length;
}

/** Kahn's algorithm, always the ready item with the first place; soft edges yield when nothing is ready. */
function sorted(drafts: readonly Draft[]): readonly OrderedItem[] {
  const byPlace = [...drafts].sort((left, right) => comparePlaces(left.place, right.place));
  const rank = new Map(byPlace.map((draft, index) => [draft, index]));
  const hard = byPlace.map((draft) => draft.hard.size);
  const soft = byPlace.map((draft) => draft.soft.size);
  const hardOf: number[][] = byPlace.map(() => []);
  const softOf: number[][] = byPlace.map(() => []);
  for (const [index, draft] of byPlace.entries()) {
    for (const earlier of draft.hard) {
      hardOf[rank.get(earlier) as number]?.push(index);
      draft.item.after.push(earlier.item);
    }
    for (const earlier of draft.soft) softOf[rank.get(earlier) as number]?.push(index);
  }
  const ready = new RankQueue(byPlace.length);
  const offer = (index: number): void => {
    if (hard[index] === 0 && soft[index] === 0) ready.add(index);
  };
  byPlace.forEach((_, index) => offer(index));
  const isDone = byPlace.map(() => false);
  const order: OrderedItem[] = [];
  while (order.length < byPlace.length) {
    let next = ready.take();
    if (next === undefined) {
      next = byPlace.findIndex((_, index) => !isDone[index] && hard[index] === 0);
      if (next < 0) throw cycle(byPlace.filter((_, index) => !isDone[index]));
    }
    if (isDone[next]) continue;
    isDone[next] = true;
    order.push((byPlace[next] as Draft).item);
    for (const later of hardOf[next] ?? []) {
      hard[later] = (hard[later] as number) - 1;
      offer(later);
    }
    for (const later of softOf[next] ?? []) {
      soft[later] = (soft[later] as number) - 1;
      offer(later);
    }
  }
  return order;
}

/** Small whole numbers, smallest first. */
class RankQueue {
  readonly #isIn: Uint8Array;
  #lowest = 0;

  constructor(limit: number) {
    this.#isIn = new Uint8Array(limit);
  }

  add(rank: number): void {
    this.#isIn[rank] = 1;
    if (rank < this.#lowest) this.#lowest = rank;
  }

  take(): number | undefined {
    while (this.#lowest < this.#isIn.length) {
      if (this.#isIn[this.#lowest] === 1) {
        this.#isIn[this.#lowest] = 0;
        return this.#lowest;
      }
      this.#lowest++;
    }
    return undefined;
  }
}

function cycle(stuck: readonly Draft[]): HooklineError {
  const modules = [
    ...new Set(
      stuck.flatMap(({ item }) =>
        item.kind === "module" || (item.kind === "leave" && item.call.demand.editsOutputs)
          ? [item.call.demand.module.path]
          : []
      ),
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
