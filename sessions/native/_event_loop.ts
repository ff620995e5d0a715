// The one event loop that all sessions of a process compute before: its pacing, and a turn of it.

import { setImmediate } from "node:timers";
import { RunPacing } from "./run_pacing.ts";

/** The pacing of every run. */
export const pacing: RunPacing = new RunPacing();

/** Lets whatever waits in the event loop happen, timers too. */
export async function turnEventLoop(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  pacing.turned(performance.now());
}
