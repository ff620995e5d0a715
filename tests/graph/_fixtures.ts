// The exports that tests/fixtures holds, read as the library reads them, next to what PyTorch said of
// them; and graphs made from names alone.

import { readFileSync } from "node:fs";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ModelProtoSchema, type NodeProtoSchema } from "onnx-buf";
import type { ModuleTree } from "../../graph/graph_module.ts";
import { inlineFunctions } from "../../graph/inline_functions.ts";
import { ModelGraph } from "../../graph/model_graph.ts";
import { moduleTree, type ModuleTreeOptions } from "../../graph/module_tree.ts";
import { readSkeleton } from "../../graph/skeleton.ts";
import { graphOf } from "./_graphs.ts";

/** What PyTorch said of a model while it was exported. */
export interface Truth {
  readonly modules: readonly {
    readonly path: string;
    readonly class: string;
    readonly calls: number;
  }[];
  readonly all_modules: Readonly<Record<string, string>>;
  readonly outputs: readonly string[];
  readonly live?: readonly string[];
  readonly inside_bodies?: readonly string[];
}

/** A file of a fixture: `torch/bert` or `exports/functions`. */
export function fixtureUrl(name: string, file: string): URL {
  return new URL(`../fixtures/${name}/${file}`, import.meta.url);
}

export function truthOf(name: string): Truth {
  return JSON.parse(readFileSync(fixtureUrl(name, "modules.json"), "utf8")) as Truth;
}

export function treeOfFile(path: string | URL): { graph: ModelGraph; tree: ModuleTree } {
  const { model, frames } = inlineFunctions(readSkeleton(path).model);
  if (model.graph === undefined) throw new Error("no graph");
  const graph = new ModelGraph(model.graph, { label: String(path) });
  return { graph, tree: moduleTree(graph, { model, frames }) };
}

export function fixtureTree(name: string): { graph: ModelGraph; tree: ModuleTree; truth: Truth } {
  return { ...treeOfFile(fixtureUrl(name, "model.onnx")), truth: truthOf(name) };
}

/** What a node may be made from. */
export type NodeInit = Extract<
  MessageInitShape<typeof NodeProtoSchema>,
  { readonly $typeName?: never }
>;

/** A node by operator, name, inputs and outputs: `"Relu /a/Relu x -> y"`, `-` for no name. */
export function node(text: string): NodeInit {
  const [left = "", right = ""] = text.split(" -> ");
  const [opType = "", name = "", ...input] = left.split(" ");
  return {
    opType,
    name: name === "-" ? "" : name,
    input: input.filter((value) => value !== "").map((value) => value === "_" ? "" : value),
    output: right.split(" "),
  };
}

/** How to make a tree from names. */
export interface TreeInit {
  readonly inputs?: readonly string[];
  readonly outputs: readonly string[];
  /** Names of initializers. */
  readonly parameters?: readonly string[];
  readonly producer?: string;
  readonly options?: Partial<ModuleTreeOptions>;
}

/** The tree of a graph written with {@linkcode node}. */
export function treeOf(nodes: readonly (string | NodeInit)[], init: TreeInit): ModuleTree {
  const graph = graphOf({
    node: nodes.map((item) => typeof item === "string" ? node(item) : item),
    input: (init.inputs ?? ["x"]).map((name) => ({ name })),
    output: init.outputs.map((name) => ({ name })),
    initializer: (init.parameters ?? []).map((name) => ({ name, dataType: 1, dims: [2n] })),
  });
  const model = create(ModelProtoSchema, {
    producerName: init.producer ?? "pytorch",
    graph: graph.proto,
  });
  return moduleTree(graph, { model, ...init.options });
}

/** Paths of a tree's modules that are called, the root left out. */
export function calledPaths(tree: ModuleTree): string[] {
  return tree.modules.filter((module) => module.path !== "" && module.calls.length > 0)
    .map((module) => module.path);
}

/** Number of calls by path, the root left out. */
export function callCounts(tree: ModuleTree): Record<string, number> {
  return Object.fromEntries(
    tree.modules.filter((module) => module.path !== "")
      .map((module) => [module.path, module.calls.length]),
  );
}
