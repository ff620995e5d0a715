import assert from "node:assert/strict";
import { blockHash } from "../../graph/block_hash.ts";
import { blockIds, equalBlocks, largestRun } from "../../graph/equal_blocks.ts";
import type { GraphModule, ModuleTree } from "../../graph/graph_module.ts";
import { inlineFunctions } from "../../graph/inline_functions.ts";
import { ModelGraph } from "../../graph/model_graph.ts";
import { moduleTree } from "../../graph/module_tree.ts";
import { selectSpan } from "../../graph/selector.ts";
import { readSkeleton } from "../../graph/skeleton.ts";
import { fixturePath, readFixture } from "../support/fixture_path.ts";
import { callOf, float32, graphOf } from "./_graphs.ts";
import { handTree, type ModuleInit } from "./_module_trees.ts";

interface Named {
  readonly graph: ModelGraph;
  readonly tree: ModuleTree;
}

/** A chain of one-node modules by path, each `Op:width` with a weight of that width. */
function chain(modules: Readonly<Record<string, string>>, more: readonly ModuleInit[] = []): Named {
  const paths = Object.keys(modules);
  const operations = Object.values(modules).map((text) => text.split(":"));
  const graph = graphOf({
    input: [{ name: "v0" }],
    output: [{ name: `v${paths.length}` }],
    initializer: operations.map(([, width], index) => float32(`w${index}`, [2, Number(width)])),
    node: operations.map(([opType], index) => ({
      opType: opType ?? "",
      input: [`v${index}`, `w${index}`],
      output: [`v${index + 1}`],
    })),
  });
  const inits = paths.map((path, index) => ({ path, calls: [callOf(graph, [index])] }));
  const changed = new Map(more.map((init) => [init.path, init]));
  const tree = handTree(
    ...more.filter((init) => !paths.includes(init.path)),
    ...inits.map((init) => ({ ...init, ...changed.get(init.path) })),
  );
  return { graph, tree };
}

function groupsOf({ tree, graph }: Named): string[] {
  return equalBlocks(tree, graph).map((group) => group.paths.join(" "));
}

function runOf({ tree, graph }: Named): readonly string[] | null {
  return largestRun(tree, equalBlocks(tree, graph))?.paths ?? null;
}

function open(...parts: readonly string[]): Named {
  const { model, frames } = inlineFunctions(
    readSkeleton(fixturePath(...parts, "model.onnx")).model,
  );
  return named(model, frames);
}

function named(
  model: ReturnType<typeof inlineFunctions>["model"],
  frames: ReturnType<typeof inlineFunctions>["frames"],
): Named {
  assert.ok(model.graph);
  const graph = new ModelGraph(model.graph, { label: "test" });
  return { graph, tree: moduleTree(graph, { model, frames }) };
}

Deno.test("equalBlocks() groups siblings of equal structure in execution order", () => {
  const model = chain({ a: "Add:2", b: "Mul:2", c: "Add:2", d: "Add:3", e: "Mul:2", f: "Add:2" });
  assert.deepEqual(groupsOf(model), ["a c f", "b e"]);
  const [group] = equalBlocks(model.tree, model.graph);
  const call = model.tree.get("a")?.calls[0];
  assert.ok(group !== undefined && call !== undefined);
  assert.equal(group.hash, blockHash(model.graph, call));
  assert.deepEqual([group.parent, group.nodeCount], ["", 1]);
  assert.ok(Object.isFrozen(group) && Object.isFrozen(group.paths));
});

Deno.test("equalBlocks() keeps to one parent, and to modules that can be cut", () => {
  const modules = { "p.a": "Add:2", "p.b": "Add:2", "q.a": "Add:2", "q.b": "Add:2" };
  const containers = [{ path: "p", calls: [] }, { path: "q", calls: [] }];
  assert.deepEqual(groupsOf(chain(modules, containers)), ["p.a p.b", "q.a q.b"]);
  assert.deepEqual(groupsOf(chain(modules)), ["p.a p.b q.a q.b"], "no p and q: all below the root");
  const limits: ModuleInit[] = [
    { path: "p.b", isCuttable: false },
    { path: "q.b", insideBody: "If_0" },
  ];
  assert.deepEqual(groupsOf(chain(modules, [...containers, ...limits])), []);
  assert.deepEqual(groupsOf(chain({})), []);
});

Deno.test("equalBlocks() compares modules with several calls call by call", () => {
  const { graph, tree } = chain({ a: "Add:2", b: "Add:2", c: "Add:2", d: "Add:2", e: "Mul:2" });
  const calls = (...indices: number[]): GraphModule["calls"] =>
    indices.map((index) => callOf(graph, [index]));
  const two = handTree(
    { path: "m", calls: calls(0, 1) },
    { path: "n", calls: calls(2, 3) },
    { path: "o", calls: calls(4) },
  );
  assert.deepEqual(groupsOf({ graph, tree: two }), ["m n"]);
  const mixed = handTree({ path: "m", calls: calls(0, 1) }, { path: "n", calls: calls(2, 4) });
  assert.deepEqual(groupsOf({ graph, tree: mixed }), []);
  assert.equal(tree.modules.length, 6);
});

