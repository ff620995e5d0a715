// Makes module paths out of the scopes that TorchScript's exporter writes into names. Scopes are lossy:
// containers that are never called leave no trace, so different modules share one scope, and a second
// use of a scope gets `_1`, like a name that really ends in `_1`. Parameters, which keep their full
// path, tell these apart. It knows scopes and parameter names; nodes and modules are for others.
//
// Source: PyTorch torch/csrc/jit/passes/onnx/naming.cpp: one scope per call, numbered by first use
// among scopes of equal text; only the innermost segment shows the number.

import { childPath, pathComponents } from "./module_path.ts";
import type { ParameterNames } from "./_parameter_names.ts";

/** A scope as it stands in names, with what is known of it. */
export interface ScopeUse {
  /** The text: `/resnets.0/norm1_1`; `""` is the root. */
  readonly scope: string;
  /** Modules whose parameters nodes of this scope alone use. */
  readonly votes: readonly string[];
  /** Where it is first used, in the order of the trace. */
  readonly position: number;
}

/** What a scope stands for. */
export interface AlignedScope {
  /** The module's full path. */
  readonly path: string;
  /** Which use of the scope's text this is, from 0; calls and collisions count alike. */
  readonly use: number;
  /** Paths on the way down that the scope shows to have been called, the last one included. */
  readonly calledPaths: readonly string[];
  /** True when a final number might also belong to the name. */
  readonly isAmbiguous: boolean;
}

/** Neighbours looked at on either side of an unaligned scope. */
const NEIGHBOUR_COUNT = 24;
const SUFFIX = /^(.+)_([1-9]\d{0,8})$/;

interface Scope {
  readonly text: string;
  readonly votes: readonly string[];
  readonly position: number;
  /** Canonical components, the use number still on the last one. */
  readonly raw: readonly string[];
  /** For each segment of the text the number of components up to its end. */
  readonly segmentEnds: readonly number[];
  /** Canonical components without the use number. */
  components: readonly string[];
  use: number;
  isAmbiguous: boolean;
  /** The full path's components once known. */
  full: readonly string[] | null;
}

/** Components of a scope: `/features/features.10/block` gives `features`, `10`, `block`. */
export function scopeComponents(text: string): { components: string[]; segmentEnds: number[] } {
  const components: string[] = [];
  const segmentEnds: number[] = [];
  let previous: string | null = null;
  for (const segment of text.split("/")) {
    if (segment === "") continue;
    const rest: string = previous !== null && segment.startsWith(`${previous}.`)
      ? segment.slice(previous.length + 1)
      : segment;
    for (const part of rest.split(".")) if (part !== "") components.push(part);
    segmentEnds.push(components.length);
    previous = segment;
  }
  return { components, segmentEnds };
}

/** Aligns all scopes of a model; the result is keyed by the scopes' text. */
export function alignScopes(
  uses: readonly ScopeUse[],
  parameters: ParameterNames,
): Map<string, AlignedScope> {
  const scopes = uses.map((use): Scope => {
    const { components, segmentEnds } = scopeComponents(use.scope);
    return {
      text: use.scope,
      votes: use.votes,
      position: use.position,
      raw: components,
      segmentEnds,
      components,
      use: 0,
      isAmbiguous: false,
      full: null,
    };
  });
  stripUseNumbers(scopes, parameters);
  if (alignByParameters(scopes, parameters)) alignByNeighbours(scopes, parameters);
  const found = new Map<string, AlignedScope>();
  for (const scope of scopes) found.set(scope.text, finish(scope));
  return found;
}

