// The calls of a worker. It may be terminated at any time, and what native code works on is memory of the
// worker: a call on another thread would go on there. On the worker's own thread it ends first.

import { turnEventLoop } from "./_event_loop.ts";
import {
  BACKGROUND_FUNCTIONS,
  type OrtBackgroundFunctions,
  type OrtFunctions,
} from "./_ort_functions.ts";

/** True in a worker, in those of `node:worker_threads` too. */
export function isInWorker(): boolean {
  return "DedicatedWorkerGlobalScope" in globalThis;
}

/** The functions that compute, called on this thread; after each call the event loop turns. */
export function callsOnThisThread(api: OrtFunctions): OrtBackgroundFunctions {
  const calls = BACKGROUND_FUNCTIONS.map((name) => {
    const call = api[name] as (...given: unknown[]) => unknown;
    return [name, async (...given: unknown[]) => {
      const result = call(...given);
      await turnEventLoop(); // or a loop of awaited runs would never let a message come in
      return result;
    }] as const;
  });
  return Object.fromEntries(calls) as unknown as OrtBackgroundFunctions;
}
