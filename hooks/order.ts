// The order of a module's hooks, as one frozen value. It owns the ordering rule and its explanation;
// it does not run anything and does not know how hooks come and go. Invariant: the order depends on
// the set of hooks alone, never on when they were registered. Names compare by code unit, because
// a locale's order would differ between machines.

import { HooklineError } from "../errors/hookline_error.ts";
import type { RegisteredHook } from "./admission.ts";
import type { HookAccess } from "./model_hook.ts";

/** Where a hook stands. */
export type HookPlace =
  | "raw observer"
  | "transformer"
  | "replacer"
  | "final observer";

/** One line of an explained order. */
export interface OrderLine {
  /** The hook that the line speaks of. */
  readonly name: string;
  /** Where it stands, `ignored` for an edge without effect, `missing` for an absent requirement. */
  readonly place: HookPlace | "ignored" | "missing";
  /** Why, in words. */
  readonly because: string;
}

/** The hooks of a module in the order in which one call runs them; frozen. */
export interface HookOrder {
  /** The module's path. */
  readonly module: string;
  /** All hooks as they are entered: raw observers, transformers A to Z, replacers, final observers. */
  readonly entering: readonly RegisteredHook[];
  /** All hooks as they are left: raw observers, replacers, transformers Z to A, final observers. */
  readonly leaving: readonly RegisteredHook[];
  /** The replacing hooks, outermost first. Empty, one, or several that agreed to chain. */
  readonly replacers: readonly RegisteredHook[];
  /** The accesses that occur, sorted: what a plan must provide. */
  readonly accesses: readonly HookAccess[];
  /** Whether any hook wants the module's inputs. When false, `enter` may be given an empty map. */
  readonly readsInputs: boolean;
  /** Whether any `postForward` wants the inputs, so that they must outlive the forward. */
  readonly keepsInputs: boolean;
  /** Absent `requires` targets; a run refuses to start while there are any. */
  readonly missing: readonly { readonly hook: string; readonly name: string }[];
  /** The order with its reasons, then what had no effect. */
  readonly lines: readonly OrderLine[];
  /** Canonical text of all that decides the order: equal orders have equal keys. Hash it for a plan. */
  readonly key: string;
}

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly owner: string;
}

const INNERMOST = "the rule that a replacing hook is innermost";

function byName(left: { name: string }, right: { name: string }): number {
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}

/** The edges among `onion`, and a line for each declared edge that has no effect. */
function collectEdges(
  hooks: readonly RegisteredHook[],
  onion: ReadonlyMap<string, RegisteredHook>,
): { edges: Edge[]; ignored: OrderLine[] } {
  const edges: Edge[] = [];
  const ignored: OrderLine[] = [];
  const present = new Set(hooks.map((hook) => hook.name));
  for (const hook of hooks) {
    for (const field of ["before", "after"] as const) {
      for (const target of hook[field]) {
        const owner = `${hook.name}.${field}`;
        if (!onion.has(hook.name) || (present.has(target) && !onion.has(target))) {
          ignored.push({
            name: hook.name,
            place: "ignored",
            because: `${owner} names "${target}", but observers stand outside the order`,
          });
        } else if (!present.has(target)) {
          ignored.push({
            name: hook.name,
            place: "ignored",
            because: `${owner} names "${target}", which is not registered here`,
          });
        } else {
          edges.push(
            field === "before"
              ? { from: hook.name, to: target, owner }
              : { from: target, to: hook.name, owner },
          );
        }
      }
    }
  }
  // The rule as edges: one mechanism then sorts the replacer last and reports who would be inside it.
  for (const outer of onion.values()) {
    if (outer.access === "replace") continue;
    for (const inner of onion.values()) {
      if (inner.access !== "replace") continue;
      edges.push({ from: outer.name, to: inner.name, owner: INNERMOST });
    }
  }
  return { edges, ignored };
}

/** One concrete circle among names that all have a predecessor left, starting at its smallest name. */
function findCycle(remaining: readonly string[], edges: readonly Edge[]): Edge[] {
  const left = new Set(remaining);
  const path: Edge[] = [];
  const seenAt = new Map<string, number>();
  let name = remaining[0] ?? "";
  while (!seenAt.has(name)) {
    seenAt.set(name, path.length);
    const back = edges
      .filter((edge) => edge.to === name && left.has(edge.from))
      .sort((a, b) => a.from < b.from ? -1 : a.from > b.from ? 1 : 0)[0];
    if (back === undefined) break;
    path.push(back);
    name = back.from;
  }
  const cycle = path.slice(seenAt.get(name) ?? 0).reverse();
  const smallest = cycle.reduce(
    (best, edge, index) => edge.from < (cycle[best]?.from ?? "") ? index : best,
    0,
  );
  return [...cycle.slice(smallest), ...cycle.slice(0, smallest)];
}

