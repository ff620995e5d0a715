// Runs the hooks of one module around one forward. It owns the sequence of the phases and what is
// unwound when one fails; it does not know what the forward is, so the pipeline may run it in one big
// session between `enter` and `leave` or as many segments. Invariant: every hook that was entered gets
// its postForward or its onUnwind, exactly one of them, exactly once.

import { HooklineError, internalError } from "../errors/hookline_error.ts";
import type { TensorMap } from "../tensor/tensor.ts";
import type { RegisteredHook } from "./admission.ts";
import { isThenable, runAsHook, runningHookOf } from "./call_stack.ts";
import { callDetails, thrownInCall, withFailures } from "./hook_fault.ts";
import type { ForwardCall, HookPhase } from "./model_hook.ts";
import type { HookOrder } from "./order.ts";
import { type ClosedGuard, OriginalGuard } from "./original_guard.ts";
import {
  completeResult,
  frozenMap,
  mergeResult,
  NO_TENSORS,
  type ResultSite,
  type TensorTypes,
} from "./result_check.ts";
import { inSequence } from "./sequence.ts";

/** What the pipeline can tell a dispatch beside the call. */
export interface DispatchOptions {
  /** The declared types of the module's outputs, for checking a `newForward` that never calls original. */
  readonly outputTypes?: TensorTypes;
}

/** The forward that hooks stand around. */
export type Forward = (inputs: TensorMap) => TensorMap | Promise<TensorMap>;

/**
 * One forward of one hooked module.
 *
 * Call `enter`, then `replace` when `hasReplacer` or else the forward itself, then `leave`. Whatever
 * fails in between, the hooks' own errors included, throw what `unwind` makes of it:
 * `catch (error) { throw await dispatch.unwind(error); }`. The methods return plain values as long
 * as no hook returned a promise.
 */
export class ModuleDispatch {
  /** The hooks, frozen for this call. */
  readonly order: HookOrder;
  /** The call, as the hooks see it. */
  readonly call: ForwardCall;
  readonly #outputTypes: TensorTypes;
  /** Entered and neither left nor unwound, in the order of entering. */
  readonly #open = new Set<RegisteredHook>();
  #stage: "new" | "entered" | "done" = "new";
  #rawInputs: TensorMap | null = null;
  #inputs: TensorMap | null = null;

  /** Takes the snapshot and the call; runs nothing. */
  constructor(
    order: HookOrder,
    call: ForwardCall,
    options: DispatchOptions = {},
  ) {
    this.order = order;
    this.call = call;
    this.#outputTypes = options.outputTypes ?? NO_TENSORS;
  }

  /** Whether `replace` takes the forward's place. */
  get hasReplacer(): boolean {
    return this.order.replacers.length > 0;
  }

