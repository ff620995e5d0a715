import assert from "node:assert/strict";
import type { GraphProto } from "onnx-buf";
import { ModelGraph } from "../../../graph/model_graph.ts";
import { groupsBetween, nodesBetween, outputsOf } from "../../../parity/repro/groups.ts";
import { modelOf, node } from "../../support/build_model.ts";

/** 0 Relu x→a, 1 Neg a→b, 2 Sin b→c, 3 Cos b→d, 4 Add c,d→y. */
const GRAPH = new ModelGraph(
  modelOf({
    nodes: [
      node("Relu", ["x"], ["a"]),
      node("Neg", ["a"], ["b"]),
      node("Sin", ["b"], ["c"]),
      node("Cos", ["b"], ["d"]),
      node("Add", ["c", "d"], ["y"]),
    ],
    inputs: ["x"],
    outputs: ["y"],
  }).graph as GraphProto,
  { label: "test" },
);
const ALL = [0, 1, 2, 3, 4];

function groupsOf(anchors: readonly string[], scope: readonly number[] = ALL) {
  return groupsBetween(GRAPH, { nodes: ALL, scope, anchors: new Set(anchors) });
}

Deno.test("groupsBetween() makes one group for each node when every value is an anchor", () => {
  const groups = groupsOf(["x", "a", "b", "c", "d", "y"]);
  assert.deepEqual(groups.map(({ nodes }) => nodes), [[0], [1], [2], [3], [4]]);
  assert.deepEqual(groups.map(({ outputs }) => outputs), [["a"], ["b"], ["c"], ["d"], ["y"]]);
});

Deno.test("groupsBetween() shares the nodes before a fork that is no anchor", () => {
  const groups = groupsOf(["x", "a", "c", "d", "y"]);
  assert.deepEqual(groups.map(({ nodes }) => nodes), [[0], [1, 2], [1, 3], [4]]);
});

Deno.test("groupsBetween() ends groups in the scope alone, and takes what leads there", () => {
  const groups = groupsOf(["x", "y"], [3, 4]);
  assert.deepEqual(groups.map(({ nodes }) => nodes), [ALL]);
});

Deno.test("nodesBetween() stops at what it is told and at the border", () => {
  const inside = new Set([1, 2, 3, 4]);
  assert.deepEqual(nodesBetween(GRAPH, ["y"], { inside, stops: new Set(["c"]) }), [1, 3, 4]);
});

Deno.test("outputsOf() hands on what is used outside and what the last group computes", () => {
  const groups = groupsOf(["x", "a", "b", "c", "d", "y"]);
  assert.deepEqual(outputsOf(GRAPH, groups.slice(0, 2)), { nodes: [0, 1], outputs: ["b"] });
  assert.deepEqual(outputsOf(GRAPH, groups.slice(1, 3)), { nodes: [1, 2], outputs: ["b", "c"] });
  assert.deepEqual(outputsOf(GRAPH, groups), { nodes: ALL, outputs: ["y"] });
});
