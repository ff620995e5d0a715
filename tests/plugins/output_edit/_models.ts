// What the tests of output_edit share: the fixtures opened, plain ONNX Runtime beside them, hand-made
// models with a node inserted, and shards cut out of a fixture's weights.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from "onnx-buf";
import ort from "onnxruntime-node";
import {
  decodeNpy,
  type DType,
  type ErrorCode,
  HooklineError,
  type Model,
  openModel,
  type OpenOptions,
  type Tensor,
  tensor,
  type TensorMap,
} from "../../../mod.ts";
import { fixturePath, readFixture } from "../../support/fixture_path.ts";

/** The output of bert's second layer. */
export const LAYER_1 = "/encoder/layer.1/output/LayerNorm/LayerNormalization_output_0";

/** How the tests open models: nothing is rewritten, so that bits can be compared. */
export const EXACT: OpenOptions = { provider: "cpu", optimization: "disabled", threads: 1 };

/** The path of a torch fixture. */
export function torchModel(name: string): string {
  return fixturePath("torch", name, "model.onnx");
}

/** Opens a torch fixture. */
export function openTorch(name: string, options: OpenOptions = {}): Promise<Model> {
  return openModel(torchModel(name), { ...EXACT, ...options });
}

/** The inputs of a torch fixture. */
export function torchFeeds(name: string, inputs: readonly string[]): TensorMap {
  return Object.fromEntries(inputs.map((input) => {
    const file = ["torch", name, `in.${input}.npy`];
    return [input, decodeNpy(readFixture(...file), file.join("/"))];
  }));
}

/** bert's inputs. */
export const BERT_FEEDS: TensorMap = torchFeeds("bert", [
  "input_ids",
  "attention_mask",
  "token_type_ids",
]);

/** The model as onnx-buf reads it. */
export function decodeModel(path: string): ModelProto {
  return fromBinary(ModelProtoSchema, new Uint8Array(readFileSync(path)));
}

/** The bytes of a model. */
export function encodeModel(model: ModelProto): Uint8Array {
  return new Uint8Array(toBinary(ModelProtoSchema, model));
}

/** Runs a model by plain ONNX Runtime, optimization disabled. */
export async function plainRun(bytes: Uint8Array, feeds: TensorMap): Promise<TensorMap> {
  const session = await ort.InferenceSession.create(bytes, {
    graphOptimizationLevel: "disabled",
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  try {
    const given = Object.fromEntries(
      Object.entries(feeds).map(([name, { dtype, data, shape }]) => [
        name,
        new ort.Tensor(dtype as "float32", data as Float32Array, [...shape]),
      ]),
    );
    const outputs = await session.run(given);
    return Object.fromEntries(
      Object.entries(outputs).map(([name, value]) => [
        name,
        tensor(value.type as DType, value.dims, value.data as Float32Array),
      ]),
    );
  } finally {
    await session.release();
  }
}

/** A float32 initializer. */
export function weight(name: string, dims: readonly number[], data: Float32Array): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: 1,
    rawData: new Uint8Array(data.slice().buffer),
  });
}

/**
 * A copy of the model in which everybody who reads `value` reads what `op` makes of it and a constant
 * instead: the graph that a hook on its producer stands for.
 */
export function withNodeAfter(
  model: ModelProto,
  value: string,
  { op, constants }: { readonly op: string; readonly constants: readonly TensorProto[] },
): Uint8Array {
  const copy = fromBinary(ModelProtoSchema, toBinary(ModelProtoSchema, model));
  const { graph } = copy;
  assert.ok(graph !== undefined);
  const edited = `${value}/edited`;
  for (const node of graph.node) {
    node.input = node.input.map((name) => name === value ? edited : name);
  }
  const producer = graph.node.findIndex((node) => node.output.includes(value));
  const inputs = [value, ...constants.map(({ name }) => name)];
  graph.node.splice(producer + 1, 0, nodeOf(op, inputs, edited));
  graph.initializer.push(...constants);
  return encodeModel(copy);
}

/** A node of one output. */
export function nodeOf(op: string, inputs: readonly string[], output: string): NodeProto {
  return create(NodeProtoSchema, {
    name: `made/${output}`,
    opType: op,
    input: [...inputs],
    output: [output],
  });
}

/** The elements of a float32 initializer. */
export function weightOf(model: ModelProto, name: string): { dims: number[]; data: Float32Array } {
  const found = model.graph?.initializer.find((one) => one.name === name);
  assert.ok(found !== undefined && found.rawData.length > 0, name);
  return {
    dims: found.dims.map(Number),
    data: new Float32Array(found.rawData.slice().buffer as ArrayBuffer),
  };
}

/** The rows or columns from `start` to `end` of a matrix. */
export function cutMatrix(
  { dims, data }: { readonly dims: readonly number[]; readonly data: Float32Array },
  { axis, start, end }: { readonly axis: 0 | 1; readonly start: number; readonly end: number },
): { dims: number[]; data: Float32Array } {
  const [rows = 0, columns = 0] = dims;
  if (axis === 0) {
    return { dims: [end - start, columns], data: data.slice(start * columns, end * columns) };
  }
  const cut = new Float32Array(rows * (end - start));
  for (let row = 0; row < rows; row++) {
    cut.set(
      data.subarray(row * columns + start, row * columns + end),
      row * (end - start),
    );
  }
  return { dims: [rows, end - start], data: cut };
}

