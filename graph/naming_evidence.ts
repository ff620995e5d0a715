// Names every live node of a model: which module it lies in, what says so, and which use of the
// module's scope it belongs to. Each exporter's dialect has a file of its own; this one orders the
// evidence (the first that answers wins) and fills the gaps from the neighbours in the data flow. It
// knows nodes and names; modules, boundaries and calls are made from its answer in module_tree.

import type { ModelProto, NodeProto } from "onnx-buf";
import type { FunctionFrame } from "./function_frame.ts";
import { functionPlaces } from "./_function_names.ts";
import type { EvidenceKind } from "./graph_module.ts";
import { metadataPlaces } from "./_metadata_names.ts";
import type { GraphNode, ModelGraph } from "./model_graph.ts";
import { commonAncestor, isWithin, pathAndAncestors, pathDepth } from "./module_path.ts";
import type { DialectPlace, NodePlace } from "./_node_place.ts";
import { isPaddleDialect, paddlePlaces } from "./_paddle_names.ts";
import { ParameterNames } from "./_parameter_names.ts";
import { alignScopes, type ScopeUse } from "./scope_alignment.ts";
import { slashScope, slashScopeOfName } from "./_slash_names.ts";
import { isTensorFlowDialect, tensorFlowPath } from "./_tensorflow_names.ts";

/** What the names of a model say. */
export interface Naming {
  /** The place of every live node of every level. */
  readonly places: ReadonlyMap<GraphNode, NodePlace>;
  /** Modules that the names show never to be called: lists and dictionaries of modules. */
  readonly containers: ReadonlySet<string>;
  /** Class names by path, where the file has them. */
  readonly classNames: ReadonlyMap<string, string>;
  /** Modules whose name or number of calls rests on a guess. */
  readonly ambiguousPaths: ReadonlySet<string>;
}

/** What {@linkcode nameNodes} works on. */
export interface NamingOptions {
  /** The model: its producer is evidence. */
  readonly model: ModelProto;
  /** For each inlined node the calls that it came from, outermost first. */
  readonly frames: ReadonlyMap<NodeProto, readonly FunctionFrame[]>;
}

/** A level of the model: the top graph or a body. */
export interface NamedLevel {
  /** The level's own graph. */
  readonly graph: ModelGraph;
  /** The node whose body the level is; null at the top. */
  readonly owner: GraphNode | null;
}

/** All levels of a model, each after the node that holds it, outer ones first. */
export function modelLevels(graph: ModelGraph, owner: GraphNode | null = null): NamedLevel[] {
  const found: NamedLevel[] = [{ graph, owner }];
  for (const node of graph.nodes) {
    for (const body of node.bodies) found.push(...modelLevels(body.graph, node));
  }
  return found;
}

/** Names every live node of a model. */
export function nameNodes(graph: ModelGraph, options: NamingOptions): Naming {
  const levels = modelLevels(graph);
  const graphs = levels.map((level) => level.graph);
  const isPaddle = isPaddleDialect(graph);
  const parameters = new ParameterNames(graphs, isPaddle);
  const dialects = [
    metadataPlaces(graphs, parameters),
    functionPlaces(graphs, options.frames),
    slashPlaces(graph, parameters, options.frames),
    tensorFlowPlaces(graphs, options.model),
    isPaddle ? paddlePlaces(graph, parameters) : parameterPlaces(graphs, parameters),
  ];
  const places = new Map<GraphNode, NodePlace>();
  const calledPaths = new Set<string>([""]);
  const skippedPaths = new Set<string>();
  const classNames = new Map<string, string>();
  const ambiguousPaths = new Set<string>();
  for (const level of levels) {
    for (const node of level.graph.nodes) {
      const place = node.isConstant ? undefined : firstPlace(dialects, node);
      if (place === undefined) continue;
      places.set(node, place);
      for (const path of place.calledPaths) calledPaths.add(path);
      if (place.evidence !== "parameterNames") {
        for (const path of pathAndAncestors(place.path)) {
          if (!place.calledPaths.includes(path)) skippedPaths.add(path);
        }
      }
      for (const [path, className] of place.classNames ?? []) {
        if (!classNames.has(path)) classNames.set(path, className);
      }
      if (place.isAmbiguous === true) ambiguousPaths.add(place.path);
    }
    if (level.owner !== null) refineByParameters(level, places, parameters);
    fillFromNeighbours(level, places);
  }
  const containers = new Set([...skippedPaths].filter((path) => !calledPaths.has(path)));
  return { places, containers, classNames, ambiguousPaths };
}

type Dialect = ReadonlyMap<GraphNode, DialectPlace>;

function firstPlace(dialects: readonly Dialect[], node: GraphNode): DialectPlace | undefined {
  for (const dialect of dialects) {
    const place = dialect.get(node);
    if (place !== undefined) return place;
  }
  return undefined;
}

function slashPlaces(
  top: ModelGraph,
  parameters: ParameterNames,
  frames: NamingOptions["frames"],
): Dialect {
  const places = new Map<GraphNode, DialectPlace>();
  const uses = new Map<string, ScopeUse & { votes: string[] }>();
  const scopes: { node: GraphNode; scope: string; evidence: EvidenceKind }[] = [];
  for (const [position, node] of traceOrder(top).entries()) {
    // Names inside a function are those of one of its calls: only the call's own name counts.
    const call = frames.get(node.proto)?.[0];
    const found = call === undefined ? slashScope(node) : slashScopeOfName(call.callName);
    if (found === null) continue;
    let use = uses.get(found.scope);
    if (use === undefined) uses.set(found.scope, use = { scope: found.scope, votes: [], position });
    if (node.isConstant) continue;
    for (const vote of parameters.votesOf(node)) {
      if (!use.votes.includes(vote)) use.votes.push(vote);
    }
    scopes.push({ node, ...found });
  }
  if (scopes.length === 0) return places;
  const aligned = alignScopes([...uses.values()], parameters);
  for (const { node, scope, evidence } of scopes) {
    const found = aligned.get(scope);
    if (found === undefined) continue;
    places.set(node, {
      path: found.path,
      evidence,
      call: found.use,
      calledPaths: found.calledPaths,
      isAmbiguous: found.isAmbiguous,
    });
  }
  return places;
}

