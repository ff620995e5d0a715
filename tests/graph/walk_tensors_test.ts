import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  NodeProtoSchema,
  SparseTensorProtoSchema,
} from "onnx-buf";
import { graphTensors, nodeTensors, walkTensors } from "../../graph/walk_tensors.ts";
import { floats, functionOf, graph, modelOf, node } from "../support/build_model.ts";

function sparse(name: string) {
  return create(SparseTensorProtoSchema, {
    values: floats(`${name}.values`, [1]),
    indices: floats(`${name}.indices`, [1]),
  });
}

function sparseConstant(name: string) {
  return create(NodeProtoSchema, {
    opType: "Constant",
    attribute: [
      create(AttributeProtoSchema, {
        name: "sparse_value",
        type: AttributeType.SPARSE_TENSOR,
        sparseTensor: sparse(name),
      }),
      create(AttributeProtoSchema, {
        name: "several",
        type: AttributeType.SPARSE_TENSORS,
        sparseTensors: [sparse(`${name}.first`)],
      }),
    ],
  });
}

Deno.test("walkTensors() visits every place that a tensor can stand in, in file order", () => {
  const body = graph({
    initializers: [floats("body", [1])],
    nodes: [node("Constant", [], ["c"], { attributes: { value: floats("in body", [1]) } })],
  });
  const model = modelOf({
    initializers: [floats("weight", [1])],
    sparse: [sparse("sparse"), create(SparseTensorProtoSchema, {})],
    nodes: [
      node("If", ["x"], ["y"], { attributes: { then_branch: body } }),
      node("Switch", ["x"], ["z"], { attributes: { cases: { graphs: [body] } } }),
      sparseConstant("constant"),
    ],
    functions: [functionOf("f", {
      defaults: { value: floats("default", [1]) },
      nodes: [node("If", ["x"], ["y"], { attributes: { then_branch: body } })],
    })],
  });
  assert.deepEqual([...walkTensors(model)].map((tensor) => tensor.name), [
    "weight",
    "sparse.values",
    "sparse.indices",
    ...["body", "in body", "body", "in body"],
    "constant.values",
    "constant.indices",
    "constant.first.values",
    "constant.first.indices",
    "default",
    "body",
    "in body",
  ]);
});

Deno.test("graphTensors() and nodeTensors() visit their part alone", () => {
  const constant = node("Constant", [], ["c"], { attributes: { value: floats("value", [1]) } });
  const names = (tensors: Iterable<{ name: string }>) => [...tensors].map(({ name }) => name);
  assert.deepEqual(names(nodeTensors(constant)), ["value"]);
  assert.deepEqual(
    names(graphTensors(graph({ nodes: [constant], initializers: [floats("w", [1])] }))),
    ["w", "value"],
  );
});