  /**
   * Runs every `preForward`: raw observers, transformers A to Z each seeing the one before, replacers,
   * final observers. Returns the inputs for the forward. `inputs` may be an empty map when
   * `order.readsInputs` is false.
   *
   * @throws {HooklineError} HOOK_REENTRANT when a hook of this module is running around this call.
   * @throws {HooklineError} HOOK_THROWN, HOOK_ACCESS, HOOK_RESULT or HOOK_SHAPE when a hook fails;
   * `signal.reason` when the call was aborted.
   */
  enter(inputs: TensorMap): TensorMap | Promise<TensorMap> {
    if (this.#stage !== "new") throw internalError("a call was entered twice");
    this.#stage = "entered";
    if (this.order.entering.length === 0) return inputs;
    this.#refuseReentry();
    const frozen = frozenMap(inputs);
    if (this.order.keepsInputs) this.#rawInputs = frozen;
    const entered = inSequence(
      this.order.entering,
      frozen,
      (value, hook) => this.#enterOne(hook, value),
    );
    return isThenable(entered)
      ? entered.then((value) => this.#keepInputs(value))
      : this.#keepInputs(entered);
  }

  /**
   * Runs the replacing hook's `newForward` instead of the forward, which it may call as `original`;
   * with chained ones, the outer one's original is the next inner one. `inputs` are what `enter`
   * returned. A failure of the forward itself that the hook lets through is thrown as it is.
   *
   * @throws {HooklineError} HOOK_ORIGINAL_MISUSED when original was called too often or not awaited;
   * HOOK_THROWN, HOOK_RESULT or HOOK_SHAPE when the hook fails; `signal.reason` when aborted.
   */
  replace(
    inputs: TensorMap,
    original: Forward,
  ): TensorMap | Promise<TensorMap> {
    if (!this.hasReplacer) throw internalError("a call has no replacing hook");
    return this.#replaceFrom(0, frozenMap(inputs), original);
  }

  /**
   * Runs every `postForward`: raw observers, replacers, transformers Z to A (the exact reverse of
   * entering), final observers. Returns the outputs that the rest of the model sees.
   *
   * @throws {HooklineError} HOOK_THROWN, HOOK_ACCESS, HOOK_RESULT or HOOK_SHAPE when a hook fails;
   * `signal.reason` when the call was aborted.
   */
  leave(outputs: TensorMap): TensorMap | Promise<TensorMap> {
    if (this.#stage !== "entered") {
      throw internalError("a call was left without being entered");
    }
    this.#stage = "done";
    if (this.order.leaving.length === 0) return outputs;
    return inSequence(
      this.order.leaving,
      frozenMap(outputs),
      (value, hook) => this.#leaveOne(hook, value),
    );
  }

  /**
   * Runs `onUnwind` of every hook that was entered and has not had its `postForward`, last entered
   * first, and returns what to throw: `error` itself, or an AggregateError of `error` and what
   * unwinding threw, with `error` first and as its cause. A second call unwinds nothing.
   */
  unwind(error: unknown): unknown | Promise<unknown> {
    this.#stage = "done";
    const open = [...this.#open].reverse();
    this.#open.clear();
    const failures = inSequence<RegisteredHook, unknown[]>(
      open,
      [],
      (sofar, hook) => this.#unwindOne(hook, { error, sofar }),
    );
    return isThenable(failures)
      ? failures.then((list) => withFailures(error, list))
      : withFailures(error, failures);
  }

  #refuseReentry(): void {
    const running = runningHookOf(this.order);
    if (running === undefined) return;
    throw new HooklineError("HOOK_REENTRANT", {
      message:
        `cannot enter "${this.call.module.path}": its hook "${running.name}" is running and started this run`,
      fix:
        "run another model from the hook, or in a replacing hook call original() instead of the model",
      details: callDetails(running, "preForward", this.call),
    });
  }

  #throwIfAborted(): void {
    if (this.call.signal?.aborted) throw this.call.signal.reason;
  }

  /** The error to throw for what a hook threw: wrapped, unless it is the caller's own abort. */
  #blame(hook: RegisteredHook, phase: HookPhase, cause: unknown): unknown {
    const { signal } = this.call;
    return signal?.aborted && cause === signal.reason
      ? cause
      : thrownInCall(hook, phase, { call: this.call, cause });
  }