Deno.test("largestRun() takes the neighbours that make up most of the model", () => {
  assert.deepEqual(runOf(chain({ a: "Add:2", b: "Add:2", c: "Mul:2", d: "Add:2" })), ["a", "b"]);
  assert.deepEqual(
    runOf(chain({ a: "Add:2", b: "Add:2", c: "Mul:2", d: "Mul:2", e: "Mul:2" })),
    ["c", "d", "e"],
  );
  assert.deepEqual(runOf(chain({ a: "Add:2", b: "Add:2", c: "Mul:2", d: "Mul:2" })), ["a", "b"]);
  assert.equal(runOf(chain({ a: "Add:2", b: "Mul:2", c: "Add:2" })), null, "equal, not neighbours");
  assert.equal(runOf(chain({ a: "Add:2" })), null);
  const silent = [{ path: "b", calls: [] }];
  assert.deepEqual(runOf(chain({ a: "Add:2", b: "Mul:2", c: "Add:2" }, silent)), ["a", "c"]);
});

Deno.test("largestRun() weighs nodes, not modules alone", () => {
  const { graph } = chain({
    a: "Add:2",
    b: "Add:2",
    c: "Add:2",
    d: "Mul:2",
    e: "Add:2",
    f: "Mul:2",
  });
  const module = (path: string, ...nodes: number[]) => ({ path, calls: [callOf(graph, nodes)] });
  const tree = handTree(
    module("p", 0, 1, 2),
    module("p.a", 0),
    module("p.b", 1),
    module("p.c", 2),
    module("q", 2, 3),
    module("r", 4, 5),
  );
  assert.deepEqual(runOf({ graph, tree }), ["q", "r"]);
});

Deno.test("blockIds() gives equal modules one id wherever they lie, and null to the rest", () => {
  const { graph, tree } = chain(
    { "p.a": "Add:2", "q.b": "Add:2", "q.c": "Mul:2", d: "Abs:2" },
    [{ path: "p", calls: [] }],
  );
  const ids = blockIds(tree, graph);
  assert.match(ids.get("p.a") ?? "", /^[0-9a-f]{8}$/);
  assert.equal(ids.get("q.b"), ids.get("p.a"));
  assert.deepEqual([ids.get("q.c"), ids.get("d"), ids.get("p"), ids.get("")], [
    null,
    null,
    null,
    null,
  ]);
  assert.equal(ids.size, tree.modules.length);
});

Deno.test("blockIds() does not take a module and the only module in it for two", () => {
  const { graph } = chain({ a: "Add:2", b: "Mul:2" });
  const calls = [callOf(graph, [0])];
  const tree = handTree({ path: "p", calls }, { path: "p.inner", calls }, "rest");
  const ids = blockIds(tree, graph);
  assert.deepEqual([ids.get("p"), ids.get("p.inner")], [null, null]);
});

Deno.test("equalBlocks() finds the layers of PyTorch exports", () => {
  const cases = [
    { parts: ["torch", "bert"], span: "encoder.layer.[0-2]" },
    { parts: ["torch", "gpt2_past"], span: "transformer.h.[0-2]" },
    { parts: ["torch", "vit"], span: "encoder.layers.encoder_layer_[0-2]" },
    { parts: ["exports", "dynamo_vit"], span: "encoder.layers.encoder_layer_[0-2]" },
    { parts: ["exports", "functions"], span: "encoder.layer.[0-2]" },
    { parts: ["exports", "torchscript_bert_external"], span: "encoder.layer.[0-2]" },
    // This exporter lets the first layer compute shapes for the others.
    { parts: ["exports", "dynamo_bert"], span: "encoder.layer.[1-2]" },
  ];
  for (const { parts, span } of cases) {
    const model = open(...parts);
    const wanted = selectSpan(model.tree, span).map((module) => module.path);
    assert.deepEqual(runOf(model), wanted, parts.join("/"));
    const ids = blockIds(model.tree, model.graph);
    assert.equal(new Set(wanted.map((path) => ids.get(path))).size, 1);
    assert.notEqual(ids.get(wanted[0] ?? ""), null);
  }
});

Deno.test("equalBlocks() answers alike for a model given as a file and as bytes", () => {
  const file = open("torch", "bert");
  const { model, frames } = inlineFunctions(
    readSkeleton(readFixture("torch", "bert", "model.onnx")).model,
  );
  const bytes = named(model, frames);
  assert.deepEqual(equalBlocks(bytes.tree, bytes.graph), equalBlocks(file.tree, file.graph));
});
