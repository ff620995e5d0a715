// What is known before a call is taken apart: which of the candidate's values mean what in the reference,
// and what the reference computes for them. Pairs that cannot be true are dropped here, so that nothing
// is fed with a value of another meaning. Folder-private.

import { boundaryOf } from "../../graph/module_boundary.ts";
import type { DType } from "../../tensor/dtype.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import { dtypeClass } from "../compare/cast_tensor.ts";
import type { PartHost } from "../compare/part_run.ts";
import {
  type CompareTolerance,
  compareTolerance,
  type CompareToleranceOptions,
  tensorError,
} from "../compare/tensor_error.ts";
import { type Anchor, anchorValues } from "./anchors.ts";
import { fedValues, runFed } from "./_fed_values.ts";
import { groupsBetween, type NodeGroup } from "./groups.ts";
import { sideValues, typesThatLeave } from "./_side_values.ts";

/** One side of a call that errs. */
export interface CallSide {
  readonly host: PartHost;
  /** The model's inputs by name. */
  readonly feeds: TensorMap;
  /** Nodes of the call. */
  readonly nodes: readonly number[];
}

/** A call of which it is known that it errs. */
export interface ErringCall {
  readonly reference: CallSide;
  readonly candidate: CallSide;
  /** Values that the candidate's call hands on. */
  readonly outputs: readonly string[];
  /** Values that mean the same, the call's inputs and outputs among them: candidate's name to reference's. */
  readonly partners: ReadonlyMap<string, string>;
  /** What may differ between tensors of two dtypes, where it is not the usual. */
  readonly toleranceOf?: (reference: DType, candidate: DType) => CompareTolerance;
}

/** A call with everything that its parts are fed with and judged by. */
export interface KnownCall extends ErringCall {
  /** Candidate's values with a partner, to the reference's name. */
  readonly anchors: ReadonlyMap<string, string>;
  /** Groups of the candidate's nodes between them, in execution order. */
  readonly groups: readonly NodeGroup[];
  /** The reference's values by the reference's names. */
  readonly values: TensorMap;
  /** What may differ in any float of the call; nothing where the call hands on no float. */
  readonly tolerance: CompareToleranceOptions;
  /** True when the candidate's call runs on the reference's inputs: then a part that cannot proves nothing. */
  readonly isRunnable: boolean;
}

/** Values that only share a name are believed to be the same from this cosine on. */
const LEAST_COSINE = 0.7;

/**
 * Pairs values inside the call and runs the reference for them.
 *
 * @param scope Nodes of the candidate's call that groups may end in.
 * @throws {HooklineError} what the reference's run throws.
 */
export async function knowCall(call: ErringCall, scope: readonly number[]): Promise<KnownCall> {
  const found = anchorValues({
    reference: { graph: call.reference.host.structure.graph, nodes: call.reference.nodes },
    candidate: { graph: call.candidate.host.structure.graph, nodes: call.candidate.nodes },
    partners: call.partners,
  });
  const possible = await ofOneKind(call, found, scope);
  const { graph } = call.candidate.host.structure;
  const values = await sideValues(
    call.reference.host,
    call.reference.feeds,
    [...possible.values()].map(({ reference }) => reference),
  );
  const tolerance = await coarsestTolerance(call);
  const own = await ownValues(call, { possible, values });
  const anchors = agreeing(call, { possible, values, own });
  return {
    ...call,
    anchors,
    values,
    tolerance,
    isRunnable: own !== null,
    groups: groupsBetween(graph, {
      nodes: call.candidate.nodes,
      scope,
      anchors: new Set(anchors.keys()),
    }),
  };
}

/** The anchors that the groups of the scope begin and end with, of those whose types are of one kind. */
async function ofOneKind(
  { reference, candidate }: ErringCall,
  anchors: ReadonlyMap<string, Anchor>,
  scope: readonly number[],
): Promise<Map<string, Anchor>> {
  const { graph } = candidate.host.structure;
  const wanted = await typesThatLeave(candidate.host, [...anchors.keys()]);
  const given = await typesThatLeave(
    reference.host,
    [...new Set([...anchors.values()].map((anchor) => anchor.reference))],
  );
  const possible = new Map([...anchors].filter(([value, anchor]) => {
    const [left, right] = [wanted.get(value), given.get(anchor.reference)];
    return left !== undefined && right !== undefined &&
      dtypeClass(left.dtype) === dtypeClass(right.dtype);
  }));
  const groups = groupsBetween(graph, {
    nodes: candidate.nodes,
    scope,
    anchors: new Set(possible.keys()),
  });
  const needed = new Set([
    ...boundaryOf(graph, candidate.nodes).inputs,
    ...groups.flatMap(({ nodes, outputs }) => [...outputs, ...boundaryOf(graph, nodes).inputs]),
  ]);
  return new Map([...possible].filter(([value]) => needed.has(value)));
}

