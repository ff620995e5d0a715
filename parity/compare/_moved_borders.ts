// Modules whose borders lie elsewhere in the candidate. An optimiser that folds the last node of one
// module into the first of the next leaves two modules whose borders hold another value than the
// reference's: each is off alone, and both together are not. Nobody is blamed for that.
//
// Invariant: only calls are cleared whose border was guessed, and only by a run on the reference's values.

import { boundaryOf } from "../../graph/module_boundary.ts";
import type { ComparedCall } from "./_compared_parts.ts";
import type { CallErrors } from "./_comparison.ts";
import { type LocalErrorHost, type LocalErrors, localErrors } from "./_local_errors.ts";
import { canonicalValue } from "./node_alignment.ts";

/** How many modules may be taken together, and in how many steps they are found. */
const MOST_TOGETHER = 8;
const MOST_STEPS = 4;

/** For calls that are off alone and good together with others, the paths of those others. */
export async function movedBorders(
  judged: readonly CallErrors[],
  host: LocalErrorHost,
  onProgress: (what: string) => void,
): Promise<ReadonlyMap<ComparedCall, readonly string[]>> {
  const moved = new Map<ComparedCall, readonly string[]>();
  const suspects = suspectsOf(judged, host);
  for (const { call, local } of judged) {
    if (!isGood(local)) continue;
    for (const inner of call.inside) {
      if (suspects.delete(inner)) moved.set(inner, [call.pair.module]);
    }
  }
  const leaves = judged.map(({ call }) => call).filter(({ pair, inside }) =>
    pair.module !== "" && inside.length === 0
  );
  for (const call of suspects) {
    if (call.inside.length > 0 || moved.has(call)) continue;
    onProgress(`looking for the border of ${call.pair.module}`);
    const together = await goodTogether(call, leaves, host);
    for (const one of together) {
      if (!suspects.has(one)) continue;
      const others = together.filter((other) => other !== one);
      moved.set(one, others.map(({ pair }) => pair.module));
    }
  }
  // What only holds such modules is as it is with others.
  for (const call of suspects) {
    const held = call.inside.filter((inner) => moved.has(inner));
    if (held.length === 0 || moved.has(call)) continue;
    const isOff = call.inside.some((inner) => suspects.has(inner) && !moved.has(inner));
    if (!isOff) moved.set(call, moved.get(held.at(-1) as ComparedCall) ?? []);
  }
  return moved;
}

/**
 * Calls that are off and have a guessed value at their border: those of other operators than the
 * reference's, and those that read what one of them puts out.
 */
function suspectsOf(
  judged: readonly CallErrors[],
  { candidate: { structure: { graph } }, values }: LocalErrorHost,
): Set<ComparedCall> {
  const off = judged.filter(({ call: { pair }, local }) =>
    pair.module !== "" && !isGood(local) && (local.failure !== null || local.byOutput.size > 0)
  ).map(({ call }) => call);
  const guessed = (names: readonly string[]): string[] =>
    names.filter((name) => values.isGuessed(name)).map((name) => canonicalValue(graph, name));
  const suspects = new Set<ComparedCall>();
  const doubtful = new Set<string>();
  for (const call of off) {
    const { inputs, outputs } = call.pair.candidate;
    const found = guessed([...inputs, ...outputs]);
    if (call.isSameStructure || found.length === 0) continue;
    suspects.add(call);
    for (const name of found) doubtful.add(name);
  }
  for (const call of off) {
    if (guessed(call.pair.candidate.inputs).some((name) => doubtful.has(name))) suspects.add(call);
  }
  return suspects;
}

function isGood({ byOutput, failure }: LocalErrors): boolean {
  const errors = [...byOutput.values()];
  return failure === null && errors.length > 0 && errors.every(({ error }) => error.ratio <= 1);
}

/** The calls that are good together, this one and its neighbours; none when there are no such calls. */
async function goodTogether(
  call: ComparedCall,
  leaves: readonly ComparedCall[],
  host: LocalErrorHost,
): Promise<readonly ComparedCall[]> {
  const { graph } = host.candidate.structure;
  const together = new Set([call]);
  for (let step = 0; step < MOST_STEPS; step++) {
    const border = boundaryOf(graph, nodesOf(together));
    const open = new Set(
      [...border.inputs, ...border.outputs].filter((name) => host.values.isGuessed(name))
        .map((name) => canonicalValue(graph, name)),
    );
    const neighbours = leaves.filter(({ pair: { candidate } }) =>
      [...candidate.inputs, ...candidate.outputs].some((name) =>
        open.has(canonicalValue(graph, name))
      )
    );
    const before = together.size;
    for (const one of neighbours) together.add(one);
    if (together.size === before || together.size > MOST_TOGETHER) return [];
    const nodes = nodesOf(together);
    const part = { nodes, ...boundaryOf(graph, nodes) };
    const errors = await localErrors(host, part, { isSameStructure: false, isOwn: false });
    if (isGood(errors)) return [...together];
  }
  return [];
}

function nodesOf(calls: Iterable<ComparedCall>): readonly number[] {
  const nodes = new Set([...calls].flatMap(({ pair }) => pair.candidate.nodes));
  return [...nodes].sort((left, right) => left - right);
}
