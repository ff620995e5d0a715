// Modules, weights and wishes that need no model.

import type { GraphModule } from "../../../graph/graph_module.ts";
import { admitResidency, type ResidencyRequest } from "../../../hooks/residency_request.ts";
import type { BlockWeights } from "../../../pipeline/residency/block_weights.ts";
import type { ResidencyWish } from "../../../pipeline/residency/schedule.ts";
import type { ResidencyMeans } from "../../../pipeline/residency/strategy_choice.ts";

/** A module of these nodes. */
export function fakeModule(path: string, nodes: readonly number[] = [0]): GraphModule {
  return {
    path,
    className: null,
    parent: "",
    children: [],
    calls: [{ nodes, inputs: [], outputs: [], isConvex: true }],
    parameters: [],
    evidence: "user",
    isCuttable: true,
    reason: null,
    insideBody: null,
  };
}

/** Weights of one range. */
export function fakeWeights(
  module: string,
  byteLength: number,
  more: Partial<BlockWeights> = {},
): BlockWeights {
  return {
    module,
    byteLength,
    ranges: [{ path: "/m", byteOffset: 0, byteLength }],
    isPacked: false,
    isHalf: false,
    unfed: [],
    folding: [],
    hasConvolution: false,
    ...more,
  };
}

/** A wish with defaults. */
export function fakeWish(
  path: string,
  request: Partial<ResidencyRequest> = {},
  nodes?: readonly number[],
): ResidencyWish {
  return {
    module: fakeModule(path, nodes),
    hook: "weights",
    request: admitResidency({ placement: "streamed", ...request }, { hook: "h", module: path }),
  };
}

/** A process that can do everything. */
export const MEANS: ResidencyMeans = {
  provider: "cpu",
  canSteer: true,
  steering: "memory can be steered",
  knowsProcessor: true,
  hasFiles: true,
  mapsInputs: false,
  hasUploads: false,
  memoryByteLength: 16e9,
  label: "model.onnx",
};
