// The weights that sessions of a model's parts have in common. The whole model opens without them: it is the
// untouched file, and nothing of ours stays mapped behind it.

import type { CommonWeights, FileWeight, SessionSettings } from "../sessions/engine.ts";
import { dtypeFromOnnx } from "../tensor/dtype.ts";
import type { ModelStructure } from "./model_structure.ts";
import { rangeOf } from "./residency/block_weights.ts";
import type { SegmentOpening, SessionHost } from "./segment_opening.ts";

const COMMON = new WeakMap<ModelStructure, CommonWeights>();

/**
 * What a session has in common with others of its model; nothing where its weights are not prepacked, go
 * with their module, or have to be on a device.
 */
export function commonWeights(
  { structure, engine, provider }: SessionHost,
  { commonNames, prepacking, isDeferred }: SegmentOpening,
): SessionSettings["commonWeights"] {
  if (engine.commonWeights === undefined || provider !== "cpu") return undefined;
  if (commonNames.length === 0 || !prepacking || isDeferred) return undefined;
  const from = COMMON.get(structure) ?? engine.commonWeights(fileWeights(structure));
  COMMON.set(structure, from);
  return { from, names: commonNames };
}

/** The initializers of a model that lie in files. */
export function fileWeights(structure: ModelStructure): readonly FileWeight[] {
  return [...structure.graph.initializers].flatMap(([name, tensor]): FileWeight[] => {
    const range = rangeOf(structure, tensor);
    const dtype = dtypeFromOnnx(tensor.dataType)?.dtype;
    if (range === null || dtype === undefined || dtype === "string") return [];
    return [{ name, dtype, shape: tensor.dims.map(Number), range }];
  });
}
