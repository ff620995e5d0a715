// Runs a step over items strictly one after another and stays synchronous for as long as no step
// returns a promise. Invariant: order is the array's order; nothing runs beside something else, so
// that what hooks record is the same on every run.

import { isThenable } from "./call_stack.ts";

async function continueFrom<T, V>(
  items: readonly T[],
  start: number,
  pending: PromiseLike<V>,
  step: (value: V, item: T) => V | PromiseLike<V>,
): Promise<V> {
  let value = await pending;
  for (let index = start; index < items.length; index++) {
    // noUncheckedIndexedAccess: the bound above makes the cast true, also where T allows undefined.
    value = await step(value, items[index] as T);
  }
  return value;
}

/** Folds `items` into a value; the value itself when no step was asynchronous, else a promise of it. */
export function inSequence<T, V>(
  items: readonly T[],
  initial: V,
  step: (value: V, item: T) => V | PromiseLike<V>,
): V | Promise<V> {
  let value = initial;
  for (let index = 0; index < items.length; index++) {
    const next = step(value, items[index] as T);
    if (isThenable(next)) {
      return continueFrom(items, index + 1, next as PromiseLike<V>, step);
    }
    value = next as V;
  }
  return value;
}
