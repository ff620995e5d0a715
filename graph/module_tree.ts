// Makes the tree of named modules of a model: names from naming_evidence (or topology_modules where
// there are none), calls from module_calls, boundaries and convexity from the data flow. Invariants:
// every live node of the top level lies in the root; a module's nodes contain its children's; constants
// lie in no module; the same model gives the same tree.

import type { ModelProto, NodeProto } from "onnx-buf";
import { indexLiveGraph, isConvex, type LiveGraph } from "./convexity.ts";
import type { FunctionFrame } from "./function_frame.ts";
import type {
  EvidenceCounts,
  EvidenceKind,
  GraphModule,
  ModuleCall,
  ModuleTree,
} from "./graph_module.ts";
import { boundaryOf } from "./module_boundary.ts";
import { findCalls, type LevelModule } from "./module_calls.ts";
import { ModuleParameters } from "./_module_parameters.ts";
import { isWithin, parentPath, pathAndAncestors, pathDepth } from "./module_path.ts";
import type { GraphNode, ModelGraph } from "./model_graph.ts";
import { modelLevels, type NamedLevel, nameNodes, type Naming } from "./naming_evidence.ts";
import { nameByTopology } from "./topology_modules.ts";
import { type ModuleBoundary, nodesBetween } from "./user_boundaries.ts";

/** What {@linkcode moduleTree} needs to know besides the graph. */
export interface ModuleTreeOptions {
  /** The model that the graph was built from: its producer and metadata are evidence. */
  readonly model: ModelProto;
  /** For each inlined node the calls that it came from, outermost first. */
  readonly frames?: ReadonlyMap<NodeProto, readonly FunctionFrame[]>;
  /** Modules that the user defines, by path: the nodes between inputs and outputs. */
  readonly boundaries?: Readonly<Record<string, ModuleBoundary>>;
}

/**
 * The tree of modules of a model.
 *
 * A module that the names show never to be called (a ModuleList, a ModuleDict) is in the tree without
 * calls, so that paths read as in PyTorch. Modules inside If, Loop and Scan bodies are in the tree and
 * cannot be cut; where exclusive branches call the same module, it has one call for each.
 *
 * @throws {HooklineError} OPTION_INVALID or FETCH_UNKNOWN for a boundary that does not fit the graph.
 */
export function moduleTree(graph: ModelGraph, options: ModuleTreeOptions): ModuleTree {
  const naming = nameByTopology(
    graph,
    nameNodes(graph, { model: options.model, frames: options.frames ?? new Map() }),
  );
  return new TreeBuilder(graph, naming, options.boundaries ?? {}).build();
}

/** A level with its modules. */
interface LevelTree {
  readonly level: NamedLevel;
  readonly live: LiveGraph;
  /** Live nodes that lie in a module or below it, by path, ascending; only paths of this level. */
  readonly nodes: ReadonlyMap<string, readonly number[]>;
  readonly calls: ReadonlyMap<string, readonly (readonly number[])[]>;
}

interface ModuleDraft {
  readonly path: string;
  readonly order: readonly number[];
  readonly calls: ModuleCall[];
  readonly evidence: EvidenceKind;
  readonly parameters: readonly string[];
  readonly insideBody: string | null;
  /** The body that some of the calls lie in although the module lies outside. */
  alsoInside: string | null;
}

class TreeBuilder {
  readonly #graph: ModelGraph;
  readonly #naming: Naming;
  readonly #boundaries: Readonly<Record<string, ModuleBoundary>>;
  readonly #drafts = new Map<string, ModuleDraft>();
  readonly #parameters = new ModuleParameters();
  readonly #ambiguousCalls = new Set<string>();

  constructor(
    graph: ModelGraph,
    naming: Naming,
    boundaries: Readonly<Record<string, ModuleBoundary>>,
  ) {
    this.#graph = graph;
    this.#naming = naming;
    this.#boundaries = boundaries;
  }