/**
 * The tolerance of the call's coarsest float, outputs before inputs: what is finer or coarser inside is
 * judged by what the call promises outside.
 */
async function coarsestTolerance(call: ErringCall): Promise<CompareToleranceOptions> {
  const { outputs, partners, reference, candidate, toleranceOf = compareTolerance } = call;
  const left = await typesThatLeave(candidate.host, [...outputs, ...partners.keys()]);
  const right = await typesThatLeave(reference.host, [...new Set(partners.values())]);
  for (const names of [outputs, partners.keys()]) {
    let coarsest: CompareTolerance | null = null;
    for (const value of names) {
      const found = left.get(value)?.dtype;
      const wanted = right.get(partners.get(value) ?? "")?.dtype;
      if (found === undefined || wanted === undefined || dtypeClass(found) !== "float") continue;
      const tolerance = toleranceOf(wanted, found);
      if (coarsest === null || tolerance.rtol > coarsest.rtol) coarsest = tolerance;
    }
    if (coarsest !== null) return coarsest;
  }
  return {};
}

/**
 * Drops pairs that cannot be true: values found by wiring of another shape; given ones of another number
 * of elements that come from another operator, for an operator that errs may well give another shape;
 * values of one name that do not even resemble each other. Where the call could not run, the wiring is
 * believed and names are not.
 */
function agreeing(
  call: ErringCall,
  { possible, values, own }: {
    readonly possible: ReadonlyMap<string, Anchor>;
    readonly values: TensorMap;
    readonly own: TensorMap | null;
  },
): ReadonlyMap<string, string> {
  const agrees = (value: string, { reference, by }: Anchor): boolean => {
    const [wanted, found] = [values[reference], own?.[value]];
    if (wanted === undefined || found === undefined) return by !== "name";
    if (by === "given") {
      return wanted.data.length === found.data.length || comeFromOne(call, value, reference);
    }
    return isSameShape(wanted, found) &&
      (by === "wiring" || tensorError(wanted, found).cosine >= LEAST_COSINE);
  };
  return new Map(
    [...possible].filter(([value, anchor]) => agrees(value, anchor))
      .map(([value, { reference }]) => [value, reference]),
  );
}

/** True when operators of one kind compute two values. */
export function comeFromOne(call: ErringCall, value: string, partner: string): boolean {
  const operatorOf = ({ host: { structure: { graph } } }: CallSide, name: string): string => {
    const producer = graph.producerOf(name);
    return producer === undefined ? "" : graph.nodes[producer]?.opType ?? "";
  };
  return operatorOf(call.candidate, value) === operatorOf(call.reference, partner);
}

/** True when two tensors have the same sizes. */
export function isSameShape({ shape }: Tensor, other: Tensor): boolean {
  return shape.length === other.shape.length &&
    shape.every((size, axis) => size === other.shape[axis]);
}

/** The candidate's values when the call is fed with the reference's; null when it cannot run on them. */
async function ownValues(
  { candidate, outputs }: ErringCall,
  { possible, values }: {
    readonly possible: ReadonlyMap<string, Anchor>;
    readonly values: TensorMap;
  },
): Promise<TensorMap | null> {
  const { host, nodes } = candidate;
  const anchors = new Map([...possible].map(([value, { reference }]) => [value, reference]));
  const inside = new Set(nodes);
  const computed = [...outputs, ...possible.keys()].filter((value) => {
    const producer = host.structure.graph.producerOf(value);
    return producer !== undefined && inside.has(producer);
  });
  try {
    const fed = await fedValues({ candidate, anchors, values }, nodes);
    return await runFed(host, { nodes, outputs: computed }, fed);
  } catch (error) {
    if (error instanceof HooklineError) return null;
    throw error;
  }
}
