// Which modules keep their weights in memory and which are streamed, under a byte budget. Pure.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { BlockWeights } from "./block_weights.ts";
import type { ResidencyWish, ScheduledBlock } from "./schedule.ts";

/** What to place. */
export interface PlacementRequest {
  readonly wishes: readonly ResidencyWish[];
  /** The weights of each wish's module. */
  readonly weights: readonly BlockWeights[];
  /** Bytes that all weights of the model may take at once; null without a limit. */
  readonly byteBudget: number | null;
  /** Bytes of the weights outside these modules, which stay. */
  readonly restByteLength: number;
  /** Bytes in memory at once while blocks are streamed. */
  readonly windowOf: (blocks: readonly BlockWeights[]) => number;
}

/**
 * Places every block. Those that are left to the budget become resident evenly spread over the model, as
 * many as fit: between two streamed ones there is then time to fetch the next.
 *
 * @throws {HooklineError} RESIDENCY_BUDGET when what must be in memory is more than the budget.
 */
export function placeBlocks(request: PlacementRequest): ScheduledBlock[] {
  const { wishes, weights, byteBudget } = request;
  const asked = wishes.map(({ request: { placement } }) => placement);
  const place = (resident: ReadonlySet<number>): ScheduledBlock[] =>
    weights.map(({ module, byteLength }, index) => ({
      module,
      placement: asked[index] === "resident" || resident.has(index) ? "resident" : "streamed",
      byteLength,
    }));
  const open = asked.flatMap((placement, index) => placement === "auto" ? [index] : []);
  if (byteBudget === null) return place(new Set(open));
  for (let count = open.length; count >= 0; count--) {
    const placed = place(spread(open, count));
    if (needed(request, placed) <= byteBudget) return placed;
  }
  const least = needed(request, place(new Set()));
  throw new HooklineError("RESIDENCY_BUDGET", {
    message:
      `cannot keep the weights within ${byteBudget} bytes: with every block streamed that may be, ${least} are needed`,
    fix: `give a byteBudget of ${least} or more, fetch fewer blocks ahead, or keep fewer resident`,
    details: { byteBudget, neededByteLength: least },
  });
}

/** Bytes of weights in memory at once. */
function needed(request: PlacementRequest, placed: readonly ScheduledBlock[]): number {
  const streamed = request.weights.filter((_, index) => placed[index]?.placement === "streamed");
  const resident = placed.reduce(
    (sum, block) => block.placement === "resident" ? sum + block.byteLength : sum,
    request.restByteLength,
  );
  return resident + request.windowOf(streamed);
}

/** `count` of the entries, evenly spread, the first one among them. */
export function spread(entries: readonly number[], count: number): ReadonlySet<number> {
  return new Set(
    Array.from(
      { length: count },
      (_, index) => entries[Math.floor(index * entries.length / count)] as number,
    ),
  );
}
