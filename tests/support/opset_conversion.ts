// Converts a model to a newer version of the default operator set, as the onnx package's converter
// does: what changed between the versions is rewritten, an operator that is not known here is refused,
// so that a converted model computes what it did. Known are the operators of the models in the tests.

import type { AttributeProto, GraphProto, ModelProto, NodeProto } from "onnx-buf";
import { int64s } from "./build_model.ts";

/** The oldest IR version that knows a version of the default operator set. */
const IR_VERSIONS: Readonly<Record<number, bigint>> = { 18: 8n, 19: 9n, 20: 9n, 21: 10n };
/** Versions that a model can be converted to. */
export const TARGET_OPSETS: readonly number[] = [18, 19, 20, 21];
const OLDEST = 15;

/** Operators whose versions from 15 to 21 differ in the types that they take, if at all. */
const UNCHANGED = new Set(
  `Add And Cast Concat Constant ConstantOfShape Conv Div Equal Erf Expand Gather Gemm Greater Identity
  If InstanceNormalization LayerNormalization LessOrEqual LSTM MatMul Mul Not Pad Pow Range Relu Reshape
  Resize Shape Sigmoid Size Slice Softmax Sqrt Squeeze Sub Tanh Transpose Unsqueeze Where`
    .split(/\s+/),
);

/** Converts a model in place. */
export function convertOpset(model: ModelProto, target: number): void {
  const declared = model.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx");
  const irVersion = IR_VERSIONS[target];
  if (declared === undefined || irVersion === undefined || model.graph === undefined) {
    throw new RangeError(`no conversion to opset ${target}`);
  }
  if (declared.version < OLDEST || declared.version > target) {
    throw new RangeError(`no conversion from opset ${declared.version} to ${target}`);
  }
  if (declared.version < 18) convertGraph(model.graph, model.graph);
  declared.version = BigInt(target);
  if (model.irVersion < irVersion) model.irVersion = irVersion;
}

/** From before 18 to 18; later versions changed nothing that the known operators' models can hold. */
function convertGraph(graph: GraphProto, top: GraphProto): void {
  for (const node of graph.node) {
    for (const { g } of node.attribute) if (g !== undefined) convertGraph(g, top);
    if (node.domain !== "" || UNCHANGED.has(node.opType)) continue;
    if (node.opType === "ReduceMean") axesToInput(node, top);
    else if (node.opType === "Split") splitToCount(node, graph);
    else throw new RangeError(`no conversion of ${node.opType}`);
  }
}

/** Since 18 the axes of a reduction are an input. */
function axesToInput(node: NodeProto, top: GraphProto): void {
  const axes = node.attribute.find(({ name }) => name === "axes");
  if (axes === undefined) return;
  const name = `${node.output[0]}_axes`;
  top.initializer.push(int64s(name, axes.ints.map(Number)));
  node.input.push(name);
  remove(node, axes);
}

/** Since 18 a Split into equal parts may give their number alone, and must where no sizes are given. */
function splitToCount(node: NodeProto, graph: GraphProto): void {
  const sizes = node.input[1];
  if (sizes === undefined) throw new RangeError("no conversion of a Split without sizes");
  const producer = graph.node.find(({ output }) => output[0] === sizes);
  const tensor = producer?.attribute.find(({ name }) => name === "value")?.t ??
    graph.initializer.find(({ name }) => name === sizes);
  if (tensor === undefined) return; // sizes that are computed stay an input
  const parts = new BigInt64Array(tensor.rawData.slice().buffer);
  if (parts.some((size) => size !== parts[0])) return;
  node.input.length = 1;
  const count = structuredClone(node.attribute.find(({ name }) => name === "axis"));
  if (count === undefined) throw new RangeError("no conversion of a Split without an axis");
  count.name = "num_outputs";
  count.i = BigInt(parts.length);
  node.attribute.push(count);
}

function remove(node: NodeProto, attribute: AttributeProto): void {
  node.attribute = node.attribute.filter((candidate) => candidate !== attribute);
}
