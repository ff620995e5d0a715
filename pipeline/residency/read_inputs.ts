// Weights that are fed as tensors: read from their files into buffers ahead of use. The way that every
// engine, provider and runtime knows.

import { internalError } from "../../errors/hookline_error.ts";
import type { FileWeight } from "../../sessions/engine.ts";
import { elementCount, type Tensor } from "../../tensor/tensor.ts";
import type { FedSegment, InputSupply } from "./input_stream.ts";
import { viewOf } from "./tensor_view.ts";
import { type ReadRange, WeightReader } from "./weight_reader.ts";

/** Reads the weights of segments. */
export function readInputs(segments: readonly FedSegment[]): InputSupply {
  const reader = new WeightReader();
  const byModule = Map.groupBy(segments, ({ module }) => module);
  /** Weights that are in memory. */
  const near = new Map<FedSegment, Readonly<Record<string, Tensor>>>();
  return {
    async fetch(module) {
      const own = byModule.get(module) ?? [];
      const weights = own.flatMap(({ files }) => files);
      const places = await reader.fetch(module, weights.map(({ range }) => range));
      let index = 0;
      for (const segment of own) {
        const tensors = segment.files.map((weight): readonly [string, Tensor] => {
          return [weight.name, tensorAt(weight, places[index++])];
        });
        near.set(segment, Object.fromEntries(tensors));
      }
    },
    // deno-lint-ignore require-await -- others wait for something
    async release(module) {
      for (const segment of byModule.get(module) ?? []) near.delete(segment);
      reader.release(module);
    },
    run: ({ fed, session }, feeds, fetches, options) =>
      session.run({ ...feeds, ...near.get(fed) }, fetches, options),
    close: () => reader.close(),
  };
}

function tensorAt({ dtype, shape }: FileWeight, place: ReadRange | undefined): Tensor {
  if (place === undefined) throw internalError("a weight was not read");
  return { dtype, shape, data: viewOf(dtype, place, elementCount(shape)) };
}
