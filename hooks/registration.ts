// What stands between an admitted hook and its registry: conflicts with the hooks that are there, its
// own onAttach, and requirements that are not met yet. It keeps nothing and changes nothing.
// Invariant: onAttach runs last, after every check has passed, so a refused hook was never told that
// it had been attached.

import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { RegisteredHook } from "./admission.ts";
import { isThenable } from "./call_stack.ts";
import { thrownOutsideCall } from "./hook_fault.ts";
import type { ModuleFacts } from "./model_hook.ts";
import type { HookOrder } from "./order.ts";

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

/**
 * Refuses a hook that cannot stand beside the others.
 *
 * @throws {HooklineError} HOOK_NAME_DUPLICATE when its name is taken.
 * @throws {HooklineError} HOOK_REPLACE_CONFLICT when it and another one replace the forward and not
 * both of them chain.
 */
export function refuseConflict(
  added: RegisteredHook,
  others: readonly RegisteredHook[],
  module: ModuleFacts,
): void {
  if (others.some((hook) => hook.name === added.name)) {
    throw new HooklineError("HOOK_NAME_DUPLICATE", {
      message: `cannot register hook "${added.name}" on "${module.path}": the name is taken`,
      fix: "rename the hook, remove the old one, or pass { replace: true } to swap it",
      details: {
        module: module.path,
        plugin: added.plugin,
        hook: added.name,
      },
    });
  }
  if (added.access !== "replace") return;
  const rivals = others
    .filter((hook) => hook.access === "replace" && !(hook.chain && added.chain))
    .map((hook) => hook.name).sort();
  if (rivals.length === 0) return;
  throw new HooklineError("HOOK_REPLACE_CONFLICT", {
    message:
      `cannot register hook "${added.name}" on "${module.path}": its forward is replaced already by ` +
      quoted(rivals),
    fix: `remove ${
      quoted(rivals)
    }, or register all with { chain: true } so that one runs inside the other`,
    details: {
      module: module.path,
      plugin: added.plugin,
      hook: added.name,
      rivals,
    },
  });
}

/**
 * Runs a hook's `onAttach`.
 *
 * @throws {HooklineError} HOOK_ATTACH when it threw, or returned a promise: registering is
 * synchronous, so a promise could fail when the hook is long in use.
 */
export function attachHook(added: RegisteredHook, module: ModuleFacts): void {
  let cause: unknown;
  try {
    const result: unknown = added.methods.onAttach?.(module);
    if (!isThenable(result)) return;
    // Its outcome can no longer matter, but its rejection must not end the process.
    result.then(undefined, () => {});
    cause = new TypeError("onAttach returned a promise");
  } catch (error) {
    cause = error;
  }
  throw new HooklineError("HOOK_ATTACH", {
    message: `cannot register hook "${added.name}" on "${module.path}": its onAttach failed: ${
      causeText(cause)
    }`,
    fix: "mend onAttach; work that must be awaited belongs into the first preForward",
    details: { module: module.path, plugin: added.plugin, hook: added.name },
    cause,
  });
}

/**
 * Whether a hook takes part in a run that starts now; without `takesPart` it always does.
 *
 * @throws {HooklineError} HOOK_THROWN when `takesPart` threw; HOOK_ACCESS when it answered with anything
 * but true or false: a promise would be taken for one of the two without having been awaited.
 */
export function takesPartNow(hook: RegisteredHook, module: ModuleFacts): boolean {
  if (hook.takesPart === null) return true;
  let answer: unknown;
  try {
    answer = hook.takesPart();
    if (typeof answer === "boolean") return answer;
    // Refused below; its rejection must not end the process.
    if (isThenable(answer)) answer.then(undefined, () => {});
  } catch (cause) {
    throw thrownOutsideCall(hook, "takesPart", { module, cause });
  }
  throw new HooklineError("HOOK_ACCESS", {
    message: `cannot run "${module.path}": takesPart of hook "${hook.name}" returned ${
      isThenable(answer)
        ? "a promise"
        : answer === null
        ? "null"
        : `a value of type ${typeof answer}`
    }, wanted is true or false`,
    fix: "decide before the run and return the decision from takesPart; it cannot be async",
    details: { module: module.path, plugin: hook.plugin, hook: hook.name },
  });
}

/**
 * Refuses to start a call while a required hook is absent.
 *
 * @throws {HooklineError} HOOK_ORDER_UNKNOWN naming every absent one.
 */
export function requireComplete(order: HookOrder): void {
  const [first] = order.missing;
  if (first === undefined) return;
  const known = order.entering.map((hook) => hook.name);
  throw new HooklineError("HOOK_ORDER_UNKNOWN", {
    message: `cannot run "${order.module}": ${
      order.missing
        .map(({ hook, name }) => `hook "${hook}" requires "${name}"`)
        .join(", ")
    }, which is not registered`,
    fix: `register "${first.name}" on this module, or remove "${first.hook}"`,
    details: {
      module: order.module,
      missing: order.missing.map(({ hook, name }) => ({ hook, name })),
      nearest: nearestNames(
        first.name,
        known.filter((name) => name !== first.hook),
      ),
    },
  });
}

/** HOOK_UNKNOWN for a name that the module has no hook of. */
export function unknownHook(
  name: string,
  known: readonly string[],
  module: ModuleFacts,
): HooklineError {
  const nearest = nearestNames(String(name), known);
  return new HooklineError("HOOK_UNKNOWN", {
    message: `"${module.path}" has no hook "${name}"`,
    fix: nearest.length > 0
      ? `did you mean ${quoted(nearest)}?`
      : known.length > 0
      ? `its hooks are ${quoted(known)}`
      : "register the hook first; this module has none",
    details: { module: module.path, hook: String(name), nearest },
  });
}
