// Weights that are fed where they lie: pages of the model's files, which the system fetches when a run
// touches them and which are dropped behind it. No copy, no buffer, and no memory for what is read ahead.
//
// Measured (24 blocks of 44 MB, 128 tokens, 2 threads): half the time of weights that are read (0.43 to 0.51 of
// it), first peak 64 MB instead of 151, later ones 45 instead of 90; the bits are the same.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { EngineSession, MappedWeights } from "../../sessions/engine.ts";
import type { WeightMemory } from "../../sessions/mapped_weights/weight_memory.ts";
import type { SessionHost } from "../segment_opening.ts";
import type { FedSegment, InputSupply, OpenSegment } from "./input_stream.ts";
import { MappedPages } from "./mapped_stream.ts";

/** Where weights are mapped. */
export interface MappingPlace {
  readonly host: SessionHost;
  readonly memory: WeightMemory;
}

/** Whether fed weights are mapped here: on the CPU, by an engine that can, where memory can be steered. */
export function mapsInputs({ host, memory }: MappingPlace): boolean {
  return memory.canSteer && host.provider === "cpu" && host.engine.mapWeights !== undefined;
}

/**
 * Maps the weights of segments; null where that cannot be done: then they have to be read.
 *
 * @throws {HooklineError} MODEL_CHANGED when a file is another one by now.
 */
export function mappedInputs(
  place: MappingPlace,
  segments: readonly OpenSegment[],
): InputSupply | null {
  const { host: { engine, structure }, memory } = place;
  const weights = mapsInputs(place) ? engine.mapWeights?.() ?? null : null;
  if (weights === null) return null;
  using stack = new DisposableStack();
  stack.use(weights);
  const runs = boundRuns(weights, segments);
  if (runs === null) return null;
  structure.requireUnchanged(); // what is mapped now is what was read
  const pages = new MappedPages(memory);
  pages.find(
    new Map(
      [...Map.groupBy(segments, ({ fed }) => fed.module)].map(([module, own]) => [
        module,
        own.flatMap(({ fed }) => fed.files.map(({ range }) => range)),
      ]),
    ),
  );
  const mapped = stack.move();
  return {
    fetch: (module) => pages.fetch(module),
    // At once: dropped while the next module computes they would cost 8 % less time, and up to half a block.
    release: (module) => pages.release(module),
    run: ({ fed, session }, ...call) => (runs.get(fed) ?? session).run(...call),
    async close() {
      await pages.forget();
      mapped.dispose();
    },
  };
}

/** The runs of segments with their weights; null where the system does not map a file. */
function boundRuns(
  weights: MappedWeights,
  segments: readonly OpenSegment[],
): ReadonlyMap<FedSegment, Pick<EngineSession, "run">> | null {
  try {
    return new Map(segments.map(({ fed, session }) => [fed, weights.bind(session, fed.files)]));
  } catch (error) {
    if (error instanceof HooklineError && error.code === "ENGINE_UNAVAILABLE") return null;
    throw error;
  }
}
