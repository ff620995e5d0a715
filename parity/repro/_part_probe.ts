// Runs some of a call's nodes alone, fed with the reference's values, and measures what they hand on.
// Folder-private.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";
import type { TensorError } from "../compare/compare_report.ts";
import { tensorError } from "../compare/tensor_error.ts";
import { type NodeGroup, outputsOf } from "./groups.ts";
import { type FedValue, fedValues, runFed } from "./_fed_values.ts";
import { comeFromOne, isSameShape, type KnownCall } from "./_known_values.ts";

/** A value that a group hands on. */
export interface GroupOutput {
  readonly name: string;
  readonly reference: string;
  /** What the candidate's nodes made of the inputs; null when they could not run. */
  readonly candidateValue: Tensor | null;
  readonly referenceValue: Tensor;
  /** Null when the nodes could not run. */
  readonly error: TensorError | null;
}

/** What running nodes alone showed. */
export interface PartProbe {
  /** The candidate's nodes, ascending. */
  readonly nodes: readonly number[];
  readonly inputs: readonly FedValue[];
  /** The worst first. */
  readonly outputs: readonly GroupOutput[];
  /**
   * The worst output's error in tolerances. Where the nodes could not run: Infinity when the whole call
   * cannot either, else 0, because then it is the cut that fails.
   */
  readonly ratio: number;
  /** Why the nodes could not run on these inputs, or null. */
  readonly problem: string | null;
}

/** Runs groups as one part. That ONNX Runtime refuses the part or fails in it is an answer, no error. */
export async function probeGroups(
  call: KnownCall,
  groups: readonly NodeGroup[],
): Promise<PartProbe> {
  const { host } = call.candidate;
  const { nodes, outputs } = outputsOf(host.structure.graph, groups);
  let inputs: readonly FedValue[] = [];
  let found: TensorMap | null = null;
  let problem: string | null = null;
  try {
    inputs = await fedValues(call, nodes);
    found = await runFed(host, { nodes, outputs }, inputs);
  } catch (error) {
    if (!(error instanceof HooklineError)) throw error;
    problem = error.message;
  }
  const measured = outputs.map((name) => measure(call, name, found));
  const ratioOf = ({ error }: GroupOutput): number => error?.ratio ?? Infinity;
  measured.sort((left, right) =>
    ratioOf(right) === ratioOf(left) ? 0 : ratioOf(right) - ratioOf(left)
  );
  const [worst] = measured;
  const isDecided = worst !== undefined && (problem === null || !call.isRunnable);
  const ratio = isDecided ? ratioOf(worst) : 0;
  return { nodes, inputs, outputs: measured, ratio, problem };
}

function measure(call: KnownCall, name: string, found: TensorMap | null): GroupOutput {
  const reference = call.anchors.get(name) as string;
  const candidateValue = found?.[name] ?? null;
  let referenceValue = call.values[reference] as Tensor;
  if (
    candidateValue !== null && !isSameShape(referenceValue, candidateValue) &&
    candidateValue.data.length === referenceValue.data.length &&
    // Values at the border may be folded otherwise, but one and the same operator gives one shape.
    call.partners.has(name) && !comeFromOne(call, name, reference)
  ) referenceValue = { ...referenceValue, shape: candidateValue.shape };
  const error = candidateValue === null
    ? null
    : tensorError(referenceValue, candidateValue, call.tolerance);
  return { name, reference, candidateValue, referenceValue, error };
}
