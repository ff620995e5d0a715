// What the hooks of one module ask of the plan: which boundary values they want to see, and whether
// something must happen before the module's inputs or after its outputs are used. It knows hooks and
// modules, no sessions. The cheapest plan follows from the union of these demands.

import { HooklineError } from "../errors/hookline_error.ts";
import type { GraphModule, ModuleCall } from "../graph/graph_module.ts";
import type { RegisteredHook } from "../hooks/admission.ts";
import type { HookAccess } from "../hooks/model_hook.ts";

/** Why a module must run as a step of its own. */
export type Isolation = "edit-inputs" | "replace" | "residency" | "split";

/** What the hooks of one module need. */
export interface ModuleDemand {
  readonly module: GraphModule;
  /** Observed before the module: its inputs must be fetched. */
  readonly tapsInputs: boolean;
  /** Observed after the module: its outputs must be fetched. */
  readonly tapsOutputs: boolean;
  /** The outputs may change: the graph is cut after the module. */
  readonly editsOutputs: boolean;
  /** The module runs as a step of its own, for this reason; null when it may share a session. */
  readonly isolation: Isolation | null;
  /** Names of the hooks in dispatch order; observers last. */
  readonly hookNames: readonly string[];
  /** One line per hook: what it needs and what follows. */
  readonly because: readonly string[];
}

/** One call of a demanded module. */
export interface CallDemand {
  readonly demand: ModuleDemand;
  readonly callIndex: number;
  readonly call: ModuleCall;
  readonly nodes: ReadonlySet<number>;
}

/**
 * The demand that a module's hooks make together. `isStreamed` says whether the module's weights are
 * brought near for each call, as far as a hook asks for either.
 *
 * @throws {HooklineError} MODULE_INSIDE_BODY or MODULE_NOT_CUTTABLE when a hook wants to change a
 * module that cannot run alone, or to observe one inside a control-flow body.
 */
export function demandOf(
  module: GraphModule,
  hooks: readonly RegisteredHook[],
  isStreamed = true,
): ModuleDemand {
  let tapsInputs = false;
  let tapsOutputs = false;
  let editsOutputs = false;
  let isolation: Isolation | null = null;
  const because: string[] = [];
  for (const hook of hooks) {
    requireHookable(module, hook);
    const { readsInputs } = hook;
    const hasPre = hook.methods.preForward !== null;
    const hasPost = hook.methods.postForward !== null;
    tapsInputs ||= readsInputs;
    tapsOutputs ||= hasPost;
    switch (hook.access) {
      case "observe":
        because.push(
          `${hook.name} observes ${what(readsInputs, hasPost)} of ${nameOf(module)}: ${
            readsInputs || hasPost ? "tapped" : "nothing is tapped"
          }`,
        );
        break;
      case "edit":
        editsOutputs ||= hasPost;
        if (hasPre) isolation = stronger(isolation, "edit-inputs");
        because.push(
          `${hook.name} edits ${what(hasPre, hasPost)} of ${nameOf(module)}: cut ${
            hasPre ? "around it" : "after it"
          }`,
        );
        break;
      case "replace":
        isolation = stronger(isolation, "replace");
        editsOutputs ||= hasPost;
        because.push(`${hook.name} replaces the forward of ${nameOf(module)}: cut around it`);
        break;
      case "residency":
        if (hook.residency !== null && !isStreamed) {
          because.push(
            `${hook.name} needs no cut at ${
              nameOf(module)
            }: its weights stay, or move with a module around it`,
          );
          break;
        }
        isolation = stronger(isolation, "residency");
        because.push(
          `${hook.name} decides where the weights of ${nameOf(module)} lie: cut around it`,
        );
        break;
    }
  }
  return {
    module,
    tapsInputs: tapsInputs || isolation !== null,
    tapsOutputs: tapsOutputs || editsOutputs || isolation !== null,
    editsOutputs,
    isolation,
    hookNames: hooks.map((hook) => hook.name),
    because,
  };
}

/** True for a demand that asks for nothing: neither a value nor a call of a hook nor a cut. */
export function isIdle(demand: ModuleDemand, hooks: readonly RegisteredHook[]): boolean {
  const { tapsInputs, tapsOutputs, isolation } = demand;
  return !tapsInputs && !tapsOutputs && isolation === null &&
    hooks.every(({ access, methods }) =>
      access === "residency" && methods.preForward === null && methods.postForward === null
    );
}

/** A demand to run a module's calls apart without any hook, as `verify` and offload do. */
export function splitDemand(module: GraphModule, because: string): ModuleDemand {
  return {
    module,
    tapsInputs: false,
    tapsOutputs: true,
    editsOutputs: true,
    isolation: null,
    hookNames: [],
    because: [because],
  };
}

/** A demand to tap a module's outputs without any hook, as `verify` does. */
export function tapDemand(module: GraphModule, because: string): ModuleDemand {
  return { ...splitDemand(module, because), editsOutputs: false };
}

/** Every call of the demanded modules. */
export function callsOf(demands: readonly ModuleDemand[]): CallDemand[] {
  return demands.flatMap((demand) =>
    demand.module.calls.map((call, callIndex) => ({
      demand,
      callIndex,
      call,
      nodes: new Set(call.nodes),
    }))
  );
}

/** What to call a module in sentences; the root has no name of its own. */
export function nameOf(module: { readonly path: string }): string {
  return module.path === "" ? "the whole model" : module.path;
}

function what(inputs: boolean, outputs: boolean): string {
  if (inputs && outputs) return "the inputs and outputs";
  return inputs ? "the inputs" : outputs ? "the outputs" : "the calls";
}

const STRENGTH: Readonly<Record<Isolation, number>> = {
  split: 0,
  "edit-inputs": 1,
  residency: 2,
  replace: 3,
};

function stronger(left: Isolation | null, right: Isolation): Isolation {
  return left !== null && STRENGTH[left] >= STRENGTH[right] ? left : right;
}

/**
 * Checks that a hook of this access can exist on a module at all.
 *
 * @throws {HooklineError} MODULE_INSIDE_BODY, MODULE_NOT_CUTTABLE.
 */
export function requireHookable(
  module: GraphModule,
  hook: { readonly name: string; readonly access: HookAccess },
): void {
  if (module.insideBody !== null) {
    throw new HooklineError("MODULE_INSIDE_BODY", {
      message:
        `cannot hook "${module.path}": it lies inside the body of ${module.insideBody}, which ONNX Runtime runs as one`,
      fix:
        `hook the module around the control flow instead, or the whole node ${module.insideBody}`,
      details: { module: module.path, hook: hook.name, body: module.insideBody },
    });
  }
  if (module.calls.length === 0) {
    throw new HooklineError("MODULE_NOT_CUTTABLE", {
      message:
        `cannot hook "${module.path}": it is a container that is never called, so the hook would never run`,
      fix: `hook what it holds: ${module.children.slice(0, 3).join(", ") || "nothing"}`,
      details: { module: module.path, hook: hook.name },
    });
  }
  if (hook.access !== "observe" && !module.isCuttable) {
    throw new HooklineError("MODULE_NOT_CUTTABLE", {
      message: `cannot ${hook.access} "${module.path}" with hook "${hook.name}": ${
        module.reason ?? "it cannot run alone"
      }`,
      fix: `observe it instead, or hook ${
        module.children.length > 0
          ? `one of its children (${module.children.slice(0, 3).join(", ")})`
          : "its parent"
      }`,
      details: { module: module.path, hook: hook.name, reason: module.reason },
    });
  }
}
