// One segment of a plan from its nodes: what is fed, what is fetched, and what of that only hooks want.

import type { ModelGraph } from "../graph/model_graph.ts";
import { usesOf } from "../graph/sub_model.ts";
import type { SegmentStep } from "./plan.ts";

/** What a segment is made from. */
export interface SegmentRequest {
  readonly index: number;
  /** Live nodes, ascending. */
  readonly nodes: readonly number[];
  /** Whether the model itself is opened. */
  readonly isWhole: boolean;
  /** True for a value that is needed after the segment, other than by hooks. */
  readonly isUsedLater: (value: string, own: ReadonlySet<number>) => boolean;
  /** Values that hooks see. */
  readonly seen: ReadonlySet<string>;
}

/** The segment. */
export function segmentStep(graph: ModelGraph, request: SegmentRequest): SegmentStep {
  const { index, nodes, isWhole, isUsedLater, seen } = request;
  const own = new Set(nodes);
  const inputs = new Set<string>();
  const outputs: string[] = [];
  const taps: string[] = [];
  for (const node of nodes) {
    for (const value of usesOf(graph, node)) {
      const producer = graph.producerOf(value);
      const isOwn = producer !== undefined && own.has(producer);
      if (!isOwn && !graph.isConstantValue(value)) inputs.add(value);
    }
    for (const value of graph.nodes[node]?.outputs ?? []) {
      if (value === "") continue;
      const isUsed = isUsedLater(value, own);
      if (isUsed || seen.has(value)) outputs.push(value);
      if (!isUsed && seen.has(value)) taps.push(value);
    }
  }
  return {
    kind: "segment",
    index,
    nodes,
    isWhole,
    inputs: isWhole ? graph.inputs : [...inputs],
    outputs,
    taps: isWhole ? outputs.filter((value) => !graph.outputs.includes(value)) : taps,
  };
}