/** All nodes, those of bodies after the node that holds them. */
function traceOrder(graph: ModelGraph): GraphNode[] {
  const found: GraphNode[] = [];
  for (const node of graph.nodes) {
    found.push(node);
    for (const body of node.bodies) for (const inner of traceOrder(body.graph)) found.push(inner);
  }
  return found;
}

function tensorFlowPlaces(graphs: readonly ModelGraph[], model: ModelProto): Dialect {
  const places = new Map<GraphNode, DialectPlace>();
  if (!isTensorFlowDialect(graphs, model.producerName)) return places;
  let liveCount = 0;
  const paths = new Set<string>();
  for (const graph of graphs) {
    for (const node of graph.nodes) {
      if (node.isConstant) continue;
      liveCount++;
      const path = tensorFlowPath(node);
      if (path === null) continue;
      for (const ancestor of pathAndAncestors(path)) paths.add(ancestor);
      places.set(node, {
        path,
        evidence: "nodeNames",
        call: null,
        calledPaths: pathAndAncestors(path),
      });
    }
  }
  // Names glued together by a converter nest deeper than there are nodes to nest: they are noise.
  return paths.size > 2 * liveCount ? new Map() : places;
}

function parameterPlaces(
  graphs: readonly ModelGraph[],
  parameters: ParameterNames,
): Dialect {
  const places = new Map<GraphNode, DialectPlace>();
  for (const graph of graphs) {
    for (const node of graph.nodes) {
      if (node.isConstant) continue;
      const [path, second] = parameters.votesOf(node);
      if (path === undefined || second !== undefined) continue;
      places.set(node, {
        path,
        evidence: "parameterNames",
        call: null,
        calledPaths: [],
      });
    }
  }
  return places;
}

/**
 * Scripted bodies lose their scopes: every node carries that of the node that holds the body. Where
 * parameters say more about some of them, the others count as unknown.
 */
function refineByParameters(
  level: NamedLevel,
  places: Map<GraphNode, NodePlace>,
  parameters: ParameterNames,
): void {
  const base = level.owner === null ? "" : places.get(level.owner)?.path ?? "";
  const unscoped: GraphNode[] = [];
  let isRefined = false;
  for (const node of level.graph.nodes) {
    if (node.isConstant || places.get(node)?.path !== base) continue;
    const [vote, second] = parameters.votesOf(node);
    if (vote !== undefined && second === undefined && vote !== base && isWithin(vote, base)) {
      places.set(node, { path: vote, evidence: "parameterNames", call: null });
      isRefined = true;
    } else unscoped.push(node);
  }
  if (!isRefined) return;
  for (const node of unscoped) places.delete(node);
}

/**
 * Places what nothing names: in the deepest module that holds both a known node before it and a known
 * node after it in the data flow. What has only one side lies in the root, in a body with its owner.
 */
function fillFromNeighbours(level: NamedLevel, places: Map<GraphNode, NodePlace>): void {
  const { graph, owner } = level;
  const base = owner === null ? "" : places.get(owner)?.path ?? "";
  const unknown = graph.nodes.filter((node) => !node.isConstant && !places.has(node));
  if (unknown.length === 0) return;
  const before = new Map<GraphNode, string>();
  for (const node of unknown) {
    const path = nearestBefore(graph, node, places, before);
    if (path !== null) before.set(node, path);
  }
  const after = new Map<GraphNode, string>();
  for (const node of unknown.toReversed()) {
    const path = nearestAfter(graph, node, places, after);
    if (path !== null) after.set(node, path);
  }
  for (const node of unknown) {
    const from = before.get(node);
    const to = after.get(node);
    const path = from === undefined || to === undefined ? base : commonAncestor(from, to);
    places.set(node, { path: isWithin(path, base) ? path : base, evidence: null, call: null });
  }
}

function nearestBefore(
  graph: ModelGraph,
  node: GraphNode,
  places: ReadonlyMap<GraphNode, NodePlace>,
  unknown: ReadonlyMap<GraphNode, string>,
): string | null {
  let best: string | null = null;
  for (const value of [...node.inputs, ...node.captures]) {
    const producer = graph.nodes[graph.producerOf(value) ?? -1];
    if (producer === undefined || producer.isConstant) continue;
    const path = places.get(producer)?.path ?? unknown.get(producer);
    if (path !== undefined && (best === null || pathDepth(path) > pathDepth(best))) best = path;
  }
  return best;
}

function nearestAfter(
  graph: ModelGraph,
  node: GraphNode,
  places: ReadonlyMap<GraphNode, NodePlace>,
  unknown: ReadonlyMap<GraphNode, string>,
): string | null {
  let best: string | null = null;
  for (const value of node.outputs) {
    if (value === "") continue;
    for (const index of graph.consumersOf(value)) {
      const consumer = graph.nodes[index] as GraphNode;
      const path = places.get(consumer)?.path ?? unknown.get(consumer);
      if (path !== undefined && (best === null || pathDepth(path) > pathDepth(best))) best = path;
    }
  }
  return best;
}
