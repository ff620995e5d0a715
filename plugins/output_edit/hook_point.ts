// Where hooks can be and where they are, for people who look for a place.

import type { GraphModule, HooklineError } from "../../mod.ts";
import type { RegisteredFunction } from "./apply_hook.ts";
import { fault, listText } from "./_fault.ts";
import type { HookFunction, HookType } from "./hook_function.ts";
import type { HookGroups } from "./hook_groups.ts";
import { unpackName } from "./unpack_tensors.ts";

/** A module that hooks can be on, or are on. */
export interface HookPoint {
  /** The module's path. */
  readonly module: string;
  /** Its class, or null. */
  readonly className: string | null;
  /** Whether its activations can be edited; otherwise they can be captured. */
  readonly editable: boolean;
  /** Why not, or null. */
  readonly reason: string | null;
  /** Names of its inputs in order, for `unpackIdx`. */
  readonly inputs: readonly string[];
  /** Names of its outputs in order, for `unpackIdx`. */
  readonly outputs: readonly string[];
  /** The hook functions on it, in the order in which they run. */
  readonly hooks: readonly {
    readonly id: number;
    readonly type: HookType;
    readonly groups: readonly string[];
    readonly active: boolean;
  }[];
}

/** The called modules with the functions on them, in the model's order. */
export function hookPoints(
  modules: readonly GraphModule[],
  { functions, groups, active }: {
    readonly functions: readonly RegisteredFunction[];
    readonly groups: HookGroups;
    readonly active: ReadonlySet<number>;
  },
): readonly HookPoint[] {
  return modules.filter(({ calls }) => calls.length > 0).map((module) => ({
    module: module.path,
    className: module.className,
    editable: module.isCuttable && module.insideBody === null,
    reason: module.reason,
    inputs: module.calls[0]?.inputs ?? [],
    outputs: module.calls[0]?.outputs ?? [],
    hooks: functions.filter(({ hook }) => hook.moduleName === module.path)
      .map(({ id, type }) => ({ id, type, groups: groups.of(id), active: active.has(id) })),
  }));
}

/**
 * Checks that a module has the tensor that a hook function means: a number in every call, a name in
 * one of them. A span, which no list of modules holds, is checked when it runs.
 *
 * @throws {HooklineError} OPTION_INVALID with the names that there are.
 */
export function requireUnpackable(
  module: GraphModule | undefined,
  { moduleName, unpackIdx }: HookFunction,
  type: HookType,
): void {
  const lists = (module?.calls ?? []).map((call) =>
    type === "forward" ? call.outputs : call.inputs
  );
  const isText = typeof unpackIdx === "string";
  const has = (names: readonly string[]) => unpackName(names, unpackIdx) !== null;
  if (lists.length === 0 || (isText ? lists.some(has) : lists.every(has))) return;
  throw noTensor(moduleName, { names: lists[0] ?? [], unpackIdx });
}

/** The error for an `unpackIdx` that a module's inputs or outputs do not have. */
export function noTensor(
  module: string,
  { names, unpackIdx }: { readonly names: readonly string[]; readonly unpackIdx: number | string },
): HooklineError {
  return fault("OPTION_INVALID", {
    message: `cannot hook "${module}": among its tensors is no ${
      typeof unpackIdx === "string" ? `"${unpackIdx}"` : `number ${unpackIdx}`
    }`,
    fix: `they are, from 0: ${listText(names)}`,
    details: { module, unpackIdx, names: [...names] },
  });
}
