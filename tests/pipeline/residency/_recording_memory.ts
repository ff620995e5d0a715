// Memory that moves nothing and tells what it was asked for.

import {
  type MappedArea,
  unsteered,
  type WeightMemory,
} from "../../../sessions/mapped_weights/weight_memory.ts";

/** Memory that writes down what it is asked. */
export function recordingMemory(): { readonly memory: WeightMemory; readonly log: string[] } {
  const log: string[] = [];
  const bytes = (areas: readonly MappedArea[]): number =>
    areas.reduce((sum, area) => sum + area.byteLength, 0);
  const memory: WeightMemory = {
    ...unsteered("a test"),
    areasOf: (groups) =>
      groups.map((ranges) =>
        ranges.map((range) => ({ ...range, address: BigInt(range.byteOffset), inode: 1n }))
      ),
    fetch: (areas) => Promise.resolve(void log.push(`+${bytes(areas)}`)),
    release: (areas) => void log.push(`-${bytes(areas)}`),
  };
  return { memory, log };
}
