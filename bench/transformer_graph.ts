// The graph of the benchmark transformer: its nodes, weights, inputs and outputs, with the names that
// PyTorch's TorchScript exporter gives, so that module paths can be told from them. It knows no bytes.
//
// One block is LayerNormalization, attention, a residual Add, LayerNormalization, an MLP with
// the Erf form of Gelu, a residual Add. Tree: `blocks.N` with `ln1`, `attn` (`q`, `k`, `v`, `proj`),
// `ln2`, `mlp` (`fc1`, `act`, `fc2`), then `norm`; with a vocabulary also `embed` and `head`.

import { create } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType,
  type NodeProto,
  NodeProtoSchema,
  TensorProtoSchema,
} from "onnx-buf";
import type { WeightDtype, WeightSpec } from "./seeded_weights.ts";

/** The sizes of a transformer, all decided. */
export interface TransformerShape {
  /** Number of blocks. */
  readonly blocks: number;
  /** Size of the residual stream. */
  readonly width: number;
  /** Attention heads; divides `width`. */
  readonly heads: number;
  /** Hidden size of the MLP over `width`. */
  readonly mlpRatio: number;
  /** Element type of weights and activations. */
  readonly dtype: WeightDtype;
  /** Size of the vocabulary, or null when the input is the residual stream itself. */
  readonly vocabulary: number | null;
}

/** A transformer without its weights' elements. */
export interface TransformerGraph {
  /** Nodes in execution order. */
  readonly nodes: readonly NodeProto[];
  /** Weights in the order of their use. */
  readonly weights: readonly WeightSpec[];
}

/** The name of the graph's input. */
export function inputName(vocabulary: number | null): "x" | "input_ids" {
  return vocabulary === null ? "x" : "input_ids";
}

/** The name of the graph's output. */
export function outputName(vocabulary: number | null): "y" | "logits" {
  return vocabulary === null ? "y" : "logits";
}

/** An attribute: an integer, a float (`epsilon` alone), a list of integers, or a constant's tensor. */
type Attributes = Readonly<Record<string, number | readonly number[]>>;

const ONNX_FLOAT = 1;
const ONNX_INT64 = 7;
const ONNX_FLOAT16 = 10;

/** Builds the graph. */
export function buildTransformerGraph(shape: TransformerShape): TransformerGraph {
  return new GraphBuilder(shape).build();
}

class GraphBuilder {
  readonly #shape: TransformerShape;
  readonly #nodes: NodeProto[] = [];
  readonly #weights: WeightSpec[] = [];
  /** How often a scope has used an operator: the exporter numbers from the second one on. */
  readonly #uses = new Map<string, number>();

  constructor(shape: TransformerShape) {
    this.#shape = shape;
  }

