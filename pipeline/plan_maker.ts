// Makes the plans of one model from what stands in its registries. It opens nothing and runs nothing.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { GraphModule } from "../graph/graph_module.ts";
import { type ModuleSelector, selectModules } from "../graph/selector.ts";
import type { HookRegistry } from "../hooks/hook_registry.ts";
import type { RegisteredHook } from "../hooks/admission.ts";
import { demandOf, isIdle, type ModuleDemand, splitDemand, tapDemand } from "./demand.ts";
import type { ModelStructure } from "./model_structure.ts";
import type { ModuleFinder } from "./module_finder.ts";
import { type Plan, planSubject } from "./plan.ts";
import { makePlan } from "./planner.ts";
import { executionPositions } from "./run_order.ts";
import type { ModelResidency } from "./residency/model_residency.ts";
import { type ResidencySchedule, streamedModules } from "./residency/schedule.ts";
import { checkOutputNames } from "./run_options.ts";

/** What a plan is to do beside what the hooks need: see `Model.plan`. */
export interface PlanOptions {
  /** Modules whose outputs are tapped although no hook asks. */
  readonly tap?: ModuleSelector;
  /** Modules after which the graph is cut although no hook asks. */
  readonly split?: ModuleSelector;
  /** Names of the outputs that are wanted: see `RunOptions`. */
  readonly outputs?: readonly string[];
}

/** What the hooks of a moment ask for. */
interface HookDemands {
  readonly demands: Map<string, ModuleDemand>;
  readonly orderKeys: Readonly<Record<string, string>>;
  readonly residency: ResidencySchedule | null;
}

/** The plans of one model. */
export class PlanMaker {
  readonly #structure: ModelStructure;
  readonly #modules: ModuleFinder;
  readonly #registries: ReadonlyMap<string, HookRegistry>;
  readonly #residency: ModelResidency | null;
  #positions: readonly number[] | null = null;

  /** `registries` is read anew for every plan; without `residency` all weights stay. */
  constructor(
    structure: ModelStructure,
    modules: ModuleFinder,
    registries: ReadonlyMap<string, HookRegistry>,
    residency: ModelResidency | null = null,
  ) {
    this.#structure = structure;
    this.#modules = modules;
    this.#registries = registries;
    this.#residency = residency;
  }

  /**
   * The plan for the hooks that take part in a run starting now.
   *
   * @throws {HooklineError} HOOK_ORDER_UNKNOWN, MODULE_NOT_CUTTABLE, PLAN_CYCLE, FETCH_UNKNOWN,
   * RESIDENCY_BUDGET, RESIDENCY_IMPOSSIBLE, or what a selector throws.
   */
  make(options: PlanOptions): Plan {
    const { graph, tree, hash } = this.#structure;
    const { demands, orderKeys, residency } = this.#hookDemands();
    const { tap, split, outputs } = options;
    if (tap !== undefined) {
      this.#add(demands, tap, (module) => tapDemand(module, `${module.path} is tapped on request`));
    }
    if (split !== undefined) {
      this.#add(
        demands,
        split,
        (module) => splitDemand(module, `the graph is cut after ${module.path} on request`),
      );
    }
    return makePlan({
      graph,
      positions: this.#positions ??= executionPositions(graph, tree.modules),
      demands: [...demands].sort(byPath).map(([, demand]) => demand),
      structureHash: hash,
      orderKeys,
      residency,
      ...(outputs === undefined ? {} : { outputs: this.#checkedOutputs(outputs) }),
    });
  }

  /**
   * Returns the plan. Refuses one that was made for other hooks: it would run them where it provides nothing for them.
   * Refuses other outputs beside a plan, which has its own.
   *
   * @throws {HooklineError} OPTION_INVALID.
   */
  requireCurrent(plan: Plan, outputs: readonly string[] | undefined): Plan {
    if (outputs !== undefined) {
      throw new HooklineError("OPTION_INVALID", {
        message:
          "cannot run a plan with outputs beside it: a plan says itself which outputs it gives",
        fix: "make the plan with them: model.plan({ outputs })",
        details: { option: "outputs", planHash: plan.hash },
      });
    }
    const { orderKeys } = this.#hookDemands();
    if (plan.madeFor === planSubject(this.#structure.hash, orderKeys)) return plan;
    const { label } = this.#structure.skeleton;
    throw new HooklineError("OPTION_INVALID", {
      message: `cannot run this plan on "${label}": it was made for other hooks or another model`,
      fix: "make it anew with model.plan() after the hooks have changed",
      details: { option: "plan", planHash: plan.hash },
    });
  }

  #hookDemands(): HookDemands {
    const demands = new Map<string, ModuleDemand>();
    const orderKeys: Record<string, string> = {};
    const hooked = new Map<string, readonly RegisteredHook[]>();
    for (const [path, registry] of [...this.#registries].sort(byPath)) {
      if (registry.size === 0) continue;
      const order = registry.snapshot();
      if (order.entering.length === 0) continue; // none of its hooks takes part
      hooked.set(path, order.entering);
      orderKeys[path] = order.key;
    }
    const residency = this.#residency?.schedule(
      [...hooked].map(([path, hooks]) => ({ module: this.#modules.get(path), hooks })),
    ) ?? null;
    const streamed = new Set(streamedModules(residency));
    for (const [path, hooks] of hooked) {
      const demand = demandOf(this.#modules.get(path), hooks, streamed.has(path));
      if (!isIdle(demand, hooks)) demands.set(path, demand);
    }
    return { demands, orderKeys, residency };
  }

  #add(
    demands: Map<string, ModuleDemand>,
    selector: ModuleSelector,
    make: (module: GraphModule) => ModuleDemand,
  ): void {
    for (const module of selectModules(this.#structure.tree, selector)) {
      if (module.insideBody !== null || module.calls.length === 0) continue;
      const made = make(module);
      const before = demands.get(module.path);
      demands.set(
        module.path,
        before === undefined ? made : {
          ...before,
          tapsOutputs: true,
          editsOutputs: before.editsOutputs || made.editsOutputs,
          because: [...before.because, ...made.because],
        },
      );
    }
  }

  #checkedOutputs(outputs: readonly string[]): readonly string[] {
    checkOutputNames(outputs);
    const known = this.#structure.graph.outputs;
    const unknown = outputs.filter((name) => !known.includes(name));
    if (unknown.length === 0) return outputs;
    throw new HooklineError("FETCH_UNKNOWN", {
      message: `cannot run "${this.#structure.skeleton.label}": it has no output ${
        unknown.map((name) => `"${name}"`).join(", ")
      }`,
      fix: `ask for some of ${known.join(", ")}, or hook a module to see values inside the model`,
      details: { outputs: unknown, nearest: nearestNames(unknown[0] ?? "", known) },
    });
  }
}

function byPath([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
