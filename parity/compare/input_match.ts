// Which input of the reference feeds which input of the candidate: by name, else by order where kind and
// rank agree. It knows what inputs declare, no values.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { ModelStructure } from "../../pipeline/model_structure.ts";
import type { ValueSpec } from "../../sessions/engine.ts";
import { dtypeClass } from "./cast_tensor.ts";

/**
 * The reference's input for each input of the candidate: by name, else by order.
 *
 * @throws {HooklineError} COMPARE_INCOMPARABLE when one has no partner.
 */
export function matchInputs(
  reference: ModelStructure,
  candidate: ModelStructure,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const isAlike = (one: ValueSpec, other: ValueSpec): boolean =>
    one.dtype !== null && other.dtype !== null &&
    dtypeClass(one.dtype) === dtypeClass(other.dtype) &&
    (one.shape === null || other.shape === null || one.shape.length === other.shape.length);
  let left = [...reference.inputs];
  const right = candidate.inputs.filter((input) => {
    const partner = left.find((one) => one.name === input.name && isAlike(one, input));
    if (partner === undefined) return true;
    found.set(input.name, partner.name);
    left = left.filter((one) => one !== partner);
    return false;
  });
  for (const input of right) {
    const partner = left.find((one) => isAlike(one, input));
    if (partner === undefined) throw otherInputs(reference, candidate, input);
    found.set(input.name, partner.name);
    left = left.filter((one) => one !== partner);
  }
  return found;
}

/** What to call a model beside another that may have the same file name. */
export function pathOf({ skeleton: { origin, label } }: ModelStructure): string {
  return origin.kind === "file" ? origin.path : label;
}

function otherInputs(
  reference: ModelStructure,
  candidate: ModelStructure,
  input: ValueSpec,
): HooklineError {
  const list = (inputs: readonly ValueSpec[]): string =>
    inputs.map(({ name, dtype, shape }) =>
      `${name} ${dtype ?? "no tensor"}${
        shape === null ? "" : `[${shape.map((size) => size ?? "?").join(", ")}]`
      }`
    ).join(", ") || "nothing";
  return new HooklineError("COMPARE_INCOMPARABLE", {
    message: `cannot compare "${pathOf(reference)}" with "${
      pathOf(candidate)
    }": the candidate's input "${input.name}" has no partner; the reference takes ${
      list(reference.inputs)
    }, the candidate ${list(candidate.inputs)}`,
    fix: "compare two exports of one network, with the same inputs",
    details: {
      input: input.name,
      reference: reference.inputs.map(({ name }) => name),
      candidate: candidate.inputs.map(({ name }) => name),
    },
  });
}