function cycleError(module: string, cycle: readonly Edge[]): HooklineError {
  const names = [...cycle.map((edge) => edge.from), cycle[0]?.from ?? ""];
  const owners = cycle.map((edge) => `${edge.from} -> ${edge.to} by ${edge.owner}`);
  return new HooklineError("HOOK_ORDER_CYCLE", {
    message: `cannot order the hooks of "${module}": ${names.join(" -> ")} (${owners.join("; ")})`,
    fix: "drop one of these before or after edges",
    details: { module, cycle: names, owners },
  });
}

/** The lexicographically smallest topological order: always the smallest name that is ready. */
function sortOnion(
  module: string,
  onion: ReadonlyMap<string, RegisteredHook>,
  edges: readonly Edge[],
): RegisteredHook[] {
  const waiting = [...onion.values()].sort(byName);
  const sorted: RegisteredHook[] = [];
  while (waiting.length > 0) {
    const names = new Set(waiting.map((hook) => hook.name));
    const ready = waiting.findIndex((hook) =>
      !edges.some((edge) => edge.to === hook.name && names.has(edge.from))
    );
    const [next] = ready < 0 ? [] : waiting.splice(ready, 1);
    if (next === undefined) {
      throw cycleError(module, findCycle([...names], edges));
    }
    sorted.push(next);
  }
  return sorted;
}

function reasonInOnion(hook: RegisteredHook, edges: readonly Edge[]): string {
  const after = edges
    .filter((edge) => edge.to === hook.name && edge.owner !== INNERMOST)
    .map((edge) => `inside "${edge.from}" (${edge.owner})`);
  if (hook.access === "replace") after.unshift("innermost: it replaces the forward");
  return after.length === 0 ? "by name" : after.join(", ");
}

/**
 * The order of a module's hooks.
 *
 * Observers stand apart, by name. The others form the onion: the lexicographically smallest
 * topological order of their `before` and `after` edges, which without edges is alphabetical, with
 * replacing hooks innermost. An edge to an absent hook or an observer is ignored and listed in
 * `lines`. An absent `requires` target is listed in `missing`; that is an error when a run starts
 * and not here, so that hooks which require one another can be registered in any order.
 *
 * @throws {HooklineError} HOOK_ORDER_CYCLE when edges form a circle, or would put a transformer
 * inside a replacing hook. The message prints one circle and who owns each edge.
 */
export function hookOrder(
  hooks: readonly RegisteredHook[],
  module: string,
): HookOrder {
  const all = [...hooks].sort(byName);
  const observers = all.filter((hook) => hook.access === "observe");
  const raw = observers.filter((hook) => hook.observes === "raw");
  const final = observers.filter((hook) => hook.observes === "final");
  const onion = new Map(
    all.filter((hook) => hook.access !== "observe")
      .map((hook) => [hook.name, hook]),
  );
  const { edges, ignored } = collectEdges(all, onion);
  const sorted = sortOnion(module, onion, edges);
  const names = new Set(all.map((hook) => hook.name));
  const missing = all.flatMap((hook) =>
    hook.requires.filter((name) => !names.has(name))
      .map((name) => ({ hook: hook.name, name }))
  );
  const observerLine = (place: HookPlace) => (hook: RegisteredHook) => ({
    name: hook.name,
    place,
    because: "observers stand outside the order, by name",
  });
  return Object.freeze({
    module,
    entering: Object.freeze([...raw, ...sorted, ...final]),
    leaving: Object.freeze([...raw, ...sorted.toReversed(), ...final]),
    replacers: Object.freeze(
      sorted.filter((hook) => hook.access === "replace"),
    ),
    accesses: Object.freeze([...new Set(all.map((hook) => hook.access))].sort()),
    readsInputs: all.some((hook) => hook.readsInputs),
    keepsInputs: all.some((hook) => hook.readsInputs && hook.phases.includes("postForward")),
    missing: Object.freeze(missing),
    lines: Object.freeze([
      ...raw.map(observerLine("raw observer")),
      ...sorted.map((hook): OrderLine => ({
        name: hook.name,
        place: hook.access === "replace" ? "replacer" : "transformer",
        because: reasonInOnion(hook, edges),
      })),
      ...final.map(observerLine("final observer")),
      ...ignored,
      ...missing.map(({ hook, name }): OrderLine => ({
        name: hook,
        place: "missing",
        because: `it requires "${name}", which is not registered here`,
      })),
    ]),
    key: JSON.stringify(
      [...raw, ...sorted, ...final].map((hook) => [
        hook.name,
        hook.plugin,
        hook.access,
        hook.observes,
        hook.phases,
        hook.before,
        hook.after,
        hook.requires,
        hook.readsInputs,
        hook.changesShape,
      ]),
    ),
  });
}