  #site(
    hook: RegisteredHook,
    phase: HookPhase,
    types: TensorTypes,
  ): ResultSite {
    const what = phase === "preForward" ? "inputs" : "outputs";
    return { hook, phase, call: this.call, what, types };
  }

  #keepInputs(inputs: TensorMap): TensorMap {
    if (this.order.keepsInputs) this.#inputs = inputs;
    return inputs;
  }

  #enterOne(
    hook: RegisteredHook,
    value: TensorMap,
  ): TensorMap | Promise<TensorMap> {
    this.#throwIfAborted();
    const { preForward } = hook.methods;
    if (preForward === null) {
      this.#open.add(hook);
      return value;
    }
    const seen = hook.readsInputs ? value : NO_TENSORS;
    return runAsHook<unknown, TensorMap>(hook, {
      method: () => preForward(this.call, seen),
      onValue: (result) => {
        // It ran to its end: even when its result is refused below, it has something to clean up.
        this.#open.add(hook);
        return mergeResult(this.#site(hook, "preForward", value), value, result);
      },
      onError: (error) => {
        if (hook.unwindSelf) this.#open.add(hook);
        throw this.#blame(hook, "preForward", error);
      },
    });
  }

  #leaveOne(
    hook: RegisteredHook,
    value: TensorMap,
  ): TensorMap | Promise<TensorMap> {
    this.#throwIfAborted();
    // From here on its post counts as run, also when it throws: the exactly-once rule.
    this.#open.delete(hook);
    const { postForward } = hook.methods;
    if (postForward === null) return value;
    const raw = hook.access === "observe" && hook.observes === "raw";
    const inputs = hook.readsInputs ? (raw ? this.#rawInputs : this.#inputs) : null;
    return runAsHook<unknown, TensorMap>(hook, {
      method: () => postForward(this.call, value, inputs),
      onValue: (result) => mergeResult(this.#site(hook, "postForward", value), value, result),
      onError: (error) => {
        throw this.#blame(hook, "postForward", error);
      },
    });
  }

  #replaceFrom(
    index: number,
    inputs: TensorMap,
    original: Forward,
  ): TensorMap | Promise<TensorMap> {
    this.#throwIfAborted();
    const hook = this.order.replacers[index];
    const newForward = hook?.methods.newForward;
    if (hook === undefined || !newForward) return original(inputs);
    const guard = new OriginalGuard(hook, {
      call: this.call,
      inputs,
      run: (given) => this.#replaceFrom(index + 1, given, original),
    });
    return runAsHook<unknown, TensorMap | Promise<TensorMap>>(hook, {
      method: () => newForward(this.call, inputs, guard.original),
      onValue: (result) =>
        afterClose(guard, ({ misuse, failures }) => {
          if (misuse !== null) throw withFailures(misuse, failures);
          const types = guard.outputTypes ?? this.#outputTypes;
          return completeResult(this.#site(hook, "newForward", types), result);
        }),
      onError: (error) =>
        afterClose(guard, ({ failures }) => {
          const primary = guard.isNotTheHooks(error)
            ? error
            : this.#blame(hook, "newForward", error);
          throw withFailures(primary, failures.filter((one) => one !== error));
        }),
    }) as TensorMap | Promise<TensorMap>;
  }

  #unwindOne(
    hook: RegisteredHook,
    { error, sofar }: { readonly error: unknown; readonly sofar: unknown[] },
  ): unknown[] | Promise<unknown[]> {
    const { onUnwind } = hook.methods;
    if (onUnwind === null) return sofar;
    return runAsHook<void, unknown[]>(hook, {
      method: () => onUnwind(this.call, error),
      onValue: () => sofar,
      onError: (cause) => [
        ...sofar,
        thrownInCall(hook, "onUnwind", { call: this.call, cause }),
      ],
    });
  }
}

/** Goes on when no original of the guard runs any more. */
function afterClose(
  guard: OriginalGuard,
  next: (closed: ClosedGuard) => TensorMap,
): TensorMap | Promise<TensorMap> {
  const closed = guard.close();
  return isThenable(closed) ? closed.then(next) : next(closed);
}

/**
 * Runs a forward with its hooks around it: enter, the replacing hook or `original`, leave; unwinds
 * when any of it fails. Without hooks it only calls `original`. Serves any asynchronous function from
 * tensors to tensors, so that a method beside forward follows the same rules.
 *
 * @throws whatever failed, or an AggregateError when unwinding failed too.
 */
export async function dispatch(
  order: HookOrder,
  call: ForwardCall,
  inputs: TensorMap,
  original: Forward,
): Promise<TensorMap> {
  if (order.entering.length === 0) return await original(inputs);
  const module = new ModuleDispatch(order, call);
  try {
    const entered = module.enter(inputs);
    const given = isThenable(entered) ? await entered : entered;
    call.signal?.throwIfAborted();
    const outputs = module.hasReplacer
      ? await module.replace(given, original)
      : await original(given);
    const left = module.leave(outputs);
    return isThenable(left) ? await left : left;
  } catch (error) {
    throw await module.unwind(error);
  }
}
