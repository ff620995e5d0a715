// When hooks are called: each module call has an enter and a leave, in the order in which the model
// computes. An event fires as soon as the segment that computes its values has run, but never before
// an earlier cut, so that traces read the same whether the plan is tapped or split.

import type { ModelGraph } from "../graph/model_graph.ts";
import type { CallDemand } from "./demand.ts";
import type { EventStep } from "./plan.ts";

interface PendingEvent {
  readonly demand: CallDemand;
  readonly kind: "enter" | "leave";
  /** Node order, with half steps for "before the first" and "after the last" node. */
  readonly order: number;
  readonly values: readonly string[];
  isDone: boolean;
}

/** The events of one region that have not been placed yet. */
export class EventSchedule {
  readonly #events: PendingEvent[];
  readonly #computed = new Set<number>();
  readonly #region: ReadonlySet<number>;
  readonly #entered = new Set<CallDemand>();
  /** Modules whose outputs may still change, by value. */
  readonly #barriers = new Map<string, Set<CallDemand>>();

  constructor(
    readonly graph: ModelGraph,
    demands: readonly CallDemand[],
    nodes: readonly number[],
  ) {
    this.#region = new Set(nodes);
    const events = demands.flatMap((demand): PendingEvent[] => {
      const { call, demand: needs } = demand;
      const first = call.nodes[0] ?? 0;
      const last = call.nodes[call.nodes.length - 1] ?? 0;
      const hasHooks = needs.hookNames.length > 0;
      if (!hasHooks) return [];
      return [
        {
          demand,
          kind: "enter",
          order: first - 0.5,
          values: needs.tapsInputs ? call.inputs : [],
          isDone: false,
        },
        { demand, kind: "leave", order: last + 0.5, values: call.outputs, isDone: false },
      ];
    });
    this.#events = events.sort(compareEvents);
    for (const demand of demands) {
      if (!demand.demand.editsOutputs || demand.demand.isolation !== null) continue;
      for (const value of demand.call.outputs) {
        const barriers = this.#barriers.get(value) ?? new Set();
        this.#barriers.set(value, barriers.add(demand));
      }
    }
  }

  /** Marks nodes as computed. */
  computed(nodes: readonly number[]): void {
    for (const node of nodes) this.#computed.add(node);
  }

  /** Places every event that is ready and stands before `order`. Leaves of cut modules wait for takeBarrier. */
  takeReady(order: number): EventStep[] {
    const taken: EventStep[] = [];
    for (const event of this.#events) {
      if (event.order >= order) break;
      if (event.isDone || !this.#isReady(event)) continue;
      if (event.kind === "leave" && event.demand.demand.editsOutputs) continue;
      taken.push(...this.#place(event));
    }
    return taken;
  }

  /** Places the leave of a module whose outputs may change, and its enter when that is still open. */
  takeBarrier(demand: CallDemand): EventStep[] {
    const steps = this.#events
      .filter((event) => event.demand === demand && !event.isDone)
      .flatMap((event) => this.#place(event));
    for (const value of demand.call.outputs) this.#barriers.get(value)?.delete(demand);
    return steps;
  }

  #isReady(event: PendingEvent): boolean {
    if (event.kind === "leave" && !this.#entered.has(event.demand)) return false;
    return event.values.every((value) => {
      const producer = this.graph.producerOf(value);
      const isComputed = producer === undefined || !this.#region.has(producer) ||
        this.#computed.has(producer);
      return isComputed && !this.#mayChange(value, event);
    });
  }

  /** True while a cut before this event may still change the value that the event shows. */
  #mayChange(value: string, event: PendingEvent): boolean {
    const { nodes } = event.demand;
    for (const barrier of this.#barriers.get(value) ?? []) {
      if (barrier === event.demand) continue;
      const isInside = barrier.nodes.size <= nodes.size &&
        [...barrier.nodes].every((node) => nodes.has(node));
      if (event.kind === "leave" ? isInside : !isInside && !surrounds(barrier, event.demand)) {
        return true;
      }
    }
    return false;
  }

  #place(event: PendingEvent): EventStep[] {
    event.isDone = true;
    if (event.kind === "enter") this.#entered.add(event.demand);
    const { demand } = event;
    return [{
      kind: event.kind,
      module: demand.demand.module.path,
      callIndex: demand.callIndex,
      values: event.values,
    }];
  }
}

function surrounds(outer: CallDemand, inner: CallDemand): boolean {
  return [...inner.nodes].every((node) => outer.nodes.has(node));
}

// At one place: leaves before enters, inner leaves before outer ones, outer enters before inner ones.
function compareEvents(left: PendingEvent, right: PendingEvent): number {
  if (left.order !== right.order) return left.order - right.order;
  if (left.kind !== right.kind) return left.kind === "leave" ? -1 : 1;
  const bySize = left.demand.nodes.size - right.demand.nodes.size;
  const byDepth = right.demand.demand.module.path.length - left.demand.demand.module.path.length;
  const innerFirst = bySize === 0 ? byDepth : bySize;
  return left.kind === "leave" ? innerFirst : -innerFirst;
}
