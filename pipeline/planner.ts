// Chooses the cheapest plan that the demands allow: the whole model untouched, one tapped session, or
// cuts at the modules that must change and nowhere else. Pure: same structure and demands, same plan.

import type { GraphModule } from "../graph/graph_module.ts";
import { fusionRisk } from "../graph/fusion_risk.ts";
import type { ModelGraph } from "../graph/model_graph.ts";
import { callsOf, type ModuleDemand } from "./demand.ts";
import {
  type Plan,
  type PlanStep,
  planSubject,
  sealPlan,
  segmentsOf,
  type SegmentStep,
} from "./plan.ts";
import { planRegion } from "./region.ts";
import type { ResidencySchedule } from "./residency/schedule.ts";

/** What to plan for. */
export interface PlanRequest {
  readonly graph: ModelGraph;
  /** What `executionPositions` gives for the model; the file's order when left out. */
  readonly positions?: readonly number[];
  /** One demand per module that is hooked, tapped or split. */
  readonly demands: readonly ModuleDemand[];
  /** Hash of the model's structure, part of the plan's hash. */
  readonly structureHash: string;
  /** Canonical text of the hooks' order by module path, part of the plan's hash. */
  readonly orderKeys: Readonly<Record<string, string>>;
  /** Outputs that are wanted; all when left out. Nodes that only others need do not run. */
  readonly outputs?: readonly string[];
  /** How weights move, when a hook asks for anything. */
  readonly residency?: ResidencySchedule | null;
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
  const madeFor = planSubject(request.structureHash, request.orderKeys);
  const residency = request.residency ?? null;
  const moving = residency === null ? {} : { residency };
  const seal = (kind: Plan["kind"], steps: readonly PlanStep[], reasons = because): Plan =>
    sealPlan({ kind, steps, madeFor, outputs, order, because: reasons, ...moving });
  if (demands.length === 0) return seal("whole", []);
  const isCut = demands.some((demand) => demand.editsOutputs || demand.isolation !== null);
  const live = graph.nodes.filter((node) => !node.isConstant).map((node) => node.index);
  const steps = planRegion({
    graph,
    nodes: live,
    positions: request.positions ?? graph.nodes.map((node) => node.index),
    outputs,
    demands: callsOf(demands),
    counter: { next: 0 },
  });
  const running = segmentsOf(steps).reduce((sum, segment) => sum + segment.nodes.length, 0);
  const stopped = request.outputs === undefined || running === live.length
    ? []
    : [`${running} of ${live.length} nodes run: nothing that is wanted needs the others`];
  return seal(isCut ? "split" : "tapped", withConstantOutputs(graph, steps, outputs), [
    ...because,
    ...stopped,
  ]);
}

/**
 * Wanted outputs that no live node computes come out of the first segment that always runs, or of one of
 * their own.
 */
function withConstantOutputs(
  graph: ModelGraph,
  steps: readonly PlanStep[],
  outputs: readonly string[],
): readonly PlanStep[] {
  const constant = outputs.filter((value) => graph.isConstantValue(value));
  if (constant.length === 0) return steps;
  const at = steps.findIndex((step) => step.kind === "segment");
  const first = steps[at];
  if (first?.kind === "segment") {
    return steps.with(at, { ...first, outputs: [...first.outputs, ...constant] });
  }
  const own: SegmentStep = {
    kind: "segment",
    index: segmentsOf(steps).length,
    nodes: [],
    isWhole: false,
    inputs: [],
    outputs: constant,
    taps: [],
  };
  return [...steps, own];
}

/** The plan in the words of `explain --json`: its segments, what lies in them, and why. */
export interface PlanDocument {
  /** How the model runs. */
  readonly plan: Plan["kind"];
  /** Equal for equal plans of equal models. */
  readonly planHash: string;
  /** The sessions in execution order. */
  readonly segments: readonly {
    readonly kind: "whole" | "part";
    readonly modules: readonly string[];
    readonly nodes: number;
    readonly taps: readonly string[];
    readonly because: string;
  }[];
  /** Hook names by module path, in dispatch order. */
  readonly order: Readonly<Record<string, readonly string[]>>;
  /** One line for every tap and cut. */
  readonly because: readonly string[];
  /** Taps and cuts that may keep ONNX Runtime from fusing two operators, at this optimization level. */
  readonly mayEndFusions: readonly { readonly value: string; readonly operators: string }[];
  /** How weights move; absent when no hook asks for anything. */
  readonly residency?: ResidencySchedule;
}

/** Describes a plan. `modules` names what lies in each segment. */
export function planDocument(
  plan: Plan,
  modules: readonly GraphModule[],
  fusing: ModelGraph | null = null,
): PlanDocument {
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
    ...(plan.residency === undefined ? {} : { residency: plan.residency }),
    mayEndFusions: fusing === null
      ? []
      : segments.flatMap((segment) =>
        segment.outputs.flatMap((value) => {
          const operators = fusionRisk(fusing, value);
          return operators === null ? [] : [{ value, operators }];
        })
      ),
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