  build(): TransformerGraph {
    const { blocks, vocabulary, width } = this.#shape;
    let stream: string = inputName(vocabulary);
    if (vocabulary !== null) {
      const table = this.#weight("embed.weight", [vocabulary, width], 1);
      stream = this.#node("embed", "Gather", [table, stream]);
    }
    for (let index = 0; index < blocks; index++) stream = this.#block(`blocks.${index}`, stream);
    const last = vocabulary === null ? outputName(vocabulary) : undefined;
    stream = this.#layerNorm("norm", stream, last);
    if (vocabulary !== null) {
      const weight = this.#weight("head.weight", [width, vocabulary], 1 / Math.sqrt(width));
      this.#node("head", "MatMul", [stream, weight], {}, outputName(vocabulary));
    }
    return { nodes: this.#nodes, weights: this.#weights };
  }

  #block(scope: string, stream: string): string {
    const { width, mlpRatio, blocks } = this.#shape;
    const damped = 1 / Math.sqrt(2 * blocks); // keeps the residual stream's size whatever the depth
    const attended = this.#attention(
      `${scope}/attn`,
      this.#layerNorm(`${scope}/ln1`, stream),
      damped,
    );
    const middle = this.#node(scope, "Add", [stream, attended]);
    const mlp = `${scope}/mlp`;
    const hidden = width * mlpRatio;
    const normed = this.#layerNorm(`${scope}/ln2`, middle);
    const opened = this.#linear(`${mlp}/fc1`, normed, { from: width, to: hidden });
    const active = this.#gelu(`${mlp}/act`, opened);
    const closed = this.#linear(`${mlp}/fc2`, active, { from: hidden, to: width, gain: damped });
    return this.#node(scope, "Add", [middle, closed]);
  }

  #attention(scope: string, normed: string, damped: number): string {
    const { width, heads } = this.#shape;
    const size = { from: width, to: width };
    const [q, k, v] = ["q", "k", "v"].map((name) => {
      const projected = this.#linear(`${scope}/${name}`, normed, size);
      const target = this.#integers(scope, [0, 0, heads, width / heads]);
      const split = this.#node(scope, "Reshape", [projected, target], { allowzero: 0 });
      // Keys come transposed, ready for the product with the queries.
      return this.#node(scope, "Transpose", [split], {
        perm: name === "k" ? [0, 2, 3, 1] : [0, 2, 1, 3],
      });
    }) as [string, string, string];
    const scores = this.#node(scope, "MatMul", [q, k]);
    const root = this.#scalar(scope, Math.sqrt(width / heads));
    const scaled = this.#node(scope, "Div", [scores, root]);
    const weights = this.#node(scope, "Softmax", [scaled], { axis: -1 });
    const mixed = this.#node(scope, "MatMul", [weights, v]);
    const gathered = this.#node(scope, "Transpose", [mixed], { perm: [0, 2, 1, 3] });
    const target = this.#integers(scope, [0, 0, width]);
    const joined = this.#node(scope, "Reshape", [gathered, target], { allowzero: 0 });
    return this.#linear(`${scope}/proj`, joined, { ...size, gain: damped });
  }

  #gelu(scope: string, value: string): string {
    const inner = this.#node(scope, "Div", [value, this.#scalar(scope, Math.SQRT2)]);
    const erf = this.#node(scope, "Erf", [inner]);
    const shifted = this.#node(scope, "Add", [erf, this.#scalar(scope, 1)]);
    const product = this.#node(scope, "Mul", [value, shifted]);
    return this.#node(scope, "Mul", [product, this.#scalar(scope, 0.5)]);
  }

  #linear(
    scope: string,
    value: string,
    size: { readonly from: number; readonly to: number; readonly gain?: number },
  ): string {
    const module = modulePath(scope);
    const deviation = (size.gain ?? 1) / Math.sqrt(size.from);
    const weight = this.#weight(`${module}.weight`, [size.from, size.to], deviation);
    const bias = this.#weight(`${module}.bias`, [size.to], 0.02);
    return this.#node(scope, "Add", [bias, this.#node(scope, "MatMul", [value, weight])]);
  }

  #layerNorm(scope: string, value: string, output?: string): string {
    const module = modulePath(scope);
    const scale = this.#weight(`${module}.weight`, [this.#shape.width], 0.02, 1);
    const bias = this.#weight(`${module}.bias`, [this.#shape.width], 0.02);
    const attributes = { axis: -1, epsilon: 1e-5 };
    return this.#node(scope, "LayerNormalization", [value, scale, bias], attributes, output);
  }

  #weight(name: string, shape: readonly number[], deviation: number, mean = 0): string {
    this.#weights.push({ name, shape, mean, deviation });
    return name;
  }

  #node(
    scope: string,
    opType: string,
    input: readonly string[],
    attributes: Attributes = {},
    output?: string,
  ): string {
    const name = this.#nameIn(scope, opType);
    const value = output ?? `${name}_output_0`;
    this.#nodes.push(create(NodeProtoSchema, {
      name,
      opType,
      input: [...input],
      output: [value],
      attribute: Object.entries(attributes).map(([key, given]) => {
        if (typeof given !== "number") {
          return { name: key, type: AttributeProto_AttributeType.INTS, ints: given.map(BigInt) };
        }
        return key === "epsilon"
          ? { name: key, type: AttributeProto_AttributeType.FLOAT, f: given }
          : { name: key, type: AttributeProto_AttributeType.INT, i: BigInt(given) };
      }),
    }));
    return value;
  }

  #integers(scope: string, values: readonly number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    return this.#constant(scope, ONNX_INT64, [values.length], data);
  }

  #scalar(scope: string, value: number): string {
    return this.#shape.dtype === "float32"
      ? this.#constant(scope, ONNX_FLOAT, [], Float32Array.of(value))
      : this.#constant(scope, ONNX_FLOAT16, [], Float16Array.of(value));
  }

  #constant(
    scope: string,
    dataType: number,
    shape: readonly number[],
    data: BigInt64Array<ArrayBuffer> | Float32Array<ArrayBuffer> | Float16Array<ArrayBuffer>,
  ): string {
    const name = this.#nameIn(scope, "Constant");
    const value = `${name}_output_0`;
    this.#nodes.push(create(NodeProtoSchema, {
      name,
      opType: "Constant",
      output: [value],
      attribute: [{
        name: "value",
        type: AttributeProto_AttributeType.TENSOR,
        t: create(TensorProtoSchema, {
          dims: shape.map(BigInt),
          dataType,
          rawData: new Uint8Array(data.buffer),
        }),
      }],
    }));
    return value;
  }

  #nameIn(scope: string, opType: string): string {
    const base = `/${scope}/${opType}`;
    const uses = this.#uses.get(base) ?? 0;
    this.#uses.set(base, uses + 1);
    return uses === 0 ? base : `${base}_${uses}`;
  }
}

/** `blocks.0/attn/q` in node names is `blocks.0.attn.q` in parameter names. */
function modulePath(scope: string): string {
  return scope.replaceAll("/", ".");
}
