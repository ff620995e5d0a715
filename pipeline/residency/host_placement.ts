// Which of the weights that are streamed to a device stay in the process's memory, and which are read from
// their files for each call. Pure.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { BlockWeights } from "./block_weights.ts";
import { spread } from "./placement.ts";

/** The process's part in streaming to a device. */
export interface HostPlacement {
  /** Modules whose weights stay in the process's memory, in execution order. */
  readonly modules: readonly string[];
  /** Bytes of weights in the process's memory at most: of those modules, and of others on their way. */
  readonly byteLength: number;
}

/** What to place. */
export interface HostPlacementRequest {
  /** The streamed modules in execution order. */
  readonly streamed: readonly BlockWeights[];
  /** Bytes that they may take in the process's memory. */
  readonly byteBudget: number;
  /** False for a budget that nobody asked for: then one that is too small means that nothing stays. */
  readonly isAsked: boolean;
  /** How many modules are on their way at once. */
  readonly passingCount: number;
}

/**
 * As many modules as fit stay, evenly spread: while those between them are copied, the next is read.
 *
 * @throws {HooklineError} RESIDENCY_BUDGET when not even those on their way fit.
 */
export function placeOnHost(request: HostPlacementRequest): HostPlacement {
  const { streamed, byteBudget, isAsked, passingCount } = request;
  const sizes = streamed.map(({ byteLength }) => byteLength);
  const needed = (staying: ReadonlySet<number>): number => {
    const passing = sizes.filter((_, index) => !staying.has(index)).sort((left, right) =>
      right - left
    );
    const kept = sum(sizes.filter((_, index) => staying.has(index)));
    return kept + sum(passing.slice(0, passingCount));
  };
  const all = sizes.map((_, index) => index);
  for (let count = sizes.length; count >= 0; count--) {
    const staying = spread(all, count);
    const byteLength = needed(staying);
    if (byteLength > byteBudget && (count > 0 || isAsked)) continue;
    return Object.freeze({
      modules: Object.freeze(
        streamed.filter((_, index) => staying.has(index)).map(({ module }) => module),
      ),
      byteLength,
    });
  }
  const least = needed(new Set());
  throw new HooklineError("RESIDENCY_BUDGET", {
    message:
      `cannot keep streamed weights within ${byteBudget} bytes of the process's memory: ${least} are on their way to the device at once`,
    fix: `give a hostByteBudget of ${least} or more, or fetch fewer blocks ahead`,
    details: { hostByteBudget: byteBudget, neededByteLength: least },
  });
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}
