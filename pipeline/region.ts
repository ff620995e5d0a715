// Plans one region of the graph: the whole model, or the inside of a module that runs as a step of its
// own. Nodes become segments; a segment ends only where the next hook needs a value that cannot be
// computed before an earlier hook has changed another. It knows no session.
//
// How: everything happens in the order that run_order gives. Hooks are called one by one; when one
// needs a value that is not computed, a segment runs all nodes that no coming hook can change. An edit
// at one module therefore costs one cut, however deep it lies. Nodes that nothing wanted needs do not
// run.

import { HooklineError } from "../errors/hookline_error.ts";
import type { ModelGraph } from "../graph/model_graph.ts";
import { usesOf } from "../graph/sub_model.ts";
import { contains } from "./call_nesting.ts";
import { segmentStep } from "./_segment_step.ts";
import { type CallDemand, nameOf } from "./demand.ts";
import type { PlanStep } from "./plan.ts";
import { type OrderedItem, runOrder } from "./run_order.ts";

/** What to plan. */
export interface RegionRequest {
  readonly graph: ModelGraph;
  /** Live nodes of the region, ascending. */
  readonly nodes: readonly number[];
  /** Place of each node of the graph in the order of execution. */
  readonly positions: readonly number[];
  /** Values that must come out. */
  readonly outputs: readonly string[];
  /** Demands on module calls that lie in the region, the region's own module excluded. */
  readonly demands: readonly CallDemand[];
  /** Numbers the segments across regions. */
  readonly counter: { next: number };
}

/**
 * The steps of a region.
 *
 * @throws {HooklineError} MODULE_NOT_CUTTABLE or PLAN_CYCLE when the demanded cuts are impossible.
 */
export function planRegion(request: RegionRequest): PlanStep[] {
  for (const demand of request.demands) {
    const isCut = demand.demand.isolation !== null || demand.demand.editsOutputs;
    if (isCut && !demand.call.isConvex) throw notCuttable(demand);
  }
  const isolated = outermostIsolated(request.demands);
  const inner = new Map<CallDemand, CallDemand[]>(isolated.map((demand) => [demand, []]));
  const own: CallDemand[] = [];
  for (const demand of request.demands) {
    if (inner.has(demand)) continue;
    const around = isolated.find((candidate) => contains(candidate, demand));
    if (around === undefined) own.push(demand);
    else inner.get(around)?.push(demand);
  }
  const items = runOrder({ ...request, isolated, calls: own });
  return new RegionLayout(request, { items, own, inner }).steps();
}

function outermostIsolated(demands: readonly CallDemand[]): CallDemand[] {
  const candidates = demands.filter((demand) => demand.demand.isolation !== null);
  const outermost = candidates.filter((demand) =>
    !candidates.some((other) => contains(other, demand))
  );
  return outermost;
}

type Stop = Exclude<OrderedItem, { kind: "node" }>;

/** What a region consists of. */
interface RegionParts {
  readonly items: readonly OrderedItem[];
  /** Calls that lie in no isolated one. */
  readonly own: readonly CallDemand[];
  /** Isolated calls with the calls in them. */
  readonly inner: ReadonlyMap<CallDemand, readonly CallDemand[]>;
}

class RegionLayout {
  readonly #request: RegionRequest;
  readonly #parts: RegionParts;
  /** Values that hooks of this region see. */
  readonly #seen: ReadonlySet<string>;
  readonly #regionOutputs: ReadonlySet<string>;
  readonly #moduleInputs: ReadonlySet<string>;
  /** Nodes that do not lie in an isolated call and that something wanted needs. */
  readonly #needed: ReadonlySet<number>;
  readonly #computed = new Set<number>();
  readonly #steps: PlanStep[] = [];

