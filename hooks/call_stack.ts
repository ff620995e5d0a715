// Which hooks are running right now, as seen from the task that asks. It owns the AsyncLocalStorage
// that answers "does this call come from inside a hook?" and knows nothing else of dispatch.
// Invariant: a frame counts only while its hook's method has not settled. Work that a hook left
// behind (a timer, an unawaited promise) inherits the frame but is not the hook, so a run that it
// starts later is an ordinary run, and finished frames are never chained into a growing list.

import { AsyncLocalStorage } from "node:async_hooks";
import type { RegisteredHook } from "./admission.ts";
import type { HookOrder } from "./order.ts";

interface Frame {
  readonly hook: RegisteredHook;
  readonly parent: Frame | undefined;
  active: boolean;
}

const frames = new AsyncLocalStorage<Frame>();

function nearestActive(): Frame | undefined {
  let frame = frames.getStore();
  while (frame !== undefined && !frame.active) frame = frame.parent;
  return frame;
}

/** True for what `await` would wait for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null &&
    typeof (value as { then?: unknown }).then === "function";
}

/**
 * Runs one method of a hook and hands its outcome to `onValue` or `onError`, at once when the method
 * returned a plain value, later when it returned a promise. What the two throw is not caught.
 */
export function runAsHook<V, R>(
  hook: RegisteredHook,
  { method, onValue, onError }: {
    readonly method: () => V | PromiseLike<V>;
    readonly onValue: (value: V) => R;
    readonly onError: (error: unknown) => R;
  },
): R | Promise<R> {
  const frame: Frame = { hook, parent: nearestActive(), active: true };
  let result: V | PromiseLike<V>;
  let isPromised: boolean;
  try {
    result = frames.run(frame, method);
    isPromised = isThenable(result); // a getter of what it returned may throw
  } catch (error) {
    frame.active = false;
    return onError(error);
  }
  if (!isPromised) {
    frame.active = false;
    return onValue(result as V);
  }
  return Promise.resolve(result).then(
    (value) => {
      frame.active = false;
      return onValue(value);
    },
    (error: unknown) => {
      frame.active = false;
      return onError(error);
    },
  );
}

/** The hook of `order` that is running around the current task, or undefined. */
export function runningHookOf(order: HookOrder): RegisteredHook | undefined {
  let frame = nearestActive();
  while (frame !== undefined) {
    if (frame.active && order.entering.includes(frame.hook)) return frame.hook;
    frame = frame.parent;
  }
  return undefined;
}

/** True while any hook is running around the current task, so that waiting for a run to end may never end. */
export function insideHook(): boolean {
  return nearestActive() !== undefined;
}
