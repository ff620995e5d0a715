// Values of one side's own run, asked for by name: the part of the model that leads to them runs once.
// And which values can be asked for at all. Folder-private.

import { HooklineError } from "../../errors/hookline_error.ts";
import { usesOf, type ValueType } from "../../graph/sub_model.ts";
import { emptyTensorMap, type Tensor, type TensorMap } from "../../tensor/tensor.ts";
import { openPart, type PartHost } from "../compare/part_run.ts";

/**
 * The values of a side, computed from its graph inputs.
 *
 * @throws {HooklineError} PLAN_VALUE_TYPE, SESSION_CREATE, SESSION_RUN or a FEED_ code.
 */
export async function sideValues(
  host: PartHost,
  feeds: TensorMap,
  names: Iterable<string>,
): Promise<TensorMap> {
  const { graph } = host.structure;
  const values = emptyTensorMap();
  const wanted: string[] = [];
  for (const name of new Set(names)) {
    if (graph.inputs.includes(name)) values[name] = feeds[name] as Tensor;
    else wanted.push(name);
  }
  if (wanted.length === 0) return values;
  const part = await openPart(host, {
    nodes: nodesBefore(host, wanted),
    outputs: wanted,
    shapeOf: (name) => feeds[name]?.shape,
  });
  try {
    return Object.assign(values, await part.run(feeds));
  } finally {
    await part.release();
  }
}

/** Every node that is not constant and leads to the values. */
function nodesBefore({ structure: { graph } }: PartHost, values: readonly string[]): number[] {
  const found = new Set<number>();
  const waiting = [...values];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    const producer = graph.producerOf(value);
    if (producer === undefined || found.has(producer) || graph.nodes[producer]?.isConstant) {
      continue;
    }
    found.add(producer);
    waiting.push(...usesOf(graph, producer));
  }
  return [...found];
}

/** The types of those values that can leave ONNX Runtime: the others are left out. */
export async function typesThatLeave(
  { types }: PartHost,
  values: readonly string[],
): Promise<ReadonlyMap<string, ValueType>> {
  try {
    return await types.require(values);
  } catch (error) {
    if (!(error instanceof HooklineError) || error.code !== "PLAN_VALUE_TYPE") throw error;
    const impossible = new Set(error.details["values"] as readonly string[]);
    return await types.require(values.filter((value) => !impossible.has(value)));
  }
}
