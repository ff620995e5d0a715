// Makes the int8 copy of a model as ONNX Runtime's quantize_dynamic writes it: the weight of every Conv
// and MatMul of the top graph in 8 bits with one scale a tensor, its activation quantised as it comes
// (DynamicQuantizeLinear), the product in integers (ConvInteger, MatMulInteger), then scaled back and the
// bias added. Names are those of that tool. Bodies of control flow stay as they are, as they do there.
//
// Weights are symmetric, with zero point 0 (QInt8, that tool's default).
// Source: onnxruntime/python/tools/quantization/operators/{conv,matmul}.py of ONNX Runtime 1.22.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from "onnx-buf";

const FLOAT = 1;
const INT8 = 3;
const INT64 = 7;

/** The bytes of the dynamically quantised copy of a float32 model whose weights lie in the file. */
export function int8Copy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const model = fromBinary(ModelProtoSchema, bytes.slice());
  const { graph } = model;
  if (graph === undefined) throw new Error("the file holds no graph");
  const copy = new QuantisedGraph(graph);
  graph.node = graph.node.flatMap((node) => copy.convert(node));
  copy.dropUnusedWeights();
  return new Uint8Array(toBinary(ModelProtoSchema, model));
}

/** What an 8-bit tensor is called: its elements, its scale, its zero point. */
interface QuantisedNames {
  readonly elements: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

class QuantisedGraph {
  readonly #graph: GraphProto;
  readonly #weights: ReadonlyMap<string, TensorProto>;
  /** Activations and weights that are quantised already: two users share them. */
  readonly #done = new Map<string, QuantisedNames>();

  constructor(graph: GraphProto) {
    this.#graph = graph;
    this.#weights = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  }

  /** The nodes that stand in a node's place. */
  convert(node: NodeProto): NodeProto[] {
    const [activation, weight] = node.input;
    const isProduct = node.domain === "" && (node.opType === "Conv" || node.opType === "MatMul");
    const tensor = this.#weights.get(weight ?? "");
    if (!isProduct || activation === undefined || tensor?.dataType !== FLOAT) return [node];
    const nodes: NodeProto[] = [];
    const left = this.#activation(activation, nodes);
    const right = this.#weight(tensor);
    const output = node.output[0] as string;
    const product = `${output}_output_quantized`;
    nodes.push(create(NodeProtoSchema, {
      opType: node.opType === "Conv" ? "ConvInteger" : "MatMulInteger",
      name: `${node.name}_quant`,
      input: [left.elements, right.elements, left.zeroPoint, right.zeroPoint],
      output: [product],
      attribute: node.attribute,
    }));
    nodes.push(nodeOf("Cast", `${product}_cast`, [product], `${product}_cast_output`, [{
      name: "to",
      type: AttributeType.INT,
      i: BigInt(FLOAT),
    }]));
    const scales = `${node.name}_quant_scales_mul`;
    nodes.push(nodeOf("Mul", scales, [left.scale, right.scale], `${scales}:0`));
    const bias = node.input[2] ?? "";
    const scaled = bias === "" ? output : `${output}quant_scaled_output`;
    const inputs = [`${product}_cast_output`, `${scales}:0`];
    nodes.push(nodeOf("Mul", `${node.name}_quant_output_scale_mul`, inputs, scaled));
    if (bias !== "") {
      nodes.push(...this.#addBias(output, scaled, { bias, rank: tensor.dims.length }));
    }
    return nodes;
  }

  /** Takes out the float32 weights that nothing reads any more. */
  dropUnusedWeights(): void {
    const used = new Set(this.#graph.output.map(({ name }) => name));
    collectUses(this.#graph, used);
    this.#graph.initializer = this.#graph.initializer.filter(({ name }) => used.has(name));
  }

  #activation(value: string, nodes: NodeProto[]): QuantisedNames {
    const known = this.#done.get(value);
    if (known !== undefined) return known;
    const names = namesOf(value);
    this.#done.set(value, names);
    nodes.push(create(NodeProtoSchema, {
      opType: "DynamicQuantizeLinear",
      name: `${value}_QuantizeLinear`,
      input: [value],
      output: [names.elements, names.scale, names.zeroPoint],
    }));
    return names;
  }

  #weight(tensor: TensorProto): QuantisedNames {
    const known = this.#done.get(tensor.name);
    if (known !== undefined) return known;
    const names = namesOf(tensor.name);
    this.#done.set(tensor.name, names);
    const values = new Float32Array(tensor.rawData.slice().buffer);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const scale = Math.fround(largest / 127) || 1;
    const elements = Int8Array.from(values, (value) => Math.round(value / scale));
    this.#graph.initializer.push(
      tensorOf(names.elements, INT8, new Uint8Array(elements.buffer), tensor.dims),
      tensorOf(names.scale, FLOAT, new Uint8Array(Float32Array.of(scale).buffer)),
      tensorOf(names.zeroPoint, INT8, Uint8Array.of(0)),
    );
    return names;
  }

  /** The bias as [1, channels, 1, …], added to the scaled product. */
  #addBias(
    output: string,
    scaled: string,
    { bias, rank }: { readonly bias: string; readonly rank: number },
  ): NodeProto[] {
    const shape = `${output}_bias_reshape_shape`;
    const sizes = BigInt64Array.from({ length: rank }, (_, axis) => axis === 1 ? -1n : 1n);
    this.#graph.initializer.push(
      tensorOf(shape, INT64, new Uint8Array(sizes.buffer), [BigInt(rank)]),
    );
    const reshaped = `${output}_bias_reshape_output`;
    return [
      nodeOf("Reshape", "", [bias, shape], reshaped),
      nodeOf("Add", `${output}_bias_add`, [scaled, reshaped], output),
    ];
  }
}

function namesOf(value: string): QuantisedNames {
  return {
    elements: `${value}_quantized`,
    scale: `${value}_scale`,
    zeroPoint: `${value}_zero_point`,
  };
}

function nodeOf(
  opType: string,
  name: string,
  input: readonly string[],
  output: string,
  attribute: readonly Pick<AttributeProto, "name" | "type" | "i">[] = [],
): NodeProto {
  return create(NodeProtoSchema, {
    opType,
    name,
    input: [...input],
    output: [output],
    attribute: attribute.map((fields) => ({ ...fields })),
  });
}

function tensorOf(
  name: string,
  dataType: number,
  rawData: Uint8Array<ArrayBuffer>,
  dims: readonly bigint[] = [],
): TensorProto {
  return create(TensorProtoSchema, { name, dataType, rawData, dims: [...dims] });
}

function collectUses(graph: GraphProto, used: Set<string>): void {
  for (const node of graph.node) {
    for (const value of node.input) used.add(value);
    for (const { g } of node.attribute) {
      if (g === undefined) continue;
      for (const { name } of g.output) used.add(name);
      collectUses(g, used);
    }
  }
}