  build(): ModuleTree {
    this.#addLevel({ graph: this.#graph, owner: null }, [], new Set());
    for (const path of Object.keys(this.#boundaries).sort()) this.#addUserModule(path);
    const drafts = [...this.#drafts.values()].sort(compareDrafts);
    const children = new Map<string, string[]>();
    const parents = new Map<string, string | null>();
    for (const draft of drafts) {
      const parent = this.#parentOf(draft.path);
      parents.set(draft.path, parent);
      children.set(draft.path, []);
      if (parent !== null) children.get(parent)?.push(draft.path);
    }
    const modules = drafts.map((draft) =>
      this.#finish(draft, parents.get(draft.path) ?? null, children.get(draft.path) ?? [])
    );
    const byPath = new Map(modules.map((module) => [module.path, module]));
    return Object.freeze({
      modules: Object.freeze(modules),
      evidence: this.#countEvidence(),
      get: (path: string): GraphModule | undefined => byPath.get(path),
    });
  }

  /** Adds a level's modules; `enclosing` are the paths that the level's owner lies in. */
  #addLevel(level: NamedLevel, order: readonly number[], enclosing: ReadonlySet<string>): void {
    const tree = this.#levelTree(level, enclosing);
    for (const [path, nodes] of tree.nodes) {
      const isContainer = this.#naming.containers.has(path);
      const calls = isContainer
        ? []
        : (tree.calls.get(path) ?? []).map((call) => this.#call(tree, call));
      this.#addDraft(tree, path, [...order, nodes[0] ?? 0], calls);
    }
    for (const node of level.graph.nodes) {
      if (node.bodies.length === 0) continue;
      const around = new Set(enclosing);
      for (const path of pathAndAncestors(this.#pathOf(node))) around.add(path);
      for (const [index, body] of node.bodies.entries()) {
        this.#addLevel({ graph: body.graph, owner: node }, [...order, node.index, index], around);
      }
    }
  }

  #pathOf(node: GraphNode): string {
    return this.#naming.places.get(node)?.path ?? "";
  }

  #levelTree(level: NamedLevel, enclosing: ReadonlySet<string>): LevelTree {
    const { graph, owner } = level;
    const live = indexLiveGraph(graph);
    const nodes = new Map<string, number[]>();
    if (owner === null) nodes.set("", []);
    const own = new Map<string, { index: number; call: number | null }[]>();
    for (const node of graph.nodes) {
      if (node.isConstant) continue;
      const place = this.#naming.places.get(node);
      const path = place?.path ?? "";
      push(own, path, { index: node.index, call: place?.call ?? null });
      for (const ancestor of pathAndAncestors(path)) {
        if (!enclosing.has(ancestor)) push(nodes, ancestor, node.index);
      }
    }
    const roots = levelModules(nodes, own, this.#naming, owner === null);
    const calls = new Map<string, readonly (readonly number[])[]>();
    for (const root of roots) {
      const found = findCalls(root, graph, live);
      for (const [path, nodes] of found.calls) calls.set(path, nodes);
      for (const path of found.ambiguousPaths) this.#ambiguousCalls.add(path);
    }
    return { level, live, nodes, calls };
  }

  #call(tree: LevelTree, nodes: readonly number[]): ModuleCall {
    const { inputs, outputs } = boundaryOf(tree.level.graph, nodes);
    return Object.freeze({
      nodes: Object.freeze([...nodes]),
      inputs: Object.freeze(inputs),
      outputs: Object.freeze(outputs),
      isConvex: isConvex(tree.live, nodes),
    });
  }

  #addDraft(tree: LevelTree, path: string, order: readonly number[], calls: ModuleCall[]): void {
    const { graph, owner } = tree.level;
    const nodes = tree.nodes.get(path) ?? [];
    const insideBody = owner === null ? null : labelOf(owner);
    const known = this.#drafts.get(path);
    if (known !== undefined) {
      if (known.insideBody === null && insideBody !== null) known.alsoInside = insideBody;
      else known.calls.push(...calls);
      return;
    }
    this.#drafts.set(path, {
      path,
      order,
      calls: [...calls],
      evidence: this.#evidenceOf(graph, path, nodes),
      parameters: this.#parameters.of(graph, nodes),
      insideBody,
      alsoInside: null,
    });
  }

