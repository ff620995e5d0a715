// What stands in for one call of a module: the same nodes with rounded numbers, or what another file has
// in the module's place. A substitute takes the module's inputs by name and gives its outputs by name.
// Folder-private.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { ModuleCall } from "../../graph/graph_module.ts";
import { usesOf } from "../../graph/sub_model.ts";
import { nodeTensors } from "../../graph/walk_tensors.ts";
import { emptyTensorMap, type Tensor, type TensorMap } from "../../tensor/tensor.ts";
import { castTensor } from "../compare/cast_tensor.ts";
import { matchSides } from "../compare/match_sides.ts";
import { encodeNodes, openPart, type PartHost } from "../compare/part_run.ts";
import { inlineWeights } from "../repro/inline_weights.ts";
import { isRounded, roundedTensor, type Rounding, roundWeight } from "./rounded_weights.ts";

/** What stands in for a call: the call's inputs by name in, its outputs by name out. */
export type Substitute = (inputs: TensorMap) => Promise<TensorMap>;

/** Makes substitutes for the calls of one model; a text says why there is none. */
export type SubstituteMaker = (
  module: string,
  callIndex: number,
  call: ModuleCall,
) => Substitute | string;

/** Substitutes with rounded numbers: the weights, and for floats what goes in and comes out. */
export function roundedSubstitutes(host: PartHost, rounding: Rounding): SubstituteMaker {
  return (_module, _callIndex, call) => {
    if (rounding === "int8" && !hasMatrices(host, call.nodes)) {
      return "it has no weights of two or more dimensions";
    }
    const edge = (values: TensorMap): TensorMap =>
      rounding === "int8" ? values : mapTensors(values, (value) => roundedTensor(value, rounding));
    return async (inputs) => edge(await runRounded(host, { call, inputs: edge(inputs), rounding }));
  };
}

/** True when a node of a call reads a constant that int8 rounds. */
function hasMatrices({ structure: { graph } }: PartHost, nodes: readonly number[]): boolean {
  return nodes.flatMap((index) => usesOf(graph, index)).some((value) => {
    const tensor = graph.initializers.get(value);
    const producer = graph.nodes[graph.producerOf(value) ?? -1];
    const held = producer?.isConstant ? [...nodeTensors(producer.proto)] : [];
    return [...tensor === undefined ? [] : [tensor], ...held].some((one) => isRounded(one, "int8"));
  });
}

/** Opens, runs and closes the call with rounded weights: one module's are in memory at a time. */
async function runRounded(
  { structure, engine, settings, types }: PartHost,
  { call: { nodes, outputs }, inputs, rounding }: {
    readonly call: ModuleCall;
    readonly inputs: TensorMap;
    readonly rounding: Rounding;
  },
): Promise<TensorMap> {
  const part = await encodeNodes({ structure, types }, {
    nodes,
    outputs,
    shapeOf: (name) => inputs[name]?.shape,
  });
  const { bytes } = inlineWeights(part, { change: (tensor) => roundWeight(tensor, rounding) });
  structure.requireUnchanged();
  const session = await engine.open({ kind: "bytes", bytes, weightFolder: null }, {
    ...settings,
    prepacking: true,
    arena: false,
    label: `${rounding} substitute, ${structure.skeleton.label}`,
  });
  try {
    return await session.run(inputs);
  } finally {
    await session.release();
  }
}

/**
 * Substitutes from another model: what it has in the module's place.
 *
 * @param map Renames of module paths, `REFERENCE_PREFIX=CANDIDATE_PREFIX`.
 * @throws {HooklineError} COMPARE_INCOMPARABLE when the other model takes other inputs, OPTION_INVALID for
 * a rename that is none.
 */
export async function otherSubstitutes(
  reference: PartHost,
  candidate: PartHost,
  map: readonly string[],
): Promise<SubstituteMaker> {
  const { match, values } = await matchSides(reference, candidate, map);
  const pairs = new Map(match.pairs.map((pair) => [`${pair.call} ${pair.module}`, pair]));
  return (module, callIndex, call) => {
    const pair = pairs.get(`${callIndex} ${module}`);
    if (pair === undefined) return "the other model has no module in its place";
    const outputs = new Map<string, string>();
    for (const name of pair.candidate.outputs) {
      const partner = values.partnerOf(name);
      if (partner !== undefined && call.outputs.includes(partner)) outputs.set(partner, name);
    }
    const missing = call.outputs.find((name) => !outputs.has(name));
    if (missing !== undefined) return `the other module gives nothing for "${missing}"`;
    const inputs = new Map<string, string>();
    for (const name of pair.candidate.inputs) {
      const partner = values.partnerOf(name);
      if (partner === undefined || !call.inputs.includes(partner)) {
        return `the other module takes "${name}", which this one does not`;
      }
      inputs.set(name, partner);
    }
    return (given) =>
      runOther({ reference, candidate }, { nodes: pair.candidate.nodes, inputs, outputs, given });
  };
}

/** Runs the other module on values of this one's, in its own names and element types. */
async function runOther(
  { reference, candidate }: { readonly reference: PartHost; readonly candidate: PartHost },
  { nodes, inputs, outputs, given }: {
    readonly nodes: readonly number[];
    /** The other module's name, then this one's. */
    readonly inputs: ReadonlyMap<string, string>;
    /** This module's name, then the other one's. */
    readonly outputs: ReadonlyMap<string, string>;
    readonly given: TensorMap;
  },
): Promise<TensorMap> {
  const feeds = emptyTensorMap();
  for (const [name, { dtype }] of await candidate.types.require([...inputs.keys()])) {
    feeds[name] = cast(given[inputs.get(name) as string] as Tensor, dtype);
  }
  const part = await openPart(candidate, {
    nodes,
    outputs: [...outputs.values()],
    shapeOf: (name) => feeds[name]?.shape,
  });
  try {
    const found = await part.run(feeds);
    const results = emptyTensorMap();
    for (const [name, { dtype }] of await reference.types.require([...outputs.keys()])) {
      results[name] = cast(found[outputs.get(name) as string] as Tensor, dtype);
    }
    return results;
  } finally {
    await part.release();
  }
}

function cast(value: Tensor, dtype: Tensor["dtype"]): Tensor {
  const made = castTensor(value, dtype);
  if (made !== null) return made;
  throw new HooklineError("FEED_DTYPE", {
    message: `cannot feed the other model's module with ${value.dtype} where it takes ${dtype}`,
    fix: "leave the module out, or export both models with the same types of integers",
    details: { found: value.dtype, wanted: dtype },
  });
}

function mapTensors(values: TensorMap, change: (value: Tensor) => Tensor): TensorMap {
  const changed = emptyTensorMap();
  for (const [name, value] of Object.entries(values)) changed[name] = change(value);
  return changed;
}
