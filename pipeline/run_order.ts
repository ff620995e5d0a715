// The one order in which nodes run and hooks are called, whatever the plan: as the modules' own code
// would run it. A module call is entered once its inputs are there, runs without interruption, and is
// left before anybody reads what it computes. It knows data flow and nesting, no segment.
//
// How: nodes, isolated calls, enters and leaves are items of a graph, sorted topologically by the place
// that nesting and the file give them. What a value's version needs is a hard edge; what only keeps
// calls in one piece is a soft one, given up where modules interlock or a path leaves and comes back.

import { HooklineError } from "../errors/hookline_error.ts";
import { usesOf } from "../graph/sub_model.ts";
import type { GraphModule } from "../graph/graph_module.ts";
import type { ModelGraph } from "../graph/model_graph.ts";
import { CallNesting, outerFirst } from "./call_nesting.ts";
import { type CallDemand, callsOf, nameOf, tapDemand } from "./demand.ts";
import { type Placed, placeOrder } from "./place_order.ts";

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

/**
 * The place of every node of a model in the order of execution, by node index: that of the file, with
 * each module call in one piece. Exporters merge and hoist nodes; the code that they exported did not
 * stop in the middle of a module.
 */
export function executionPositions(
  graph: ModelGraph,
  modules: readonly GraphModule[],
): readonly number[] {
  const positions = graph.nodes.map((node) => node.index);
  const nodes = positions.filter((index) => graph.nodes[index]?.isConstant === false);
  const called = modules.filter((module) => module.insideBody === null && module.path !== "");
  const calls = callsOf(called.map((module) => tapDemand(module, "")));
  const order = runOrder({ graph, nodes, positions, isolated: [], calls });
  let place = 0;
  for (const item of order) if (item.kind === "node") positions[item.node] = place++;
  return positions;
}

interface Draft extends Placed<Draft> {
  readonly item: OrderedItem & { readonly after: OrderedItem[] };
  readonly hard: Set<Draft>;
  readonly soft: Set<Draft>;
}

class OrderBuilder {
  readonly #request: OrderRequest;
  readonly #nesting: CallNesting;
  readonly #drafts: Draft[] = [];
  readonly #ofNode = new Map<number, Draft>();
  /** Where a call begins: its enter, or the isolated call itself. */
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
    for (const call of [...calls].sort(outerFirst).reverse()) {
      for (const value of call.call.outputs) push(this.#leavers, value, call);
    }
    for (const node of this.#request.nodes) {
      const draft = this.#ofNode.get(node) as Draft;
      if (draft.item.kind !== "node") continue;
      const around = this.#nesting.aroundNode(node);
      this.#placeInside(draft, around);
      for (const value of usesOf(this.#request.graph, node)) this.#read(draft, value, around);
    }
    for (const call of isolated) this.#linkEntry(this.#enters.get(call) as Draft, call, true);
    for (const call of calls) {
      const enter = this.#enters.get(call) as Draft;
      this.#linkEntry(enter, call, call.demand.tapsInputs);
      this.#leaves.get(call)?.hard.add(enter);
    }
    const { order, stuck } = placeOrder(this.#drafts);
    if (stuck.length > 0) throw cycle(stuck.map(({ item }) => item));
    for (const { item, hard } of order) for (const earlier of hard) item.after.push(earlier.item);
    return order.map(({ item }) => item);
  }

  #addItems(): void {
    const { calls, isolated, nodes } = this.#request;
    for (const call of isolated) {
      const draft = this.#add({ kind: "module", call, after: [] }, [
        ...this.#placeAround(call),
        this.#firstOf(call),
      ]);
      this.#enters.set(call, draft);
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

  /** An item runs between the enter and the leave of the calls around it. */
  #placeInside(draft: Draft, around: readonly CallDemand[]): void {
    for (const call of around) {
      draft.soft.add(this.#enters.get(call) as Draft);
      this.#leaves.get(call)?.hard.add(draft);
    }
  }

  #linkEntry(entry: Draft, call: CallDemand, needsInputs: boolean): void {
    const around = this.#nesting.aroundCall(call);
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

function cycle(stuck: readonly OrderedItem[]): HooklineError {
  const modules = [
    ...new Set(
      stuck.flatMap((item) =>
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