/** Takes `_N` off the last component where it numbers uses and is not part of the name. */
function stripUseNumbers(scopes: readonly Scope[], parameters: ParameterNames): void {
  const texts = new Set(scopes.map((scope) => scope.raw.join(".")));
  // A parent whose nodes all lie in children shows only as a prefix of their scopes.
  for (const scope of scopes) {
    for (const end of scope.segmentEnds.slice(0, -1)) texts.add(scope.raw.slice(0, end).join("."));
  }
  for (const scope of scopes) {
    const last = scope.raw[scope.raw.length - 1];
    const match = last === undefined ? null : SUFFIX.exec(last);
    if (match === null || parameters.isRun(scope.raw.join("."))) continue;
    const stripped = [...scope.raw.slice(0, -1), match[1] ?? ""];
    const base = stripped.join(".");
    const isRun = parameters.isRun(base);
    const use = Number(match[2]);
    const hasEarlierUse = use === 1 ? texts.has(base) : texts.has(`${base}_${use - 1}`);
    if (!isRun && !(hasEarlierUse && texts.has(base))) continue;
    scope.components = stripped;
    scope.use = use;
    scope.isAmbiguous = !isRun;
  }
}

/** Positions in `full` that `part` matches as a subsequence from the right, or null. */
function subsequencePositions(part: readonly string[], full: readonly string[]): number[] | null {
  const positions = new Array<number>(part.length);
  let from = full.length - 1;
  for (let index = part.length - 1; index >= 0; index--) {
    while (from >= 0 && full[from] !== part[index]) from--;
    if (from < 0) return null;
    if (index === part.length - 1 && from !== full.length - 1) return null;
    positions[index] = from--;
  }
  return positions;
}

/** Aligns the scopes that parameters speak for; true when any of them had lost a container. */
function alignByParameters(scopes: readonly Scope[], parameters: ParameterNames): boolean {
  let hasLostContainers = false;
  for (const scope of scopes) {
    if (scope.raw.length === 0) {
      scope.full = [];
      continue;
    }
    for (const components of [scope.raw, scope.components]) {
      const vote = bestVote(components, scope.votes);
      if (vote === null) continue;
      if (components === scope.raw && scope.use > 0) {
        scope.components = scope.raw;
        scope.use = 0;
        scope.isAmbiguous = false;
      }
      scope.full = pathComponents(vote);
      if (scope.full.length !== components.length) hasLostContainers = true;
      break;
    }
  }
  for (const scope of scopes) {
    if (scope.full !== null) continue;
    const path = scope.components.join(".");
    if (parameters.modulePaths.has(path)) {
      if (!hasLostContainers) scope.full = scope.components;
      continue;
    }
    const only = onlyCandidate(scope.components, parameters);
    if (only === null) continue;
    scope.full = only;
    hasLostContainers = true;
  }
  return hasLostContainers;
}

/** The vote with the fewest restored components. */
function bestVote(components: readonly string[], votes: readonly string[]): string | null {
  let best: string | null = null;
  let bestLength = Infinity;
  for (const vote of votes) {
    const full = pathComponents(vote);
    if (full.length >= bestLength || subsequencePositions(components, full) === null) continue;
    best = vote;
    bestLength = full.length;
  }
  return best;
}

/** The one module path that a lossy path can stand for, or null. */
function onlyCandidate(
  components: readonly string[],
  parameters: ParameterNames,
): readonly string[] | null {
  let found: readonly string[] | null = null;
  for (const path of parameters.pathsEndingIn(components[components.length - 1] ?? "")) {
    const full = pathComponents(path);
    if (subsequencePositions(components, full) === null) continue;
    if (found !== null) return null;
    found = full;
  }
  return found;
}

