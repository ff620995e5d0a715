// The dialect of torch >= 2.5: every node carries the path and the classes of its module. Three traps:
// sub-graphs of higher-order operators repeat the root under a marker; a region that is compiled once
// and used for several modules carries the first module's path at every use, which the parameters
// correct; and a hook may leave a stack that is no module.

import type { GraphNode, ModelGraph } from "./model_graph.ts";
import { isWithin } from "./module_path.ts";
import { nameScopesOf } from "./name_scopes.ts";
import type { DialectPlace } from "./_node_place.ts";
import type { ParameterNames } from "./_parameter_names.ts";

const SUBGRAPH_ROOT = "_export_root";
const EMPTY_STACK = "_empty_nn_module_stack_from_metadata_hook";
const FX_NODE_KEY = "pkg.torch.onnx.fx_node";

interface ScopedNode {
  readonly node: GraphNode;
  readonly paths: readonly string[];
  readonly classes: readonly (string | null)[];
  /** The outermost module of the sub-graph that the node was traced in; null outside sub-graphs. */
  readonly region: string | null;
  readonly fxName: string;
  use: number | null;
}

/** The places that metadata gives. */
export function metadataPlaces(
  graphs: readonly ModelGraph[],
  parameters: ParameterNames,
): Map<GraphNode, DialectPlace> {
  const places = new Map<GraphNode, DialectPlace>();
  for (const graph of graphs) {
    const scoped: ScopedNode[] = [];
    for (const node of graph.nodes) {
      const found = node.isConstant ? null : readScopes(node);
      if (found !== null) scoped.push(found);
    }
    const renames = regionRenames(scoped, parameters);
    for (const entry of scoped) {
      const rename = (path: string): string => renames.get(regionUse(entry))?.(path) ?? path;
      const paths = entry.paths.map(rename);
      places.set(entry.node, {
        path: paths[paths.length - 1] ?? "",
        evidence: "metadata",
        call: renames.has(regionUse(entry)) ? null : entry.use,
        calledPaths: paths,
        classNames: paths.flatMap((path, index) => {
          const className = entry.classes[index] ?? null;
          return className === null ? [] : [[path, className] as const];
        }),
      });
    }
  }
  return places;
}

function readScopes(node: GraphNode): ScopedNode | null {
  const scopes = nameScopesOf(node.proto);
  if (scopes === null) return null;
  if (scopes.paths.includes(EMPTY_STACK)) return null;
  const paths: string[] = [];
  const classes: (string | null)[] = [];
  let region: string | null = null;
  let isInRegion = false;
  for (const [index, text] of scopes.paths.entries()) {
    const className = scopes.classes[index] ?? null;
    const inRegion = text === SUBGRAPH_ROOT || text.startsWith(`${SUBGRAPH_ROOT}.`);
    isInRegion ||= inRegion;
    const path = cleanPath(inRegion ? text.slice(SUBGRAPH_ROOT.length + 1) : text);
    if (inRegion && path !== "" && region === null) region = path;
    if (paths.includes(path)) continue;
    paths.push(path);
    classes.push(className);
  }
  const fx = node.proto.metadataProps.find((entry) => entry.key === FX_NODE_KEY)?.value ?? "";
  return {
    node,
    paths,
    classes,
    region: isInRegion ? region ?? "" : null,
    fxName: /^%?[^\s:]+/.exec(fx)?.[0] ?? "",
    use: null,
  };
}

/** Drops what numbers a further call (`layer@1`) and empty components. */
function cleanPath(text: string): string {
  return text.split(".").map((part) => part.replace(/@\d+$/, "")).filter((part) => part !== "")
    .join(".");
}

function regionUse(entry: ScopedNode): string {
  return entry.region === null ? "" : `${entry.use}:${entry.region}`;
}

/**
 * Numbers the uses of every region (a use begins where an fx node comes again after another one) and
 * finds, from the parameters, which module each use really is.
 */
function regionRenames(
  scoped: readonly ScopedNode[],
  parameters: ParameterNames,
): Map<string, (path: string) => string> {
  const states = new Map<string, { use: number; seen: Set<string>; last: string }>();
  const renames = new Map<string, (path: string) => string>();
  for (const entry of scoped) {
    if (entry.region === null) continue;
    const state = states.get(entry.region) ?? { use: 0, seen: new Set<string>(), last: "" };
    states.set(entry.region, state);
    const key = `${entry.paths[entry.paths.length - 1]} ${entry.fxName}`;
    if (state.last !== key && state.seen.has(key)) {
      state.use++;
      state.seen.clear();
    }
    state.seen.add(key);
    state.last = key;
    entry.use = state.use;
    const path = entry.paths[entry.paths.length - 1] ?? "";
    const { region } = entry;
    if (region === "" || renames.has(regionUse(entry)) || !isWithin(path, region)) continue;
    const below = path.slice(region.length); // "" or ".dense"
    for (const vote of parameters.votesOf(entry.node)) {
      if (vote === path || !vote.endsWith(below)) continue;
      const actual = vote.slice(0, vote.length - below.length);
      if (actual === "" || actual.split(".").length !== region.split(".").length) continue;
      renames.set(
        regionUse(entry),
        (text) => isWithin(text, region) ? actual + text.slice(region.length) : text,
      );
      break;
    }
  }
  return renames;
}
