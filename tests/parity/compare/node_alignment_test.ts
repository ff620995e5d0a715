import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { type GraphProto, type NodeProto, NodeProtoSchema } from "onnx-buf";
import { ModelGraph } from "../../../graph/model_graph.ts";
import {
  alignedShare,
  alignNodes,
  canonicalValue,
  withIdentities,
} from "../../../parity/compare/node_alignment.ts";
import { node, valueInfo } from "../../support/build_model.ts";
import { addIdentities, renameValues, reorderNodes } from "../../support/harmless_rewrites.ts";
import { seededRandom } from "../../support/seeded_random.ts";
import { decodeModel, SUBJECT_NAMES, subjectModel } from "../../support/subject_models.ts";
import { graph as graphOf } from "../../support/build_model.ts";

const noHint = () => "";

function align(reference: ModelGraph, candidate: ModelGraph) {
  return alignNodes(
    { graph: reference, hint: noHint },
    { graph: candidate, hint: noHint },
    "decides",
  );
}

function modelGraph(nodes: readonly NodeProto[], outputs: readonly string[] = ["y"]): ModelGraph {
  return new ModelGraph(
    graphOf({ nodes, inputs: [valueInfo("x")], outputs: outputs.map((name) => valueInfo(name)) }),
    { label: "test" },
  );
}

/** A copy of a graph whose nodes can be told afterwards: each has its old index as documentation. */
function marked(proto: GraphProto): GraphProto {
  proto.node = proto.node.map((one, index) =>
    create(NodeProtoSchema, { ...one, docString: `${index}` })
  );
  return proto;
}

for (const name of SUBJECT_NAMES) {
  Deno.test(`the nodes of ${name} find their partners after being moved, renamed and copied`, async () => {
    const subject = await subjectModel(name);
    const reference = new ModelGraph(marked(decodeModel(subject.bytes).graph as GraphProto), {
      label: "reference",
    });
    const random = seededRandom(5);
    const proto = marked(decodeModel(subject.bytes).graph as GraphProto);
    addIdentities(proto, random);
    reorderNodes(proto, random);
    renameValues(proto, { namesOfNodes: "removed", random });
    const candidate = new ModelGraph(proto, { label: "candidate" });
    const alignment = align(reference, candidate);
    assert.equal(alignedShare(reference, candidate, alignment), 1);
    let wrong = 0;
    for (const [right, left] of alignment) {
      const [one, other] = [candidate.nodes[right], reference.nodes[left]];
      if (one?.proto.docString !== other?.proto.docString) wrong++;
    }
    // Two lookups of one table that stand in one place, say, are the same either way.
    assert.ok(wrong <= 0.02 * alignment.size, `${wrong} of ${alignment.size}`);
  });
}

const ROW = (middle: string): readonly NodeProto[] => [
  node("Relu", ["x"], ["a"]),
  node(middle, ["a"], ["b"]),
  node("Sin", ["b"], ["c"]),
  node("Exp", ["c"], ["y"]),
];

Deno.test("a node of another operator stands where its neighbours do", () => {
  const alignment = align(modelGraph(ROW("Tanh")), modelGraph(ROW("Sigmoid")));
  assert.deepEqual([...alignment].sort(), [[0, 0], [1, 1], [2, 2], [3, 3]]);
});

Deno.test("what one side has more finds no partner, and the rest does", () => {
  const longer = [
    node("Relu", ["x"], ["a"]),
    node("Tanh", ["a"], ["b"]),
    node("Neg", ["b"], ["n"]),
    node("Sin", ["n"], ["c"]),
    node("Exp", ["c"], ["y"]),
  ];
  const alignment = align(modelGraph(ROW("Tanh")), modelGraph(longer));
  assert.deepEqual([...alignment].sort(), [[0, 0], [1, 1], [3, 2], [4, 3]]);
});

Deno.test("inputs of one operator are told apart by their places", () => {
  const swapped = (left: string, right: string) => [
    node("Relu", ["x"], [left]),
    node("Relu", ["x"], [right]),
    node("Sub", ["a", "b"], ["y"]),
  ];
  const alignment = align(modelGraph(swapped("a", "b")), modelGraph(swapped("b", "a")));
  assert.deepEqual([...alignment].sort(), [[0, 1], [1, 0], [2, 2]]);
});

Deno.test("hints decide between equals, or must agree", () => {
  const twins = [
    node("Relu", ["x"], ["a"]),
    node("Relu", ["x"], ["b"]),
    node("Sum", ["a", "b"], ["y"]),
  ];
  const sides = [modelGraph(twins, ["y", "a", "b"]), modelGraph(twins, ["y", "b", "a"])] as const;
  const hints = ["one", "two", ""];
  const other = ["two", "one", ""];
  const aligned = (use: "decides" | "must agree") =>
    alignNodes(
      { graph: sides[0], hint: (index) => hints[index] ?? "" },
      { graph: sides[1], hint: (index) => other[index] ?? "" },
      use,
    );
  assert.deepEqual(aligned("must agree").get(0), 1);
  const plain = modelGraph(ROW("Tanh"));
  const named = (hint: string) => ({
    graph: plain,
    hint: (index: number) => index === 1 ? hint : "",
  });
  assert.equal(alignNodes(named("p"), named("q"), "decides").size, 4);
  assert.equal(alignNodes(named("p"), named("q"), "must agree").get(1), 1); // by its neighbours
});

Deno.test("Identity nodes are looked through, and taken along where they lie between", () => {
  const graph = modelGraph([
    node("Relu", ["x"], ["a"]),
    node("Identity", ["a"], ["i"]),
    node("Identity", ["i"], ["j"]),
    node("Tanh", ["j"], ["b"]),
    node("Identity", ["b"], ["y"]),
  ]);
  assert.equal(canonicalValue(graph, "j"), "a");
  assert.equal(canonicalValue(graph, "y"), "b");
  assert.deepEqual(withIdentities(graph, [0, 3]), [0, 1, 2, 3]);
  assert.deepEqual(withIdentities(graph, [3]), [3]);
});

Deno.test("a node that was put between casts stands where it stood without them", () => {
  const cast = (to: number) => ({ attributes: { to } });
  const between = [
    node("Relu", ["x"], ["a"]),
    node("Cast", ["a"], ["half"], cast(10)),
    node("Tanh", ["half"], ["t"]),
    node("Cast", ["t"], ["b"], cast(1)),
    node("Sin", ["b"], ["c"]),
    node("Exp", ["c"], ["y"]),
  ];
  const alignment = align(modelGraph(ROW("Tanh")), modelGraph(between));
  assert.deepEqual([...alignment].sort(), [[0, 0], [2, 1], [4, 2], [5, 3]]);
});