/** A declared float32 value with open sizes. */
function floatValue(name: string) {
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: "tensorType",
        value: {
          elemType: 1,
          shape: {
            dim: ["batch", "position"].map((dim) => ({
              value: { case: "dimParam" as const, value: dim },
            })).concat([{ value: { case: "dimParam" as const, value: `${name}/width` } }]),
          },
        },
      },
    },
  });
}

/** Where the two dense layers of a bert layer's MLP lie in the graph. */
export const MLP = {
  input: "/encoder/layer.1/attention/output/LayerNorm/LayerNormalization_output_0",
  columns: "onnx::MatMul_425",
  columnBias: "encoder.layer.1.intermediate.dense.bias",
  rows: "onnx::MatMul_426",
  rowBias: "encoder.layer.1.output.dense.bias",
  output: "/encoder/layer.1/output/dense/Add_output_0",
} as const;

/**
 * One shard of that MLP, column-parallel then row-parallel: it holds the columns `start` to `end` of the
 * first layer and the same rows of the second, so that its output is a partial sum. The second bias is
 * in the shard that starts at 0 alone. Every node keeps its name, so the module paths stay.
 */
export function mlpShard(
  model: ModelProto,
  { start, end }: { readonly start: number; readonly end: number },
): Uint8Array {
  const { graph } = model;
  assert.ok(graph !== undefined);
  const columns = cutMatrix(weightOf(model, MLP.columns), { axis: 1, start, end });
  const rows = cutMatrix(weightOf(model, MLP.rows), { axis: 0, start, end });
  const columnBias = weightOf(model, MLP.columnBias).data.slice(start, end);
  const rowBias = weightOf(model, MLP.rowBias).data;
  const wanted = new Set([MLP.output as string]);
  const nodes = graph.node.toReversed().filter((node) => {
    const isInside = node.output.some((name) => wanted.has(name)) &&
      !node.output.includes(MLP.input);
    if (isInside) { for (const input of node.input) wanted.add(input); }
    return isInside;
  }).toReversed();
  const others = graph.initializer.filter((one) =>
    wanted.has(one.name) &&
    ![MLP.columns, MLP.rows, MLP.columnBias, MLP.rowBias].includes(one.name as typeof MLP.rows)
  );
  const shard = create(ModelProtoSchema, {
    irVersion: model.irVersion,
    opsetImport: model.opsetImport,
    graph: create(GraphProtoSchema, {
      name: "shard",
      node: nodes,
      input: [floatValue(MLP.input)],
      output: [floatValue(MLP.output)],
      initializer: [
        ...others,
        weight(MLP.columns, columns.dims, columns.data),
        weight(MLP.rows, rows.dims, rows.data),
        weight(MLP.columnBias, [end - start], columnBias),
        weight(MLP.rowBias, [rowBias.length], start === 0 ? rowBias : rowBias.map(() => 0)),
      ],
    }),
  });
  return encodeModel(shard);
}

/** Asserts that two tensors are equal bit for bit. */
export function assertSameBits(actual: Tensor | undefined, expected: Tensor | undefined): void {
  assert.ok(actual !== undefined && expected !== undefined);
  assert.equal(actual.dtype, expected.dtype);
  assert.deepEqual([...actual.shape], [...expected.shape]);
  assert.equal(bitsDiffering(actual, expected), 0, "elements differ");
}

/** In how many elements two tensors of one shape differ, NaN by its bits. */
export function bitsDiffering(left: Tensor, right: Tensor): number {
  const bits = ({ data }: Tensor) => {
    assert.ok(ArrayBuffer.isView(data));
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  };
  const [a, b] = [bits(left), bits(right)];
  assert.equal(a.length, b.length);
  const width = a.length / Math.max(1, left.data.length);
  const differing = new Set<number>();
  a.forEach((byte, index) => {
    if (byte !== b[index]) differing.add(Math.floor(index / width));
  });
  return differing.size;
}

/** The largest difference of two float tensors. */
export function maxDifference(left: Tensor | undefined, right: Tensor | undefined): number {
  assert.ok(left !== undefined && right !== undefined);
  const [a, b] = [left.data as Float32Array, right.data as Float32Array];
  assert.equal(a.length, b.length);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] ?? NaN))), 0);
}

/** Whether an error, or the error that a failed hook reports as its cause, has a code and text. */
export function coded(code: ErrorCode, text?: RegExp): (error: unknown) => boolean {
  return (error) => {
    for (let one = error; one instanceof Error; one = one.cause as Error) {
      if (one instanceof HooklineError && one.code === code) {
        if (text !== undefined) assert.match(one.message, text);
        return true;
      }
    }
    return false;
  };
}
