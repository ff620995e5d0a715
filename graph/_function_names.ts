// The dialects that make a function of every module: torch 2.1 to 2.3's dynamo_export
// (`transformers_models_bert_BertLayer_encoder_layer_0_1`) and `export_modules_as_functions` (`Layer`).
// A call's path comes from its function's name where that spells it, else from what the dotted
// parameters of the call have in common. Names of call nodes are not believed: the second dialect
// names them after the last scope inside. It works on what the inliner noted down.

import type { NodeProto } from "onnx-buf";
import type { FunctionFrame } from "./function_frame.ts";
import type { GraphNode, ModelGraph } from "./model_graph.ts";
import {
  childPath,
  commonAncestor,
  isWithin,
  lastComponent,
  parentPath,
  pathAndAncestors,
} from "./module_path.ts";
import type { DialectPlace } from "./_node_place.ts";
import { moduleOfParameter } from "./_parameter_names.ts";

/** One call of a module function. */
interface Call {
  readonly frame: FunctionFrame;
  readonly parent: Call | null;
  readonly children: Call[];
  readonly order: number;
  readonly className: string | null;
  path: string | null;
  /** True when the function's own name spells the path. */
  isSpelled: boolean;
}

/** The places that inlined function calls give. */
export function functionPlaces(
  graphs: readonly ModelGraph[],
  frames: ReadonlyMap<NodeProto, readonly FunctionFrame[]>,
): Map<GraphNode, DialectPlace> {
  const places = new Map<GraphNode, DialectPlace>();
  if (frames.size === 0) return places;
  const calls = new Map<FunctionFrame, Call>();
  const innermost = new Map<GraphNode, Call>();
  for (const graph of graphs) {
    for (const node of graph.nodes) {
      let call: Call | null = null;
      for (const frame of frames.get(node.proto) ?? []) call = callOf(frame, call, calls);
      if (call !== null) innermost.set(node, call);
    }
  }
  resolvePaths([...calls.values()]);
  for (const [node, call] of innermost) {
    if (node.isConstant) continue;
    const place = placeOf(call);
    if (place !== null) places.set(node, place);
  }
  return places;
}

function callOf(
  frame: FunctionFrame,
  parent: Call | null,
  calls: Map<FunctionFrame, Call>,
): Call {
  const known = calls.get(frame);
  if (known !== undefined) return known;
  const made: Call = {
    frame,
    parent,
    children: [],
    order: calls.size,
    className: classOf(frame),
    path: null,
    isSpelled: false,
  };
  calls.set(frame, made);
  parent?.children.push(made);
  return made;
}

/** `BertLayer` of `transformers_models_bert_BertLayer_encoder_layer_0_1`; `Linear` of `Linear.1`. */
function classOf(frame: FunctionFrame): string | null {
  const bare = frame.functionName.replace(/\.\d+$/, "");
  const spelled = spelledTokens(bare);
  if (spelled !== null) return spelled.className;
  return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(bare) ? bare : null;
}

/** Splits `<module>_<Class>_<path>_<number>`; null when the name has no such form. */
function spelledTokens(name: string): { className: string; path: string } | null {
  const match = /^(?:[a-z0-9_]+?_)([A-Z][A-Za-z0-9]*)_(.+)_\d+$/.exec(name);
  return match === null ? null : { className: match[1] ?? "", path: match[2] ?? "" };
}

function resolvePaths(calls: readonly Call[]): void {
  for (const call of calls) spellPath(call); // outer calls first: a child's spelling needs its parent's
  for (const call of calls.toReversed()) { // inner calls first: a parent lies above its children
    if (call.isSpelled) continue;
    call.path = commonModule(call.frame);
    if (call.path !== null) call.path = aboveChildren(call, call.path);
  }
}

/** Resolves a call whose function's name spells its path with "_" for ".". */
function spellPath(call: Call): void {
  const spelled = spelledTokens(call.frame.functionName)?.path;
  if (spelled === undefined) return;
  const common = commonModule(call.frame);
  for (const path of common === null ? [] : pathAndAncestors(common).toReversed()) {
    if (path === "" || path.replaceAll(".", "_") !== spelled) continue;
    call.path = path;
    call.isSpelled = true;
    return;
  }
  const parent = nearestResolved(call.parent);
  const prefix = parent === "" ? "" : `${parent.replaceAll(".", "_")}_`;
  if (!spelled.startsWith(prefix) || spelled.length === prefix.length) return;
  call.path = childPath(parent, spelled.slice(prefix.length));
  call.isSpelled = true;
}

function nearestResolved(call: Call | null): string {
  for (let at = call; at !== null; at = at.parent) if (at.path !== null) return at.path;
  return "";
}

/** What the modules of a call's dotted parameters have in common; null without any. */
function commonModule(frame: FunctionFrame): string | null {
  let common: string | null = null;
  for (const parameter of frame.parameters) {
    const module = moduleOfParameter(parameter);
    if (module !== null) common = common === null ? module : commonAncestor(common, module);
  }
  return common;
}

/** A call lies above the calls in it, and above a list of them unless it is a Sequential. */
function aboveChildren(call: Call, common: string): string {
  let path = common;
  const below = call.children.flatMap((child) => child.path === null ? [] : [child.path]);
  for (const child of below) {
    while (path !== "" && isWithin(path, child)) path = parentPath(path) ?? "";
  }
  const direct = below.filter((child) => parentPath(child) === path);
  const isList = path !== "" && direct.length > 0 &&
    direct.every((child) => /^\d+$/.test(lastComponent(child)));
  return isList && call.className !== "Sequential" ? parentPath(path) ?? "" : path;
}

function placeOf(call: Call): DialectPlace | null {
  let at: Call | null = call;
  while (at !== null && at.path === null) at = at.parent;
  if (at === null || at.path === null) return null;
  const calledPaths = [""];
  const classNames: (readonly [string, string])[] = [];
  for (let outer: Call | null = at; outer !== null; outer = outer.parent) {
    if (outer.path === null) continue;
    calledPaths.push(outer.path);
    if (outer.className !== null) classNames.push([outer.path, outer.className]);
  }
  return { path: at.path, evidence: "functions", call: at.order, calledPaths, classNames };
}
