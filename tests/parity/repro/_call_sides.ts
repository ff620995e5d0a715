// Two small models that are open for parts, and the whole of them as one call: what a bisection is given.

import { ModelStructure } from "../../../pipeline/model_structure.ts";
import { ValueTypes } from "../../../pipeline/value_types.ts";
import type { PartHost, PartSettings } from "../../../parity/compare/part_run.ts";
import type { ErringCall } from "../../../parity/repro/_known_values.ts";
import { NapiEngine } from "../../../sessions/napi_engine.ts";
import type { TensorMap } from "../../../tensor/tensor.ts";
import { modelBytes, type ModelParts } from "../../support/build_model.ts";

const engine = new NapiEngine();
const SETTINGS: PartSettings = { provider: "cpu", optimization: "all", threads: 1 };

/** A model open for parts. */
export function hostOf(source: ModelParts | Uint8Array | string): PartHost {
  const isParts = typeof source === "object" && !(source instanceof Uint8Array);
  const structure = new ModelStructure(isParts ? modelBytes(source) : source);
  return { structure, engine, types: new ValueTypes(structure, engine), settings: SETTINGS };
}

/** Both models as one call each, fed alike; values whose names both sides have at the border are partners. */
export function wholeCall(
  reference: PartHost,
  candidate: PartHost,
  feeds: TensorMap,
  candidateFeeds: TensorMap = feeds,
): ErringCall {
  const [left, right] = [reference.structure.graph, candidate.structure.graph];
  const nodesOf = (host: PartHost): number[] =>
    host.structure.graph.nodes.filter((node) => !node.isConstant).map(({ index }) => index);
  const pairs = [[right.inputs, left.inputs], [right.outputs, left.outputs]] as const;
  return {
    reference: { host: reference, feeds, nodes: nodesOf(reference) },
    candidate: { host: candidate, feeds: candidateFeeds, nodes: nodesOf(candidate) },
    outputs: right.outputs,
    partners: new Map(
      pairs.flatMap(([names, partners]) =>
        names.map((name, index) => [name, partners[index] as string] as const)
      ),
    ),
  };
}

/** The operators of nodes. */
export function operatorsOf(host: PartHost, nodes: readonly number[]): string[] {
  return nodes.map((index) => host.structure.graph.nodes[index]?.opType ?? "");
}
