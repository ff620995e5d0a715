// One small network in several precisions: what tools make of a file when they change its numbers.

import { create } from "@bufbuild/protobuf";
import { type NodeProto, type TensorProto, TensorProtoSchema } from "onnx-buf";
import { floats, modelBytes, node, valueInfo } from "../../support/build_model.ts";

const WIDTH = 8;
const LAYERS = 3;

function weightOf(layer: number): (index: number) => number {
  return (index) => Math.sin(index * 1.7 + layer) / 3;
}

function halfFloats(name: string, dims: readonly number[], fill: (index: number) => number) {
  const count = dims.reduce((product, size) => product * size, 1);
  const data = Float16Array.from({ length: count }, (_, index) => fill(index));
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: 10,
    rawData: new Uint8Array(data.buffer),
  });
}

function signedBytes(name: string, dims: readonly number[], fill: (index: number) => number) {
  const count = dims.reduce((product, size) => product * size, 1);
  const data = Int8Array.from({ length: count }, (_, index) => Math.round(fill(index)));
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: 3,
    rawData: new Uint8Array(data.buffer),
  });
}

interface NetworkParts {
  readonly nodes: readonly NodeProto[];
  readonly initializers: readonly TensorProto[];
}

function network({ nodes, initializers }: NetworkParts): Uint8Array<ArrayBuffer> {
  return modelBytes({
    inputs: [valueInfo("x", "float32", ["n", WIDTH])],
    outputs: [valueInfo("y", "float32", ["n", WIDTH])],
    nodes,
    initializers,
  });
}

/** Three layers `layers.0` … of a MatMul and a Relu, in float32. */
export function plainNetwork(): Uint8Array<ArrayBuffer> {
  const nodes: NodeProto[] = [];
  const initializers: TensorProto[] = [];
  for (let layer = 0; layer < LAYERS; layer++) {
    const [from, path] = [
      layer === 0 ? "x" : `/layers.${layer - 1}/act/Relu_output_0`,
      `layers.${layer}`,
    ];
    initializers.push(floats(`${path}.fc.weight`, [WIDTH, WIDTH], weightOf(layer)));
    nodes.push(
      node("MatMul", [from, `${path}.fc.weight`], [`/${path}/fc/MatMul_output_0`], {
        name: `/${path}/fc/MatMul`,
      }),
      node("Relu", [`/${path}/fc/MatMul_output_0`], [
        layer === LAYERS - 1 ? "y" : `/${path}/act/Relu_output_0`,
      ], { name: `/${path}/act/Relu` }),
    );
  }
  return network({ nodes, initializers });
}

/** The same in float16, with casts at the edges. */
export function halfNetwork(): Uint8Array<ArrayBuffer> {
  const nodes: NodeProto[] = [node("Cast", ["x"], ["x_half"], { attributes: { to: 10 } })];
  const initializers: TensorProto[] = [];
  for (let layer = 0; layer < LAYERS; layer++) {
    const path = `layers.${layer}`;
    const from = layer === 0 ? "x_half" : `/layers.${layer - 1}/act/Relu_output_0`;
    initializers.push(halfFloats(`${path}.fc.weight`, [WIDTH, WIDTH], weightOf(layer)));
    nodes.push(
      node("MatMul", [from, `${path}.fc.weight`], [`/${path}/fc/MatMul_output_0`], {
        name: `/${path}/fc/MatMul`,
      }),
      node("Relu", [`/${path}/fc/MatMul_output_0`], [`/${path}/act/Relu_output_0`], {
        name: `/${path}/act/Relu`,
      }),
    );
  }
  nodes.push(
    node("Cast", [`/layers.${LAYERS - 1}/act/Relu_output_0`], ["y"], { attributes: { to: 1 } }),
  );
  return network({ nodes, initializers });
}

/**
 * The same with the second MatMul in int8, as ONNX Runtime's tool for dynamic quantisation writes it: the
 * node that quantises an activation is named after it, and so seems to lie in the layer before.
 */
export function quantisedNetwork(): Uint8Array<ArrayBuffer> {
  const nodes: NodeProto[] = [];
  const initializers: TensorProto[] = [];
  for (let layer = 0; layer < LAYERS; layer++) {
    const [from, path] = [
      layer === 0 ? "x" : `/layers.${layer - 1}/act/Relu_output_0`,
      `layers.${layer}`,
    ];
    const [weight, out] = [`${path}.fc.weight`, `/${path}/fc/MatMul_output_0`];
    const last = layer === LAYERS - 1 ? "y" : `/${path}/act/Relu_output_0`;
    if (layer === 1) {
      const scale = 1 / 3 / 127;
      initializers.push(
        signedBytes(
          `${weight}_quantized`,
          [WIDTH, WIDTH],
          (index) => weightOf(layer)(index) / scale,
        ),
        floats(`${weight}_scale`, [1], () => scale),
        signedBytes(`${weight}_zero_point`, [1], () => 0),
      );
      nodes.push(
        node("DynamicQuantizeLinear", [from], [
          `${from}_quantized`,
          `${from}_scale`,
          `${from}_zero_point`,
        ], {
          name: `${from.replace(/_output_0$/, "")}_output_0_QuantizeLinear`,
        }),
        node(
          "MatMulInteger",
          [
            `${from}_quantized`,
            `${weight}_quantized`,
            `${from}_zero_point`,
            `${weight}_zero_point`,
          ],
          [`${out}_output_quantized`],
          { name: `/${path}/fc/MatMul_quant` },
        ),
        node("Cast", [`${out}_output_quantized`], [`${out}_cast`], {
          name: `/${path}/fc/MatMul_output_0_cast`,
          attributes: { to: 1 },
        }),
        node("Mul", [`${from}_scale`, `${weight}_scale`], [`${out}_scales`], {
          name: `/${path}/fc/MatMul_quant_scales_mul`,
        }),
        node("Mul", [`${out}_cast`, `${out}_scales`], [out], {
          name: `/${path}/fc/MatMul_quant_output_scale_mul`,
        }),
      );
    } else {
      initializers.push(floats(weight, [WIDTH, WIDTH], weightOf(layer)));
      nodes.push(node("MatMul", [from, weight], [out], { name: `/${path}/fc/MatMul` }));
    }
    nodes.push(node("Relu", [out], [last], { name: `/${path}/act/Relu` }));
  }
  return network({ nodes, initializers });
}