  constructor(request: RegionRequest, parts: RegionParts) {
    this.#request = request;
    this.#parts = parts;
    this.#seen = new Set(parts.own.flatMap(seenValues));
    this.#regionOutputs = new Set(request.outputs);
    this.#moduleInputs = new Set([...parts.inner.keys()].flatMap(({ call }) => call.inputs));
    this.#needed = this.#neededFor([
      ...this.#regionOutputs,
      ...this.#seen,
      ...this.#moduleInputs,
    ]);
  }

  steps(): PlanStep[] {
    const { items } = this.#parts;
    const release = releaseOfNodes(items);
    const waiting = items.flatMap((item) =>
      item.kind === "node" && this.#needed.has(item.node) ? [item.node] : []
    );
    let stop = 0;
    const runUntil = (limit: number): void => {
      const nodes = waiting.filter((node) =>
        !this.#computed.has(node) && (release.get(node) ?? 0) <= limit
      );
      if (nodes.length > 0) this.#addSegment(nodes);
    };
    for (const item of items) {
      if (item.kind === "node") continue;
      if (this.#acts(item) && this.#lacksValues(item)) runUntil(stop);
      this.#addStop(item);
      stop++;
    }
    runUntil(Infinity);
    return this.#steps;
  }

  /** False for the border of a call that nobody hooks and that changes nothing. */
  #acts({ kind, call }: Stop): boolean {
    return kind === "module" || call.demand.hookNames.length > 0 ||
      (kind === "leave" && call.demand.editsOutputs);
  }

  /** True when a stop must wait for nodes that have not run. */
  #lacksValues(item: Stop): boolean {
    const lacks = (node: number): boolean => this.#needed.has(node) && !this.#computed.has(node);
    const { call } = item.call;
    const values = item.kind === "module"
      ? call.inputs
      : item.kind === "enter"
      ? enterValues(item.call)
      : leaveValues(item.call);
    return values.some((value) => {
      const producer = this.#request.graph.producerOf(value);
      return producer !== undefined && lacks(producer);
    });
  }

  #addStop(item: Stop): void {
    const { call: demand, kind } = item;
    const { module, hookNames } = demand.demand;
    if (kind === "module") {
      this.#steps.push(this.#moduleStep(demand));
    } else if (hookNames.length > 0) {
      this.#steps.push({
        kind,
        module: module.path,
        callIndex: demand.callIndex,
        values: kind === "enter" ? enterValues(demand) : leaveValues(demand),
      });
    }
  }

  #moduleStep(demand: CallDemand): PlanStep {
    const { graph, positions, counter } = this.#request;
    const { call } = demand;
    return {
      kind: "module",
      module: demand.demand.module.path,
      callIndex: demand.callIndex,
      because: demand.demand.isolation ?? "split",
      inputs: call.inputs,
      outputs: call.outputs,
      steps: planRegion({
        graph,
        nodes: call.nodes,
        positions,
        outputs: call.outputs,
        demands: this.#parts.inner.get(demand) ?? [],
        counter,
      }),
    };
  }

  #addSegment(running: readonly number[]): void {
    const { graph } = this.#request;
    for (const node of running) this.#computed.add(node);
    const isWhole = this.#isWhole(running);
    const nodes = isWhole ? this.#request.nodes : [...running].sort((left, right) => left - right);
    this.#steps.push(segmentStep(graph, {
      index: this.#request.counter.next++,
      nodes,
      isWhole,
      seen: this.#seen,
      isUsedLater: (value, own) =>
        this.#regionOutputs.has(value) || this.#moduleInputs.has(value) ||
        graph.consumersOf(value).some((user) => this.#needed.has(user) && !own.has(user)),
    }));
  }

  /** True when nothing of the model is left out: then the model itself runs. */
  #isWhole(running: readonly number[]): boolean {
    const { graph, nodes } = this.#request;
    if (this.#parts.inner.size > 0 || running.length < this.#needed.size) return false;
    if (nodes.length < graph.nodes.reduce((sum, node) => sum + (node.isConstant ? 0 : 1), 0)) {
      return false;
    }
    const own = new Set(running);
    return [...this.#neededFor(graph.outputs)].every((node) => own.has(node));
  }

  /** The nodes of the region outside isolated calls that values need. */
  #neededFor(values: readonly string[]): ReadonlySet<number> {
    const { graph } = this.#request;
    const free = new Set(
      this.#parts.items.flatMap((item) => item.kind === "node" ? [item.node] : []),
    );
    const needed = new Set<number>();
    const waiting = [...values];
    for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
      const producer = graph.producerOf(value);
      if (producer === undefined || needed.has(producer) || !free.has(producer)) continue;
      needed.add(producer);
      waiting.push(...usesOf(graph, producer));
    }
    return needed;
  }
}

/** For each node how many stops must have passed before it can run. */
function releaseOfNodes(items: readonly OrderedItem[]): ReadonlyMap<number, number> {
  const releases = new Map<OrderedItem, number>();
  const ofNodes = new Map<number, number>();
  let stop = 0;
  for (const item of items) {
    if (item.kind !== "node") {
      releases.set(item, ++stop);
      continue;
    }
    const release = item.after.reduce((most, one) => Math.max(most, releases.get(one) ?? 0), 0);
    releases.set(item, release);
    ofNodes.set(item.node, release);
  }
  return ofNodes;
}

function seenValues(demand: CallDemand): readonly string[] {
  return [...enterValues(demand), ...leaveValues(demand)];
}

function enterValues({ demand, call }: CallDemand): readonly string[] {
  return demand.tapsInputs ? call.inputs : [];
}

function leaveValues({ demand, call }: CallDemand): readonly string[] {
  return demand.tapsOutputs ? call.outputs : [];
}

function notCuttable(demand: CallDemand): HooklineError {
  const { module } = demand.demand;
  return new HooklineError("MODULE_NOT_CUTTABLE", {
    message: `cannot cut the graph at ${nameOf(module)}: ${
      module.reason ?? "a path leaves it and comes back"
    }`,
    fix: "observe it instead, or hook one of its children or its parent",
    details: { module: module.path, hooks: demand.demand.hookNames },
  });
}
