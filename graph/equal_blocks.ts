// Which modules of a model are the same block with other weights. Layers of a transformer are; so are
// its query, key and value projections. It says what is equal, not what to do with it.

import { sha256 } from "./_attribute_form.ts";
import { blockHash } from "./block_hash.ts";
import type { GraphModule, ModuleTree } from "./graph_module.ts";
import type { ModelGraph } from "./model_graph.ts";

/** Sibling modules of equal structure. */
export interface BlockGroup {
  /** The block hash that they share; of a module with several calls, a hash over those of its calls. */
  readonly hash: string;
  /** Path of the module that they lie in. */
  readonly parent: string;
  /** Their paths in execution order, two at least. */
  readonly paths: readonly string[];
  /** Nodes of one of them. */
  readonly nodeCount: number;
}

const BLOCK_ID_LENGTH = 8;

/**
 * Groups of sibling modules that can be cut and have equal structure, in execution order of their
 * first members. Members need not run one after another; see {@linkcode largestRun}. Modules inside
 * the bodies of control flow belong to no group.
 */
export function equalBlocks(tree: ModuleTree, graph: ModelGraph): readonly BlockGroup[] {
  const groups = new Map<string, { hash: string; parent: string; modules: GraphModule[] }>();
  for (const [module, hash] of hashModules(tree, graph)) {
    const parent = module.parent ?? "";
    const key = `${hash} ${parent}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { hash, parent, modules: [module] });
    else group.modules.push(module);
  }
  const made: BlockGroup[] = [];
  for (const { hash, parent, modules } of groups.values()) {
    const [first] = modules;
    if (first === undefined || modules.length < 2) continue;
    made.push(Object.freeze({
      hash,
      parent,
      paths: Object.freeze(modules.map((module) => module.path)),
      nodeCount: nodeCountOf(first),
    }));
  }
  return Object.freeze(made);
}

/**
 * The run of equal neighbours that makes up most of the model, by number times nodes; of two equal
 * ones the first; null when no two neighbours are equal. Neighbours are siblings with no other sibling
 * between them, in execution order.
 */
export function largestRun(tree: ModuleTree, groups: readonly BlockGroup[]): BlockGroup | null {
  let best: BlockGroup | null = null;
  for (const group of groups) {
    const members = new Set(group.paths);
    let run: string[] = [];
    const close = (): void => {
      if (run.length > 1 && run.length * group.nodeCount > sizeOf(best)) {
        best = Object.freeze({ ...group, paths: Object.freeze(run) });
      }
      run = [];
    };
    for (const module of tree.modules) {
      if (module.parent !== group.parent || nodeCountOf(module) === 0) continue;
      if (members.has(module.path)) run.push(module.path);
      else close();
    }
    close();
  }
  return best;
}

/**
 * The block id of every module: the first 8 digits of its hash, equal for modules of equal structure
 * anywhere in the model; null for a module that nothing else equals, or that cannot be cut. A module
 * and the only module inside it are one computation, not two.
 */
export function blockIds(
  tree: ModuleTree,
  graph: ModelGraph,
): ReadonlyMap<string, string | null> {
  const hashes = hashModules(tree, graph);
  const starts = new Map<string, Set<number>>();
  for (const [module, hash] of hashes) {
    const start = module.calls[0]?.nodes[0] ?? -1;
    const known = starts.get(hash);
    if (known === undefined) starts.set(hash, new Set([start]));
    else known.add(start);
  }
  const ids = new Map<string, string | null>();
  for (const module of tree.modules) {
    const hash = hashes.get(module);
    const isRepeated = hash !== undefined && (starts.get(hash)?.size ?? 0) > 1;
    ids.set(module.path, isRepeated ? hash.slice(0, BLOCK_ID_LENGTH) : null);
  }
  return ids;
}

/** Hashes of the modules that may be equal to another, in the tree's order. */
function hashModules(tree: ModuleTree, graph: ModelGraph): Map<GraphModule, string> {
  const hashes = new Map<GraphModule, string>();
  for (const module of tree.modules) {
    if (module.parent === null || !module.isCuttable || module.insideBody !== null) continue;
    if (nodeCountOf(module) === 0) continue;
    const [only, ...others] = module.calls.map((call) => blockHash(graph, call));
    if (only === undefined) continue;
    hashes.set(module, others.length === 0 ? only : sha256([only, ...others].join(" ")));
  }
  return hashes;
}

function nodeCountOf(module: GraphModule): number {
  return module.calls.reduce((sum, call) => sum + call.nodes.length, 0);
}

function sizeOf(group: BlockGroup | null): number {
  return group === null ? 0 : group.paths.length * group.nodeCount;
}
