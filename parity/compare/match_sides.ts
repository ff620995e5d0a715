// Everything that belongs together in two models, before anything runs: modules, then the values at their
// borders, then the parts of the candidate as they will be run.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { ModelGraph } from "../../graph/model_graph.ts";
import type { ValueType } from "../../graph/sub_model.ts";
import { type ComparedCall, comparedCalls, settledCalls } from "./_compared_parts.ts";
import { matchModules } from "./module_match.ts";
import type { CallPair, ModuleMatch } from "./module_pairs.ts";
import type { PartHost } from "./part_run.ts";
import { matchValues, type TypedSide, type ValueMatch } from "./value_match.ts";

/** Two models side by side. */
export interface MatchedSides {
  /** The pairs are those of `calls`. */
  readonly match: ModuleMatch;
  readonly values: ValueMatch;
  /** In the order in which the reference ends them; the model itself last. */
  readonly calls: readonly ComparedCall[];
  /** The types of all values that can leave ONNX Runtime. */
  readonly types: { readonly reference: TypedSide; readonly candidate: TypedSide };
}

/**
 * Matches two models.
 *
 * @param map Renames that the caller gives: `REFERENCE_PREFIX=CANDIDATE_PREFIX`.
 * @throws {HooklineError} COMPARE_INCOMPARABLE, OPTION_INVALID for a rename that is none, SESSION_CREATE
 * when ONNX Runtime refuses a model.
 */
export async function matchSides(
  reference: PartHost,
  candidate: PartHost,
  map: readonly string[] = [],
): Promise<MatchedSides> {
  return await settledSides(
    reference,
    candidate,
    matchModules(reference.structure, candidate.structure, map),
  );
}

/** Matches the values of two models whose modules are matched. */
export async function settledSides(
  reference: PartHost,
  candidate: PartHost,
  match: ModuleMatch,
): Promise<MatchedSides> {
  const types = {
    reference: await typedSide(reference),
    candidate: await typedSide(candidate),
  };
  const wanted = comparedCalls(reference.structure, candidate.structure, match.pairs);
  const values = matchValues(types.reference, types.candidate, match, wanted);
  const calls = settledCalls(
    wanted,
    values,
    reference.structure.graph,
    candidate.structure.graph,
  );
  const settled = new Map(calls.map(({ pair }) => [pairKey(pair), pair]));
  const pairs = match.pairs.map((pair) => settled.get(pairKey(pair)) ?? pair);
  return { match: { ...match, pairs }, values, calls, types };
}

/** What tells a pair from the others. */
export function pairKey({ module, call }: CallPair): string {
  return `${call} ${module}`;
}

/** The types of values, those that cannot leave ONNX Runtime left out. */
async function typedSide(host: PartHost): Promise<TypedSide> {
  const { structure, types } = host;
  const { graph } = structure;
  let wanted = [...new Set([...graph.inputs, ...graph.outputs, ...computedValues(graph)])]
    .filter((name) => !graph.isConstantValue(name));
  for (;;) {
    try {
      const found: ReadonlyMap<string, ValueType> = await types.require(wanted);
      return { structure, types: found };
    } catch (error) {
      if (!(error instanceof HooklineError) || error.code !== "PLAN_VALUE_TYPE") throw error;
      const impossible = new Set(error.details["values"] as readonly string[]);
      wanted = wanted.filter((name) => !impossible.has(name));
    }
  }
}

function computedValues(graph: ModelGraph): string[] {
  return graph.nodes.flatMap(({ isConstant, outputs }) =>
    isConstant ? [] : outputs.filter((value) => value !== "")
  );
}
