// The state context (`cond`, `uncond`) and the denoise or decode step that travel with a run. Both
// lie in one AsyncLocalStorage, never in a field that somebody sets: two interleaved runs would read
// each other's. It knows no hook and no state. Invariant: a scope ends with its function, also when
// the function throws, and never leaks into what runs beside it.

import { AsyncLocalStorage } from "node:async_hooks";
import { HooklineError } from "../errors/hookline_error.ts";

interface Scope {
  /** null: no context was set, which reads as "default". */
  readonly context: string | null;
  readonly step: number | null;
}

const OUTSIDE: Scope = { context: null, step: null };
const MAX_LENGTH = 200;

const scopes = new AsyncLocalStorage<Scope>();

function current(): Scope {
  return scopes.getStore() ?? OUTSIDE;
}

/** The context's name in its one form: null for "none"; a name that cannot be printed is an error. */
function contextName(name: unknown): string | null {
  if (name === null || name === "") return null;
  // deno-lint-ignore no-control-regex -- control characters are what is refused
  const control = /[\u0000-\u001f\u007f]/;
  if (
    typeof name !== "string" || name.length > MAX_LENGTH || control.test(name)
  ) {
    const found = typeof name === "string"
      ? `a string of ${name.length} characters`
      : `of type ${typeof name}`;
    throw new HooklineError("STATE_CONTEXT_INVALID", {
      message:
        `cannot enter a state context: its name is ${found}, wanted is a string of at most ` +
        `${MAX_LENGTH} characters without control characters`,
      fix: 'name the context with a short word such as "cond"',
      details: { type: typeof name },
    });
  }
  return name;
}

/**
 * Runs `fn` in the state context `name`; everything that it calls or awaits sees that context.
 *
 * Scopes nest, the innermost wins, and a scope ends with `fn` however `fn` ends. `""` and null mean
 * no context, which reads as `"default"`. Runs that interleave keep their own contexts.
 *
 * @throws {HooklineError} STATE_CONTEXT_INVALID when the name is not a string, is longer than 200
 * characters or holds control characters.
 *
 * @example
 * ```ts
 * import { currentContext, withContext } from "@hookline/hookline";
 * const seen = await withContext("cond", async () => {
 *   await Promise.resolve();
 *   return currentContext();
 * });
 * console.log(seen, currentContext()); // cond default
 * ```
 */
export function withContext<T>(name: string | null, fn: () => T): T {
  return scopes.run({ context: contextName(name), step: current().step }, fn);
}

/** The name of the current state context; `"default"` when none was set. */
export function currentContext(): string {
  return current().context ?? "default";
}

/** Whether a named context is active, so that `"default"` by name and by absence can be told apart. */
export function hasContext(): boolean {
  return current().context !== null;
}

/**
 * Runs `fn` as step `index`; hooks see it as `call.step` and traces record it.
 *
 * Scopes nest and end with `fn` however `fn` ends. Negative steps are allowed.
 *
 * @throws {HooklineError} STATE_CONTEXT_INVALID when the index is not a whole number.
 *
 * @example
 * ```ts
 * import { currentStep, traceStep } from "@hookline/hookline";
 * for (let step = 0; step < 2; step++) {
 *   traceStep(step, () => console.log(currentStep())); // 0, then 1
 * }
 * console.log(currentStep()); // null
 * ```
 */
export function traceStep<T>(index: number, fn: () => T): T {
  if (!Number.isSafeInteger(index)) {
    throw new HooklineError("STATE_CONTEXT_INVALID", {
      message: `cannot enter step "${String(index)}": a step is a whole number`,
      fix: "give the loop's counter",
      details: { type: typeof index },
    });
  }
  // -0 and 0 are one step, and JSON knows only one of them.
  return scopes.run({ context: current().context, step: index + 0 }, fn);
}

/** The current step, or null outside any `traceStep`. */
export function currentStep(): number | null {
  return current().step;
}
