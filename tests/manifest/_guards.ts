// Guarded hooks on a registry, without a model: rights as a test wants them, tensors by hand.

import type { EffectiveRights } from "../../manifest/effective_rights.ts";
import { guardHook, newTally, type PluginTally } from "../../manifest/guarded_hook.ts";
import type { AuditEntry } from "../../manifest/audit.ts";
import type { PluginHook } from "../../manifest/plugin_module.ts";
import { parseManifest } from "../../manifest/read_manifest.ts";
import { HookRegistry } from "../../hooks/hook_registry.ts";
import { dispatch } from "../../hooks/dispatch.ts";
import type { ForwardCall, ModelHook } from "../../hooks/model_hook.ts";
import { float32, type TensorMap } from "../../tensor/tensor.ts";
import { keptAudit, manifestFields } from "./_plugin_folders.ts";

/** What a test changes about a guard. */
export interface GuardSetup {
  readonly hook: PluginHook;
  readonly manifest?: Record<string, unknown>;
  readonly rights?: Partial<EffectiveRights>;
  readonly level?: "inline" | "worker";
  readonly modelInputs?: readonly string[];
  readonly modelOutputs?: readonly string[];
  readonly now?: () => number;
}

/** A guarded hook and what came of it. */
export interface Guarded {
  readonly hook: ModelHook;
  readonly entries: readonly AuditEntry[];
  readonly tally: PluginTally;
}

const MODULE = Object.freeze({ path: "layer", className: null, callCount: 1 });

/** Rights to nothing, but for what a test gives. */
export function rightsWith(rights: Partial<EffectiveRights> = {}): EffectiveRights {
  return {
    plugin: "watcher",
    readActivations: "values",
    modules: ["**"],
    writeActivations: false,
    changesShape: false,
    replaceForward: false,
    skipForward: false,
    readInputs: [],
    readOutputs: [],
    manageResidency: false,
    fsRead: [],
    fsWrite: [],
    env: [],
    net: [],
    because: [],
    ...rights,
  };
}

/** A guarded hook of the module `layer`. */
export function guarded(setup: GuardSetup): Guarded {
  const { audit, entries } = keptAudit();
  const tally = newTally();
  const hook = guardHook({
    manifest: parseManifest(manifestFields(setup.manifest), "test"),
    rights: rightsWith(setup.rights),
    module: MODULE,
    level: setup.level ?? "inline",
    hook: setup.hook,
    tally,
    audit,
    modelInputs: setup.modelInputs ?? [],
    modelOutputs: setup.modelOutputs ?? [],
    ...(setup.now === undefined ? {} : { now: setup.now }),
  });
  return { hook, entries, tally };
}

/** One forward `y = x + 1` of the module under its hooks; gives what comes out. */
export async function forward(
  hooks: readonly ModelHook[],
  x: readonly number[] = [1, 2],
  original: (inputs: TensorMap) => TensorMap = addOne,
): Promise<TensorMap> {
  const registry = new HookRegistry(MODULE);
  for (const hook of hooks) registry.register(hook);
  const call: ForwardCall = {
    module: MODULE,
    callIndex: 0,
    inputNames: ["x"],
    outputNames: ["y"],
    runId: 0,
    step: null,
    context: "default",
    signal: undefined,
  };
  const lease = registry.acquire();
  try {
    return await dispatch(lease.order, call, { x: float32([x.length], [...x]) }, original);
  } finally {
    lease[Symbol.dispose]();
  }
}

function addOne(inputs: TensorMap): TensorMap {
  const { shape, data } = inputs["x"] ?? float32([0], []);
  return { y: float32(shape, (data as Float32Array).map((value) => value + 1)) };
}

/** The elements of an output. */
export function elements(tensors: TensorMap, name = "y"): number[] {
  return [...tensors[name]?.data as Float32Array];
}
