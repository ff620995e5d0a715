// Chooses the cheapest plan that the demands allow: the whole model untouched, one tapped session, or
// cuts at the modules that must change and nowhere else. Pure: same structure and demands, same plan.

import type { GraphModule } from "../graph/graph_module.ts";
import type { ModelGraph } from "../graph/model_graph.ts";
import { usesOf } from "../graph/sub_model.ts";
import { callsOf, type ModuleDemand } from "./demand.ts";
import { EventSchedule } from "./event_schedule.ts";
import { type Plan, type PlanStep, sealPlan, segmentsOf, type SegmentStep } from "./plan.ts";
import { planRegion } from "./region.ts";

/** What to plan for. */
export interface PlanRequest {
  readonly graph: ModelGraph;
  /** One demand per module that is hooked, tapped or split. */
  readonly demands: readonly ModuleDemand[];
  /** Hash of the model's structure, part of the plan's hash. */
  readonly structureHash: string;
  /** Canonical text of the hooks' order by module path, part of the plan's hash. */
  readonly orderKeys: Readonly<Record<string, string>>;
  /** Outputs that are wanted; all when left out. Nodes that only others need do not run. */
  readonly outputs?: readonly string[];
}

/**
 * Makes the plan.
 *
 * @throws {HooklineError} MODULE_NOT_CUTTABLE or PLAN_CYCLE when a demanded cut is impossible.
 */
export function makePlan(request: PlanRequest): Plan {
  const { graph, demands } = request;
  const order: Record<string, readonly string[]> = {};
  for (const demand of demands) {
    if (demand.hookNames.length > 0) order[demand.module.path] = demand.hookNames;
  }
  const outputs = request.outputs ?? graph.outputs;
  const because = demands.flatMap((demand) => demand.because);
  const seal = (kind: Plan["kind"], steps: readonly PlanStep[], reasons = because): Plan =>
    sealPlan(
      { kind, steps, outputs, order, because: reasons },
      request.structureHash + JSON.stringify(request.orderKeys),
    );
  if (demands.length === 0) return seal("whole", []);
  const isCut = demands.some((demand) => demand.editsOutputs || demand.isolation !== null);
  const live = graph.nodes.filter((node) => !node.isConstant).map((node) => node.index);
  const nodes = request.outputs === undefined ? live : neededNodes(graph, demands, outputs);
  if (!isCut && nodes.length === live.length) return seal("tapped", tappedSteps(graph, demands));
  const steps = planRegion({
    graph,
    nodes,
    outputs,
    demands: callsOf(demands),
    counter: { next: 0 },
  });
  const stopped = nodes.length === live.length
    ? []
    : [`${nodes.length} of ${live.length} nodes run: nothing that is wanted needs the others`];
  return seal(isCut ? "split" : "tapped", withConstantOutputs(graph, steps, outputs), [
    ...because,
    ...stopped,
  ]);
}

/** Live nodes that the wanted outputs and the demanded modules need, ascending. */
function neededNodes(
  graph: ModelGraph,
  demands: readonly ModuleDemand[],
  outputs: readonly string[],
): number[] {
  const needed = new Set<number>();
  const waiting: number[] = [];
  const need = (node: number | undefined): void => {
    if (node === undefined || needed.has(node) || (graph.nodes[node]?.isConstant ?? true)) return;
    needed.add(node);
    waiting.push(node);
  };
  for (const value of outputs) need(graph.producerOf(value));
  for (const demand of demands) for (const call of demand.module.calls) call.nodes.forEach(need);
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    for (const value of usesOf(graph, node)) need(graph.producerOf(value));
  }
  return [...needed].sort((left, right) => left - right);
}

/** One session with everything that hooks want as further outputs, then all events in model order. */
function tappedSteps(graph: ModelGraph, demands: readonly ModuleDemand[]): PlanStep[] {
  const nodes = graph.nodes.filter((node) => !node.isConstant).map((node) => node.index);
  const modelOutputs = new Set(graph.outputs);
  const taps = new Set<string>();
  const add = (value: string): void => {
    // Inputs are at hand already; what is an output already needs no tap.
    if (graph.producerOf(value) !== undefined && !modelOutputs.has(value)) taps.add(value);
  };
  for (const demand of demands) {
    for (const call of demand.module.calls) {
      if (demand.tapsInputs) call.inputs.forEach(add);
      if (demand.tapsOutputs) call.outputs.forEach(add);
    }
  }
  const segment: SegmentStep = {
    kind: "segment",
    index: 0,
    nodes,
    isWhole: true,
    inputs: graph.inputs,
    outputs: [...graph.outputs, ...taps],
    taps: [...taps],
  };
  const schedule = new EventSchedule(graph, callsOf(demands), nodes);
  schedule.computed(nodes);
  return [segment, ...schedule.takeReady(Infinity)];
}

/** Model outputs that no live node computes come out of the first segment. */
function withConstantOutputs(
  graph: ModelGraph,
  steps: PlanStep[],
  outputs: readonly string[],
): PlanStep[] {
  const constant = outputs.filter((value) => graph.isConstantValue(value));
  if (constant.length === 0) return steps;
  const at = steps.findIndex((step) => step.kind === "segment");
  const first = steps[at];
  if (first?.kind !== "segment") return steps;
  return steps.with(at, { ...first, outputs: [...first.outputs, ...constant] });
}

/** The plan in the words of `explain --json`: its segments, what lies in them, and why. */
export interface PlanDocument {
  readonly plan: Plan["kind"];
  readonly planHash: string;
  readonly segments: readonly {
    readonly kind: "whole" | "part";
    readonly modules: readonly string[];
    readonly nodes: number;
    readonly taps: readonly string[];
    readonly because: string;
  }[];
  readonly order: Readonly<Record<string, readonly string[]>>;
  readonly because: readonly string[];
}

/** Describes a plan. `modules` names what lies in each segment. */
export function planDocument(plan: Plan, modules: readonly GraphModule[]): PlanDocument {
  const segments = segmentsOf(plan.steps);
  return {
    plan: plan.kind,
    planHash: plan.hash,
    segments: plan.kind === "whole"
      ? [{
        kind: "whole",
        modules: [""],
        nodes: 0,
        taps: [],
        because: "no hook asks for anything: the file runs untouched",
      }]
      : segments.map((segment, index) => ({
        kind: segment.isWhole ? "whole" as const : "part" as const,
        modules: modulesWithin(segment, modules),
        nodes: segment.nodes.length,
        taps: segment.taps,
        because: segment.isWhole
          ? "every node runs in one session"
          : index === 0
          ? "from the model's inputs to the first cut"
          : "from one cut to the next",
      })),
    order: plan.order,
    because: plan.because,
  };
}

/** The outermost modules whose nodes all lie in a segment. */
function modulesWithin(segment: SegmentStep, modules: readonly GraphModule[]): string[] {
  const nodes = new Set(segment.nodes);
  const found: string[] = [];
  for (const module of modules) {
    if (module.insideBody !== null || module.calls.length === 0) continue;
    if (module.parent !== null && found.includes(module.parent)) continue;
    const isInside = module.calls.every((call) =>
      call.nodes.length > 0 && call.nodes.every((node) => nodes.has(node))
    );
    const isCovered = found.some((path) => path === "" || module.path.startsWith(`${path}.`));
    if (isInside && !isCovered) found.push(module.path);
  }
  return found;
}
