// Reads a hook once, checks all that can be checked of it alone, and freezes what it found. It does
// not know the other hooks of the module. Invariant: what was admitted is what runs. A hook that
// changes its name, its access or its methods later changes nothing, so a check that passed at
// registration cannot be undone behind the registry's back.

import { HooklineError } from "../errors/hookline_error.ts";
import { type HookAccess, type HookPhase, hookPhases, type ModelHook } from "./model_hook.ts";
import { admitResidency, type AdmittedResidency } from "./residency_request.ts";

/** How a hook is registered. */
export interface RegisterOptions {
  /**
   * `true` swaps out a hook of the same name; a string names the hook to swap out, whatever the new
   * one is called. The swap is atomic, and the old hook is detached.
   */
  readonly replace?: boolean | string;
  /** Lets a replacing hook share the module with others that chain too: the outer one's original is the inner one. */
  readonly chain?: boolean;
  /** The plugin that made the hook, named in errors. */
  readonly plugin?: string;
}

/** A hook's methods, bound to it; null where it does not implement one. */
export type HookMethods = {
  readonly [Phase in HookPhase]: NonNullable<ModelHook[Phase]> | null;
};

/** A hook as it was when it was registered; frozen. */
export interface RegisteredHook {
  /** The hook itself. */
  readonly hook: ModelHook;
  /** Its methods, as they were when it was registered. */
  readonly methods: HookMethods;
  /** Its name. */
  readonly name: string;
  /** The plugin that made it, or null. */
  readonly plugin: string | null;
  /** Its access. */
  readonly access: HookAccess;
  /** The methods that it implements. */
  readonly phases: readonly HookPhase[];
  /** Names that stand inside it. */
  readonly before: readonly string[];
  /** Names that stand outside it. */
  readonly after: readonly string[];
  /** Names that must be present. */
  readonly requires: readonly string[];
  /** For observers: before or after all changes. */
  readonly observes: "raw" | "final";
  /** Whether it wants the module's inputs, with the default worked out. */
  readonly readsInputs: boolean;
  /** Whether it may change dimension sizes. */
  readonly changesShape: boolean;
  /** Whether it is unwound after its own `preForward` threw. */
  readonly unwindSelf: boolean;
  /** How often its `newForward` may call the original. */
  readonly maxOriginalCalls: number;
  /** Where it wants the module's weights; null when it says nothing of that. */
  readonly residency: AdmittedResidency | null;
  /** Whether it takes part in a run that starts now; null when it always does. */
  readonly takesPart: (() => boolean) | null;
  /** Whether it agreed to share the module with other replacing hooks. */
  readonly chain: boolean;
}

const NAME = /^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/;

function checkName(value: unknown, where: string, module: string): string {
  if (typeof value === "string" && NAME.test(value)) return value;
  const shown = typeof value === "string" ? value : String(value);
  throw new HooklineError("HOOK_NAME_INVALID", {
    message:
      `cannot register a hook on "${module}": its ${where} is "${shown}", which is not 1 to 64 ` +
      `of a-z, 0-9, ".", "_", "-" with a letter or digit at both ends`,
    fix: 'give the hook a name such as "activation-trace"',
    details: { module, field: where, name: shown.slice(0, 200) },
  });
}

function checkNames(
  hook: ModelHook,
  field: "before" | "after" | "requires",
  module: string,
): readonly string[] {
  const names: unknown = hook[field];
  if (!Array.isArray(names)) {
    throw invalidField(hook.name, field, "an array of hook names", module);
  }
  return Object.freeze(
    [...new Set(names.map((name) => checkName(name, field, module)))],
  );
}

