// A test that cannot run everywhere says why in its own name, so that the reason reaches every
// report. The runner refuses a skip without one.

import { STRICT } from "./strict.ts";

/** The two fields of a `Deno.test` definition that say whether and why it is skipped. */
export interface Skippable {
  /** The name, with `[skipped: reason]` behind it when it is skipped. */
  readonly name: string;
  /** Whether the test is skipped. */
  readonly ignore: boolean;
}

/**
 * Names a test that runs only when `reason` is undefined:
 * `Deno.test({ ...skippable("runs on CUDA", noCuda), fn() { … } })`.
 */
export function skippable(name: string, reason: string | undefined): Skippable {
  return reason === undefined
    ? { name, ignore: false }
    : { name: `${name} [skipped: ${reason}]`, ignore: true };
}

/** The reason to skip a check whose subject `path` is missing; none once the repo is strict. */
export function untilPresent(path: string, present: boolean): string | undefined {
  return present || STRICT ? undefined : `${path} does not exist yet, STRICT is off`;
}
