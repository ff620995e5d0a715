// A model whose module tree a test states instead of having it found in names, and the model of a
// random program with exactly the calls that the program makes.

import { toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema } from "onnx-buf";
import { indexLiveGraph, isConvex } from "../../graph/convexity.ts";
import type { GraphModule, ModuleTree } from "../../graph/graph_module.ts";
import type { ModelGraph } from "../../graph/model_graph.ts";
import { boundaryOf } from "../../graph/module_boundary.ts";
import { parentPath } from "../../graph/module_path.ts";
import { Model } from "../../pipeline/model.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import type { Engine } from "../../sessions/engine.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import { resolveProvider } from "../../sessions/provider.ts";
import { modelOf, node, valueInfo } from "../support/build_model.ts";
import { callsOf, operationsOf, type Program } from "./_program.ts";

/** Nodes of each call by module path; nodes are named by one of their outputs. */
export type CallMap = ReadonlyMap<string, readonly (readonly string[])[]>;

/** A structure with a given module tree. */
export class FixedStructure extends ModelStructure {
  readonly #fixed: ModuleTree;

  constructor(proto: ModelProto, calls: CallMap) {
    super(new Uint8Array(toBinary(ModelProtoSchema, proto)));
    this.#fixed = fixedTree(this.graph, calls);
  }

  override get tree(): ModuleTree {
    return this.#fixed;
  }
}

/** The calls that a program makes. */
export function callMapOf(program: Program): CallMap {
  const calls = new Map<string, string[][]>();
  for (const call of callsOf(program)) {
    const nodes = operationsOf(call.body).map(({ outputs }) => outputs[0] as string);
    const known = calls.get(call.path) ?? [];
    known[call.callIndex] = nodes;
    calls.set(call.path, known);
  }
  return calls;
}

/** Opens a model over a structure. */
export async function openStructure(
  structure: ModelStructure,
  { engine = new NapiEngine(), idleByteBudget = 1e6 }: {
    readonly engine?: Engine;
    readonly idleByteBudget?: number;
  } = {},
): Promise<Model> {
  return new Model(structure, {
    engine,
    provider: await resolveProvider("cpu", engine),
    optimization: "all",
    threads: 1,
    idleByteBudget,
  });
}

function fixedTree(graph: ModelGraph, calls: CallMap): ModuleTree {
  const live = indexLiveGraph(graph);
  const paths = [...calls.keys()];
  const modules = paths.map((path): GraphModule => {
    const own = (calls.get(path) ?? []).map((outputs) => {
      const nodes = outputs.map((name) => graph.producerOf(name) as number)
        .sort((left, right) => left - right);
      return { nodes, ...boundaryOf(graph, nodes), isConvex: isConvex(live, nodes) };
    });
    const isCuttable = own.every((call) => call.isConvex);
    return {
      path,
      className: null,
      parent: nearest(path, paths),
      children: paths.filter((other) => other !== path && nearest(other, paths) === path),
      calls: own,
      parameters: [],
      evidence: "user",
      isCuttable,
      reason: isCuttable ? null : "a path leaves it and comes back, so it cannot run alone",
      insideBody: null,
    };
  });
  const byPath = new Map(modules.map((module) => [module.path, module]));
  return {
    modules,
    evidence: {
      metadata: 0,
      nodeNames: 0,
      valueNames: 0,
      parameterNames: 0,
      functions: 0,
      topology: 0,
      user: 0,
      unassigned: 0,
    },
    get: (path) => byPath.get(path),
  };
}

function nearest(path: string, paths: readonly string[]): string | null {
  let parent = parentPath(path);
  while (parent !== null && !paths.includes(parent)) parent = parentPath(parent);
  return parent;
}

/**
 * A structure from a drawing: `"a = x; b = a x"` are two Sum nodes, each named by what it computes. The
 * values are float32 [1]; inputs are what nothing computes.
 */
export function drawnStructure(
  drawing: string,
  outputs: readonly string[],
  calls: Readonly<Record<string, readonly string[]>>,
): FixedStructure {
  const parts = drawing.split(";").map((part) => part.trim().split(/\s*=\s*|\s+/));
  const made = new Set(parts.map(([name]) => name));
  const inputs = [...new Set(parts.flatMap(([, ...read]) => read))].filter((name) =>
    !made.has(name)
  );
  const declare = (name: string) => valueInfo(name, "float32", [1]);
  const proto = modelOf({
    nodes: parts.map(([name, ...read]) => node("Sum", read, [name as string])),
    inputs: inputs.map(declare),
    outputs: outputs.map(declare),
  });
  const callMap = new Map([["", [[...made] as string[]]]]);
  // Each text is one call.
  for (const [path, texts] of Object.entries(calls)) {
    callMap.set(path, texts.map((text) => text.split(" ")));
  }
  return new FixedStructure(proto, callMap);
}
