// Which blocks stay in memory, by count, list or stride.

import { HooklineError } from "../../mod.ts";
import type { ResidentBlocks } from "./offload_options.ts";

/**
 * The positions of the blocks that stay.
 *
 * @throws {HooklineError} OPTION_INVALID for a position that no block has, or more blocks than there are.
 */
export function residentIndices(
  resident: ResidentBlocks | null,
  blockCount: number,
): ReadonlySet<number> {
  if (resident === null) return new Set();
  if (typeof resident === "number") {
    if (resident > blockCount) throw outside(resident, blockCount);
    return new Set(Array.from({ length: resident }, (_, index) => index));
  }
  if ("stride" in resident) {
    const stride = resident.stride;
    return new Set(
      Array.from({ length: Math.ceil(blockCount / stride) }, (_, index) => index * stride),
    );
  }
  return new Set(resident.map((position) => {
    const index = position < 0 ? blockCount + position : position;
    if (index < 0 || index >= blockCount) throw outside(position, blockCount);
    return index;
  }));
}

function outside(found: number, blockCount: number): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot keep block ${found} resident: the model has ${blockCount} blocks`,
    fix: `count from 0 to ${blockCount - 1}, or from -1 to ${-blockCount} from the end`,
    details: { option: "resident", blockCount },
  });
}
