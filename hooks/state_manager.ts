// What a hook remembers between runs, one state per (hook, module, context). The manager itself is a
// field of one hook, which makes the hook's part of the key. It knows no registry and no call.
// Invariant: the state that `get` returns is chosen by the context of the asking task alone, so two
// interleaved runs never see each other's state, and states never grow without bound.

import { HooklineError } from "../errors/hookline_error.ts";
import { currentContext, hasContext } from "./forward_context.ts";

/** Limits of a {@linkcode StateManager}. */
export interface StateManagerOptions {
  /** How many contexts one module may have at a time; 64 unless told. */
  readonly maxContexts?: number;
  /** Whether asking outside every `withContext` is an error instead of the context `"default"`. */
  readonly strict?: boolean;
}

function ownReset(state: unknown): (() => void) | null {
  const reset = (state as { reset?: unknown } | null | undefined)?.reset;
  return typeof reset === "function" ? () => reset.call(state) : null;
}

/**
 * Per-context state of one hook, made when it is first asked for.
 *
 * A hook that is registered on one module asks with `get()`. One that serves several modules of a
 * model asks with `get(call.module)`, and each module has its own states.
 *
 * @example
 * ```ts
 * import { StateManager, withContext } from "@hookline/hookline";
 * const counts = new StateManager(() => ({ calls: 0 }));
 * withContext("cond", () => counts.get().calls++);
 * withContext("uncond", () => counts.get().calls++);
 * console.log(counts.size, withContext("cond", () => counts.get().calls)); // 2 1
 * counts.reset();
 * console.log(counts.size); // 0
 * ```
 */
export class StateManager<S> {
  readonly #factory: (context: string) => S;
  readonly #maxContexts: number;
  readonly #strict: boolean;
  /** Module path ("" when not told) to context to state. */
  readonly #states = new Map<string, Map<string, S>>();

  /**
   * Makes a manager without any state; `factory` makes one for a context when it is first asked for.
   *
   * @throws {HooklineError} OPTION_INVALID when `maxContexts` is not a whole number from 1.
   */
  constructor(
    factory: (context: string) => S,
    options: StateManagerOptions = {},
  ) {
    const maxContexts = options.maxContexts ?? 64;
    if (!Number.isSafeInteger(maxContexts) || maxContexts < 1) {
      throw new HooklineError("OPTION_INVALID", {
        message:
          `cannot make a StateManager: maxContexts is ${maxContexts}, wanted is a whole number from 1`,
        fix: "leave maxContexts out or give a whole number from 1",
        details: { option: "maxContexts" },
      });
    }
    this.#factory = factory;
    this.#maxContexts = maxContexts;
    this.#strict = options.strict === true;
  }

  /** How many states are alive. */
  get size(): number {
    let count = 0;
    for (const contexts of this.#states.values()) count += contexts.size;
    return count;
  }

  /**
   * The state of the current context, made now if there is none. A factory that throws leaves no
   * state behind.
   *
   * @throws {HooklineError} STATE_CONTEXT_MISSING outside every context in strict mode.
   * @throws {HooklineError} STATE_CONTEXT_LIMIT when one more context would exceed `maxContexts`.
   */
  get(module?: { readonly path: string }): S {
    const context = this.#context();
    const path = module?.path ?? "";
    const contexts = this.#states.get(path);
    if (contexts?.has(context)) return contexts.get(context) as S;
    if ((contexts?.size ?? 0) >= this.#maxContexts) {
      throw new HooklineError("STATE_CONTEXT_LIMIT", {
        message:
          `cannot make state for context "${context}": ${this.#maxContexts} contexts are alive already`,
        fix: "reset contexts that are done, reuse their names, or raise maxContexts",
        details: { context, module: path, maxContexts: this.#maxContexts },
      });
    }
    const state = this.#factory(context);
    const place = this.#states.get(path) ?? new Map<string, S>();
    this.#states.set(path, place.set(context, state));
    return state;
  }

  /** The state of the current context, or undefined when there is none; makes nothing. */
  peek(module?: { readonly path: string }): S | undefined {
    return this.#states.get(module?.path ?? "")?.get(currentContext());
  }

  /**
   * Drops the states of `context` in all modules, or without an argument all states, after calling
   * each state's own `reset()` where it has one. Returns how many were dropped; an unknown context
   * drops none. The current context stays what it is.
   *
   * When a state's `reset()` throws, the others are reset and all are dropped all the same; then the
   * error is thrown, or an AggregateError of several.
   */
  reset(context?: string): number {
    const dropped: S[] = [];
    for (const [path, contexts] of this.#states) {
      for (const [name, state] of contexts) {
        if (context !== undefined && name !== (context || "default")) continue;
        contexts.delete(name);
        dropped.push(state);
      }
      if (contexts.size === 0) this.#states.delete(path);
    }
    const failures: unknown[] = [];
    for (const state of dropped) {
      try {
        ownReset(state)?.();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) {
      throw new AggregateError(failures, "several states failed to reset");
    }
    return dropped.length;
  }

  #context(): string {
    if (this.#strict && !hasContext()) {
      throw new HooklineError("STATE_CONTEXT_MISSING", {
        message: "cannot choose a state: no context is active",
        fix: 'wrap the run in withContext("cond", () => …)',
      });
    }
    return currentContext();
  }
}