  #evidenceOf(graph: ModelGraph, path: string, nodes: readonly number[]): EvidenceKind {
    const counts = new Map<EvidenceKind, number>();
    for (const index of nodes) {
      const node = graph.nodes[index] as GraphNode;
      const place = this.#naming.places.get(node);
      if (place === undefined || place.evidence === null) continue;
      if (path !== "" && place.path === path) return place.evidence;
      counts.set(place.evidence, (counts.get(place.evidence) ?? 0) + 1);
    }
    let best: EvidenceKind = "topology";
    let bestCount = 0;
    for (const [kind, count] of counts) {
      if (count > bestCount) [best, bestCount] = [kind, count];
    }
    return best;
  }

  #addUserModule(path: string): void {
    const boundary = this.#boundaries[path];
    if (boundary === undefined) return;
    const nodes = nodesBetween(this.#graph, path, boundary);
    const tree: LevelTree = {
      level: { graph: this.#graph, owner: null },
      live: indexLiveGraph(this.#graph),
      nodes: new Map([[path, nodes]]),
      calls: new Map(),
    };
    this.#drafts.set(path, {
      path,
      order: [nodes[0] ?? 0],
      calls: [this.#call(tree, nodes)],
      evidence: "user",
      parameters: this.#parameters.of(this.#graph, nodes),
      insideBody: null,
      alsoInside: null,
    });
  }

  #parentOf(path: string): string | null {
    let parent = parentPath(path);
    while (parent !== null && !this.#drafts.has(parent)) parent = parentPath(parent);
    return parent;
  }

  #finish(draft: ModuleDraft, parent: string | null, children: readonly string[]): GraphModule {
    const isCalled = draft.calls.length > 0;
    const isWhole = draft.calls.every((call) => call.isConvex);
    let reason: string | null = null;
    if (draft.insideBody !== null) {
      reason = `it lies in the body of ${draft.insideBody}, which runs as a whole`;
    } else if (!isCalled) {
      reason = "it is never called itself: a list or dictionary of modules; hook its children";
    } else if (draft.alsoInside !== null) {
      reason = `it is also called in the body of ${draft.alsoInside}, which runs as a whole`;
    } else if (!isWhole) {
      reason = "a path leaves it and comes back, so it cannot run alone";
    } else if (this.#naming.ambiguousPaths.has(draft.path)) {
      reason = "a number at the end of its name was taken for a further call";
    } else if (this.#ambiguousCalls.has(draft.path)) {
      reason = draft.calls.length === 1
        ? "what repeats in it was taken for a loop in one call"
        : "what repeats in it was taken for several calls";
    }
    const isCuttable = isCalled && isWhole && draft.insideBody === null &&
      draft.alsoInside === null;
    return Object.freeze({
      path: draft.path,
      className: this.#naming.classNames.get(draft.path) ?? null,
      parent,
      children: Object.freeze([...children]),
      calls: Object.freeze(draft.calls),
      parameters: Object.freeze(draft.parameters),
      evidence: draft.evidence,
      isCuttable,
      reason,
      insideBody: draft.insideBody,
    });
  }

  #countEvidence(): EvidenceCounts {
    const counts = {
      metadata: 0,
      nodeNames: 0,
      valueNames: 0,
      parameterNames: 0,
      functions: 0,
      topology: 0,
      user: 0,
      unassigned: 0,
    };
    for (const { graph } of modelLevels(this.#graph)) {
      for (const node of graph.nodes) {
        if (!node.isConstant) counts[this.#naming.places.get(node)?.evidence ?? "unassigned"]++;
      }
    }
    for (const draft of this.#drafts.values()) {
      if (draft.evidence === "user") counts.user += draft.calls[0]?.nodes.length ?? 0;
    }
    return Object.freeze(counts);
  }
}

function push<Item>(map: Map<string, Item[]>, key: string, item: Item): void {
  const items = map.get(key);
  if (items === undefined) map.set(key, [item]);
  else items.push(item);
}

/** The modules of a level as trees: one below the root at the top, several inside a body. */
function levelModules(
  nodes: ReadonlyMap<string, readonly number[]>,
  own: ReadonlyMap<string, readonly { index: number; call: number | null }[]>,
  naming: Naming,
  isTop: boolean,
): LevelModule[] {
  const made = new Map<string, LevelModule & { children: LevelModule[] }>();
  const roots: LevelModule[] = [];
  const paths = [...nodes.keys()].sort((left, right) => pathDepth(left) - pathDepth(right));
  for (const path of paths) {
    const module = {
      path,
      ownNodes: own.get(path) ?? [],
      children: [],
      isContainer: naming.containers.has(path),
      isSingleCall: isTop && path === "",
      className: naming.classNames.get(path) ?? null,
    };
    made.set(path, module);
    const parent = path === "" ? null : made.get(parentPath(path) ?? "") ?? null;
    if (parent === null) roots.push(module);
    else parent.children.push(module);
  }
  return roots;
}

function labelOf(node: GraphNode): string {
  return node.name === "" ? node.opType : node.name;
}

/** The root first, then by first node; what lies in a body after the node that holds it. */
function compareDrafts(left: ModuleDraft, right: ModuleDraft): number {
  if (left.path === "" || right.path === "") return left.path === "" ? -1 : 1;
  const length = Math.min(left.order.length, right.order.length);
  for (let index = 0; index < length; index++) {
    const difference = (left.order[index] ?? 0) - (right.order[index] ?? 0);
    if (difference !== 0) return difference;
  }
  if (left.order.length !== right.order.length) return left.order.length - right.order.length;
  if (isWithin(left.path, right.path)) return 1;
  if (isWithin(right.path, left.path)) return -1;
  return left.path < right.path ? -1 : 1;
}
