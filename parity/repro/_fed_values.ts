// What a part of the candidate's call is fed with: the reference's values, as the candidate takes them.
// Folder-private.

import { boundaryOf } from "../../graph/module_boundary.ts";
import type { ValueType } from "../../graph/sub_model.ts";
import { emptyTensorMap, type Tensor, type TensorMap } from "../../tensor/tensor.ts";
import { castTensor } from "../compare/cast_tensor.ts";
import { openPart, type PartHost } from "../compare/part_run.ts";
import { sideValues } from "./_side_values.ts";

/** A value that a part of the candidate's call is fed with. */
export interface FedValue {
  /** The candidate's name. */
  readonly name: string;
  /** The reference's name; null where there is no partner and the value is the candidate's own. */
  readonly reference: string | null;
  /** The reference's value in the candidate's element type. */
  readonly value: Tensor;
}

/** Where fed values come from. */
export interface FeedSource {
  readonly candidate: {
    readonly host: PartHost;
    /** The candidate's graph inputs. */
    readonly feeds: TensorMap;
  };
  /** Candidate's values with a partner, to the reference's name. */
  readonly anchors: ReadonlyMap<string, string>;
  /** The reference's values by the reference's names. */
  readonly values: TensorMap;
}

/**
 * What nodes of the candidate's call are fed with: the reference's values, in the candidate's element
 * types, and in its shape where the two only fold the same elements otherwise; the candidate's own values
 * where there is no partner.
 *
 * @throws {HooklineError} PLAN_VALUE_TYPE when a value is no plain tensor.
 */
export async function fedValues(
  { candidate: { host, feeds }, anchors, values }: FeedSource,
  nodes: readonly number[],
): Promise<readonly FedValue[]> {
  const names = boundaryOf(host.structure.graph, nodes).inputs;
  const types = await host.types.require(names);
  const fed: FedValue[] = [];
  for (const name of names) {
    const { dtype, shape } = types.get(name) as ValueType;
    const reference = anchors.get(name) ?? null;
    const given = reference === null ? undefined : values[reference];
    const value = given === undefined ? null : castTensor(given, dtype);
    if (value !== null && (shape === null || shape.length === value.shape.length)) {
      fed.push({ name, reference, value });
      continue;
    }
    const own = (await sideValues(host, feeds, [name]))[name] as Tensor;
    fed.push(
      value === null || own.data.length !== value.data.length
        ? { name, reference: null, value: own }
        : { name, reference, value: { ...value, shape: own.shape } },
    );
  }
  return fed;
}

/** Runs nodes of the candidate's call on what they are fed with. */
export async function runFed(
  host: PartHost,
  choice: { readonly nodes: readonly number[]; readonly outputs: readonly string[] },
  fed: readonly FedValue[],
): Promise<TensorMap> {
  const feeds = emptyTensorMap();
  for (const { name, value } of fed) feeds[name] = value;
  const part = await openPart(host, {
    ...choice,
    shapeOf: (name) => feeds[name]?.shape,
  });
  try {
    return await part.run(feeds);
  } finally {
    await part.release();
  }
}
