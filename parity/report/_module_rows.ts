// Module paths as the rows of a tree: every module before what lies in it, siblings in the order in which
// they came. Containers that have no record of their own get a row, or the tree would have holes.

import { visibleName } from "./_page_text.ts";

/** How many rows a page may have; beyond it, it is neither small nor quick. */
export const ROW_LIMIT = 5_000;

/** A row before anything is known of its module but the path. */
export interface TreeRow {
  readonly path: string;
  readonly name: string;
  readonly depth: number;
}

/** The rows of a tree, and how many modules had no place in it. */
export interface TreeRows {
  readonly rows: readonly TreeRow[];
  readonly left: number;
}

/** What the model itself is called. */
export const MODEL_NAME = "(the model)";

/**
 * Rows for these paths. Where there are more than `limit`, those of the largest `weight` stay, each with
 * the modules around it.
 */
export function treeRows(
  paths: Iterable<string>,
  weight: (path: string) => number,
  limit: number = ROW_LIMIT,
): TreeRows {
  const all = [...new Set(paths)];
  const kept = keptPaths(all, weight, limit);
  const children = new Map<string | null, string[]>();
  const known = new Set<string>();
  for (const path of all) {
    if (!kept.has(path)) continue;
    for (let at: string | null = path; at !== null && !known.has(at); at = parentOf(at)) {
      known.add(at);
      const parent = parentOf(at);
      const siblings = children.get(parent) ?? [];
      siblings.push(at);
      children.set(parent, siblings);
    }
  }
  const rows: TreeRow[] = [];
  const open = [...children.get(null) ?? []].reverse().map((path) => ({ path, depth: 0 }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { path, depth } = next;
    rows.push({ path, name: nameOf(path), depth });
    const below = children.get(path) ?? [];
    for (const child of below.toReversed()) open.push({ path: child, depth: depth + 1 });
  }
  return { rows, left: all.length - all.filter((path) => known.has(path)).length };
}

/** The heaviest paths whose rows, with those around them, fit into the limit. */
function keptPaths(
  paths: readonly string[],
  weight: (path: string) => number,
  limit: number,
): ReadonlySet<string> {
  const kept = new Set<string>();
  const rows = new Set<string>();
  const ranked = paths.map((path) => ({ path, weight: weight(path) }))
    .sort((one, other) => other.weight - one.weight); // stable: equal weights keep their order
  for (const { path } of ranked) {
    const added: string[] = [];
    for (let at: string | null = path; at !== null && !rows.has(at); at = parentOf(at)) {
      added.push(at);
    }
    if (rows.size + added.length > limit) break;
    for (const row of added) rows.add(row);
    kept.add(path);
  }
  return kept;
}

/** The module around this one; null at the top. The model itself stands beside its modules. */
function parentOf(path: string): string | null {
  const dot = path.lastIndexOf(".");
  return dot <= 0 ? null : path.slice(0, dot);
}

function nameOf(path: string): string {
  if (path === "") return MODEL_NAME;
  const dot = path.lastIndexOf(".");
  return visibleName(dot <= 0 ? path : path.slice(dot + 1));
}
