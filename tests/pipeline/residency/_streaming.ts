// A plan whose blocks are streamed, with what a stream needs, for tests of one strategy at a time.

import { splitDemand } from "../../../pipeline/demand.ts";
import { ModelStructure } from "../../../pipeline/model_structure.ts";
import { segmentsOf, type SegmentStep } from "../../../pipeline/plan.ts";
import { makePlan } from "../../../pipeline/planner.ts";
import { type BlockWeights, blockWeights } from "../../../pipeline/residency/block_weights.ts";
import type { StreamedSegment } from "../../../pipeline/residency/weight_stream.ts";
import type { SessionHost } from "../../../pipeline/segment_opening.ts";
import { ValueTypes } from "../../../pipeline/value_types.ts";
import { NapiEngine } from "../../../sessions/napi_engine.ts";
import { openSegment, type SegmentOpening } from "../../../pipeline/segment_opening.ts";
import type { Engine, EngineSession } from "../../../sessions/engine.ts";
import type { TensorMap } from "../../../tensor/tensor.ts";

/** Blocks of a model as a stream gets them. */
export interface Streaming {
  readonly host: SessionHost;
  readonly segments: readonly SegmentStep[];
  readonly streamed: readonly StreamedSegment[];
  readonly weights: ReadonlyMap<string, BlockWeights>;
}

/** Cuts a model after each block. */
export async function streaming(
  path: string,
  { count = 4, engine = new NapiEngine() }: {
    readonly count?: number;
    readonly engine?: Engine;
  } = {},
): Promise<Streaming> {
  const structure = new ModelStructure(path);
  const modules = Array.from({ length: count }, (_, index) => {
    const module = structure.tree.get(`blocks.${index}`);
    if (module === undefined) throw new Error(`no block ${index}`);
    return module;
  });
  const plan = makePlan({
    graph: structure.graph,
    demands: modules.map((module) => splitDemand(module, "")),
    structureHash: structure.hash,
    orderKeys: {},
  });
  const segments = segmentsOf(plan.steps).slice(0, count);
  const types = await new ValueTypes(structure, engine).require([
    ...new Set(segments.flatMap((segment) => segment.inputs)),
  ]);
  return {
    host: { structure, engine, provider: "cpu", optimization: "all", threads: 1 },
    segments,
    streamed: segments.map((segment, index) => ({
      segment,
      module: `blocks.${index}`,
      inputs: new Map([...types].filter(([name]) => segment.inputs.includes(name))),
    })),
    weights: new Map(modules.map((module) => [module.path, blockWeights(structure, module)])),
  };
}

/** Opens what is not deferred. */
export async function openAll(
  host: SessionHost,
  openings: readonly SegmentOpening[],
): Promise<(EngineSession | null)[]> {
  const sessions: (EngineSession | null)[] = [];
  for (const opening of openings) {
    sessions.push(opening.isDeferred ? null : await openSegment(host, opening));
  }
  return sessions;
}

/** Feeds of a segment from those of the model: every cut of the transformer carries one value. */
export function feedsOf(segment: SegmentStep, feeds: TensorMap): TensorMap {
  const [value] = Object.values(feeds);
  const [name] = segment.inputs;
  if (value === undefined || name === undefined) throw new Error("nothing to feed");
  return { [name]: value };
}