/** Gives each remaining scope the lost prefix of an aligned one near it that shares its beginning. */
function alignByNeighbours(scopes: readonly Scope[], parameters: ParameterNames): void {
  const ordered = [...scopes].sort((left, right) => left.position - right.position);
  const useCounts = new Map<string, number>();
  for (const scope of scopes) {
    const key = scope.components.join(".");
    useCounts.set(key, Math.max(useCounts.get(key) ?? 0, scope.use + 1));
  }
  const byPrefix = new Map<string, Scope[]>();
  const aligned: Scope[] = [];
  for (const scope of ordered) {
    if (scope.full === null || scope.raw.length === 0) continue;
    aligned.push(scope);
    for (let length = 1; length <= scope.components.length; length++) {
      const key = scope.components.slice(0, length).join(".");
      const same = byPrefix.get(key);
      if (same === undefined) byPrefix.set(key, [scope]);
      else same.push(scope);
    }
  }
  for (const scope of ordered) {
    if (scope.full !== null) continue;
    const depth = scope.components.length;
    const key = scope.components.join(".");
    const sharing = byPrefix.get(key) ??
      (depth > 1 ? byPrefix.get(scope.components.slice(0, -1).join(".")) : undefined);
    if (sharing !== undefined) {
      const shared = byPrefix.has(key) ? depth : depth - 1;
      const neighbour = nearest(scope, sharing, useCounts);
      const positions = subsequencePositions(neighbour.components, neighbour.full ?? []) ?? [];
      const end = positions[shared - 1] ?? -1;
      scope.full = [
        ...(neighbour.full ?? []).slice(0, end + 1),
        ...scope.components.slice(shared),
      ];
    } else if (!parameters.modulePaths.has(key)) {
      scope.full = [...commonLostPrefix(scope, aligned), ...scope.components];
    } else scope.full = scope.components;
  }
}

/** Index of the first scope at or after a position. */
function lowerBound(ordered: readonly Scope[], position: number): number {
  let low = 0;
  let high = ordered.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ordered[middle]?.position ?? 0) < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The aligned scope that most likely belongs to the same call: scopes of one call carry corresponding
 * use numbers; among those, and else among all, the nearest, the earlier one first.
 */
function nearest(
  scope: Scope,
  candidates: readonly Scope[],
  useCounts: ReadonlyMap<string, number>,
): Scope {
  const at = lowerBound(candidates, scope.position);
  const near = candidates.slice(Math.max(0, at - NEIGHBOUR_COUNT), at + NEIGHBOUR_COUNT);
  const ownCount = useCounts.get(scope.components.join(".")) ?? 1;
  let best = near[0] as Scope;
  let bestScore = Infinity;
  for (const candidate of near) {
    const count = useCounts.get(candidate.components.join(".")) ?? 1;
    const corresponds = (ownCount % count === 0 || count % ownCount === 0) &&
      Math.floor(scope.use * Math.min(1, count / ownCount)) ===
        Math.floor(candidate.use * Math.min(1, ownCount / count));
    const distance = Math.abs(candidate.position - scope.position) * 2 +
      (candidate.position > scope.position ? 1 : 0);
    const score = distance + (corresponds ? 0 : 2 ** 40);
    if (score < bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return best;
}

/** What the aligned scopes before and after have both lost in front of their first component. */
function commonLostPrefix(scope: Scope, aligned: readonly Scope[]): readonly string[] {
  const at = lowerBound(aligned, scope.position);
  const before = lostPrefix(aligned[at - 1]);
  const after = lostPrefix(aligned[at]);
  return before !== null && after !== null && before.join(".") === after.join(".") ? before : [];
}

function lostPrefix(scope: Scope | undefined): readonly string[] | null {
  if (scope === undefined || scope.full === null) return null;
  const positions = subsequencePositions(scope.components, scope.full);
  return positions === null ? null : scope.full.slice(0, positions[0] ?? 0);
}

function finish(scope: Scope): AlignedScope {
  const full = scope.full ?? scope.components;
  const positions = subsequencePositions(scope.components, full) ?? [];
  const calledPaths = [""];
  for (const end of scope.segmentEnds) {
    const position = positions[end - 1];
    if (position !== undefined) calledPaths.push(full.slice(0, position + 1).join("."));
  }
  return {
    path: full.reduce((path, part) => childPath(path, part), ""),
    use: scope.use,
    calledPaths,
    isAmbiguous: scope.isAmbiguous,
  };
}
