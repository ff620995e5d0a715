// Finds the smallest group of nodes that still shows an error. Runs of groups between anchors are fed
// with the reference's values and judged at what they hand on. A run that shows nothing is done with; one
// that shows is halved; one whose halves show nothing (a fusion that only the whole allows) is trimmed
// from both ends.
//
// Invariant: what is found was run alone on the candidate's engine and settings, and shows the error.

import type { NodeGroup } from "./groups.ts";
import { type ErringCall, knowCall, type KnownCall } from "./_known_values.ts";
import { type PartProbe, probeGroups } from "./_part_probe.ts";

/** How to search. */
export interface BisectOptions {
  /** Nodes of the candidate's call to look among first, such as those in no call inside it. */
  readonly scope?: readonly number[];
  /** Parts that may be run before the worst found so far is taken; 256 when left out. */
  readonly runLimit?: number;
}

/** Nodes that show the error when they are fed with the reference's values. */
export interface FoundGroup extends PartProbe {
  /** What the search knew of the call. */
  readonly call: KnownCall;
  /** Parts that were run. */
  readonly runs: number;
}

const RUN_LIMIT = 256;

/**
 * The smallest group of the call's nodes that shows the error, the worst where there are several. Null
 * when not even all of them together show it.
 *
 * @throws {HooklineError} PLAN_VALUE_TYPE, SESSION_CREATE, SESSION_RUN or a FEED_ code when the reference
 * itself cannot be run.
 */
export async function bisect(
  call: ErringCall,
  options: BisectOptions = {},
): Promise<FoundGroup | null> {
  const { scope, runLimit = RUN_LIMIT } = options;
  const { nodes } = call.candidate;
  if (scope !== undefined && scope.length < nodes.length) {
    const found = await searchIn(await knowCall(call, scope), runLimit);
    if (found !== null) return found;
  }
  return await searchIn(await knowCall(call, nodes), runLimit);
}

/** A run of groups, and how far it is off. */
interface Window {
  readonly groups: readonly NodeGroup[];
  readonly ratio: number;
}

async function searchIn(call: KnownCall, runLimit: number): Promise<FoundGroup | null> {
  let runs = 0;
  const judge = async (groups: readonly NodeGroup[]): Promise<Window> => {
    runs++;
    return { groups, ratio: (await probeGroups(call, groups)).ratio };
  };
  if (call.groups.length === 0) return null;
  const waiting = [await judge(call.groups)].filter(shows);
  let worst: Window | null = null;
  // The worst first: when the limit ends the search, what it has is worth most.
  for (let window = waiting.pop(); window !== undefined; window = waiting.pop()) {
    if (window.groups.length === 1 || (runs >= runLimit && worst === null)) {
      worst = worse(call, worst, window);
    } else if (runs < runLimit) {
      const middle = window.groups.length >> 1;
      const halves = [
        await judge(window.groups.slice(0, middle)),
        await judge(window.groups.slice(middle)),
      ].filter(shows);
      if (halves.length === 0) worst = worse(call, worst, await trim(window, judge));
      waiting.push(...halves);
      waiting.sort((left, right) => left.ratio === right.ratio ? 0 : left.ratio - right.ratio);
    }
  }
  return worst === null ? null : { ...await probeGroups(call, worst.groups), call, runs };
}

function shows({ ratio }: Window): boolean {
  return !(ratio <= 1);
}

/** The worse of two; a cast that rounds is what everything else in its precision does as well. */
function worse({ candidate }: KnownCall, known: Window | null, found: Window): Window {
  if (known === null) return found;
  const { graph } = candidate.host.structure;
  const computes = ({ groups }: Window): boolean =>
    groups.some(({ nodes }) =>
      nodes.some((index) => !/^(Cast|Identity)$/.test(graph.nodes[index]?.opType ?? ""))
    );
  if (computes(known) !== computes(found)) return computes(found) ? found : known;
  return found.ratio > known.ratio ? found : known;
}

/** Takes groups away from the beginning, then from the end, in ever smaller steps. */
async function trim(
  whole: Window,
  judge: (groups: readonly NodeGroup[]) => Promise<Window>,
): Promise<Window> {
  let window = whole;
  for (const fromStart of [true, false]) {
    for (let step = window.groups.length >> 1; step >= 1;) {
      const { groups } = window;
      const rest = step >= groups.length
        ? []
        : fromStart
        ? groups.slice(step)
        : groups.slice(0, -step);
      const shorter = rest.length === 0 ? null : await judge(rest);
      if (shorter !== null && shows(shorter)) window = shorter;
      else step >>= 1;
    }
  }
  return window;
}
