// Visits every tensor of a model, wherever it stands: initializers, attributes, bodies, functions.

import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  SparseTensorProto,
  TensorProto,
} from "onnx-buf";

/** Every TensorProto of a model, in file order, bodies and functions included. */
export function* walkTensors(model: ModelProto): Generator<TensorProto> {
  if (model.graph !== undefined) yield* graphTensors(model.graph);
  for (const definition of model.functions) {
    for (const attribute of definition.attributeProto) yield* attributeTensors(attribute);
    for (const node of definition.node) yield* nodeTensors(node);
  }
}

/** Every TensorProto of one graph and its bodies. */
export function* graphTensors(graph: GraphProto): Generator<TensorProto> {
  yield* graph.initializer;
  for (const sparse of graph.sparseInitializer) yield* sparseTensors(sparse);
  for (const node of graph.node) yield* nodeTensors(node);
}

/** Every TensorProto in the attributes of one node and their bodies. */
export function* nodeTensors(node: NodeProto): Generator<TensorProto> {
  for (const attribute of node.attribute) yield* attributeTensors(attribute);
}

function* attributeTensors(attribute: AttributeProto): Generator<TensorProto> {
  if (attribute.t !== undefined) yield attribute.t;
  yield* attribute.tensors;
  if (attribute.sparseTensor !== undefined) yield* sparseTensors(attribute.sparseTensor);
  for (const sparse of attribute.sparseTensors) yield* sparseTensors(sparse);
  if (attribute.g !== undefined) yield* graphTensors(attribute.g);
  for (const graph of attribute.graphs) yield* graphTensors(graph);
}

function* sparseTensors(sparse: SparseTensorProto): Generator<TensorProto> {
  if (sparse.values !== undefined) yield sparse.values;
  if (sparse.indices !== undefined) yield sparse.indices;
}