function invalidField(
  name: string,
  field: string,
  wanted: string,
  module: string,
): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot register hook "${name}" on "${module}": its ${field} is not ${wanted}`,
    fix: `set ${field} to ${wanted}`,
    details: { hook: name, module, field },
  });
}

/** Why the methods do not fit the access, or null when they do. */
function accessFault(
  access: HookAccess,
  phases: ReadonlySet<HookPhase>,
  { changesShape, asksResidency }: {
    readonly changesShape: boolean;
    readonly asksResidency: boolean;
  },
): { fault: string; fix: string } | null {
  if (access === "replace") {
    return phases.has("newForward") ? null : {
      fault: "it declares replace and has no newForward",
      fix: 'implement newForward, or declare access "edit"',
    };
  }
  if (phases.has("newForward")) {
    return {
      fault: `it declares ${access} and has a newForward`,
      fix: 'declare access "replace", or drop newForward',
    };
  }
  if (access !== "edit" && changesShape) {
    return {
      fault: `it declares ${access} and changesShape`,
      fix: 'declare access "edit", or drop changesShape',
    };
  }
  if (access !== "residency" && asksResidency) {
    return {
      fault: `it declares ${access} and residency`,
      fix: 'declare access "residency", or drop the residency request',
    };
  }
  // A hook that can never fire is a mistake that would otherwise show as silence.
  if (
    access !== "residency" && !phases.has("preForward") &&
    !phases.has("postForward")
  ) {
    return {
      fault: `it declares ${access} and has neither preForward nor postForward`,
      fix: "implement preForward or postForward",
    };
  }
  return null;
}

function bindMethods(hook: ModelHook): HookMethods {
  return Object.freeze({
    onAttach: hook.onAttach?.bind(hook) ?? null,
    preForward: hook.preForward?.bind(hook) ?? null,
    newForward: hook.newForward?.bind(hook) ?? null,
    postForward: hook.postForward?.bind(hook) ?? null,
    onUnwind: hook.onUnwind?.bind(hook) ?? null,
    resetState: hook.resetState?.bind(hook) ?? null,
    onDetach: hook.onDetach?.bind(hook) ?? null,
  });
}

const ACCESSES: readonly string[] = ["observe", "edit", "replace", "residency"];

/**
 * Checks a hook by itself and freezes what will run.
 *
 * @throws {HooklineError} HOOK_NAME_INVALID when the name, or a name in `before`, `after` or
 * `requires`, breaks the grammar or is missing.
 * @throws {HooklineError} HOOK_ACCESS when the implemented methods do not fit the declared access.
 * @throws {HooklineError} OPTION_INVALID when another field is of the wrong kind.
 */
export function admitHook(
  hook: ModelHook,
  module: string,
  options: RegisterOptions = {},
): RegisteredHook {
  const name = checkName(
    (hook as ModelHook | null | undefined)?.name,
    "name",
    module,
  );
  const { access, observes, changesShape, unwindSelf, maxOriginalCalls } = hook;
  if (!ACCESSES.includes(access)) {
    throw invalidField(name, "access", `one of ${ACCESSES.join(", ")}`, module);
  }
  if (observes !== "raw" && observes !== "final") {
    throw invalidField(name, "observes", '"raw" or "final"', module);
  }
  if (
    !(maxOriginalCalls === Infinity || Number.isSafeInteger(maxOriginalCalls)) ||
    maxOriginalCalls < 1
  ) {
    throw invalidField(name, "maxOriginalCalls", "a whole number from 1", module);
  }
  const phases = Object.freeze(hookPhases(hook));
  const fault = accessFault(access, new Set(phases), {
    changesShape: changesShape === true,
    asksResidency: hook.residency !== undefined,
  });
  if (fault !== null) {
    throw new HooklineError("HOOK_ACCESS", {
      message: `cannot register hook "${name}" on "${module}": ${fault.fault}`,
      fix: fault.fix,
      details: { hook: name, module, access, implemented: [...phases] },
    });
  }
  return Object.freeze({
    hook,
    methods: bindMethods(hook),
    name,
    plugin: options.plugin ?? null,
    access,
    phases,
    before: checkNames(hook, "before", module),
    after: checkNames(hook, "after", module),
    requires: checkNames(hook, "requires", module),
    observes,
    readsInputs: access === "replace" ||
      (hook.readsInputs ??
        (access !== "residency" && phases.includes("preForward"))),
    changesShape: changesShape === true,
    unwindSelf: unwindSelf === true,
    maxOriginalCalls,
    residency: hook.residency === undefined
      ? null
      : admitResidency(hook.residency, { hook: name, module }),
    takesPart: hook.takesPart?.bind(hook) ?? null,
    chain: options.chain === true,
  });
}
