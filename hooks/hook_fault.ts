// How a failing hook is reported: the facts that every such error carries, and how one primary error
// and the errors of unwinding become one. It runs nothing. Invariant: nothing is swallowed, and the
// error that came first stays the first.

import { causeText } from "../errors/cause_text.ts";
import { type ErrorDetail, HooklineError } from "../errors/hookline_error.ts";
import type { RegisteredHook } from "./admission.ts";
import type { ForwardCall, HookPhase, ModuleFacts } from "./model_hook.ts";

/** The structured facts of an error that happened in a call. */
export function callDetails(
  hook: RegisteredHook,
  phase: HookPhase,
  call: ForwardCall,
): Record<string, ErrorDetail> {
  return {
    plugin: hook.plugin,
    hook: hook.name,
    phase,
    module: call.module.path,
    runId: call.runId,
    callIndex: call.callIndex,
    step: call.step,
    context: call.context,
  };
}

function owner(hook: RegisteredHook): string {
  return hook.plugin === null || hook.plugin === hook.name
    ? `hook "${hook.name}"`
    : `hook "${hook.name}" of plugin "${hook.plugin}"`;
}

/** HOOK_THROWN for a hook that threw in a call. */
export function thrownInCall(
  hook: RegisteredHook,
  phase: HookPhase,
  { call, cause }: { readonly call: ForwardCall; readonly cause: unknown },
): HooklineError {
  return new HooklineError("HOOK_THROWN", {
    message: `${owner(hook)} threw in ${phase} of "${call.module.path}" (run ${call.runId}, call ` +
      `${call.callIndex}): ${causeText(cause)}`,
    fix: causeFix(cause),
    details: callDetails(hook, phase, call),
    cause,
  });
}

/** An error of ours says itself what to do: a full disk is not mended in the hook. */
function causeFix(cause: unknown): string {
  try {
    if (cause instanceof HooklineError) return cause.fix;
  } catch {
    // A thrown proxy may refuse to be looked at.
  }
  return "mend the hook; the error that it threw is this error's cause";
}

/** HOOK_THROWN for a hook that threw outside any call, in `resetState`, `onDetach` or `takesPart`. */
export function thrownOutsideCall(
  hook: RegisteredHook,
  phase: HookPhase | "takesPart",
  { module, cause }: { readonly module: ModuleFacts; readonly cause: unknown },
): HooklineError {
  return new HooklineError("HOOK_THROWN", {
    message: `${owner(hook)} threw in ${phase} of "${module.path}": ${causeText(cause)}`,
    fix: "mend the hook; the error that it threw is this error's cause",
    details: {
      plugin: hook.plugin,
      hook: hook.name,
      phase,
      module: module.path,
    },
    cause,
  });
}

/** True for an AggregateError that `withFailures` made: its first error is its cause. */
function isCombined(error: unknown): error is AggregateError {
  return error instanceof AggregateError && error.cause !== undefined &&
    error.errors[0] === error.cause;
}

/**
 * The one error to throw for a primary error and the failures of unwinding after it: the primary
 * itself when there were none, else an AggregateError with the primary first and as its cause. When
 * the primary is such an error already, from an inner module, the failures join its list.
 */
export function withFailures(
  primary: unknown,
  failures: readonly unknown[],
): unknown {
  if (failures.length === 0) return primary;
  const root: unknown = isCombined(primary) ? primary.cause : primary;
  const earlier: readonly unknown[] = isCombined(primary) ? primary.errors : [primary];
  const all = [...earlier, ...failures];
  return new AggregateError(
    all,
    `${causeText(root)} (and ${all.length - 1} more while unwinding)`,
    { cause: root },
  );
}

/** The one error for failures of equal rank: itself when it is alone. */
export function oneError(failures: readonly unknown[], what: string): unknown {
  return failures.length === 1
    ? failures[0]
    : new AggregateError(failures, `${failures.length} hooks failed ${what}`);
}
