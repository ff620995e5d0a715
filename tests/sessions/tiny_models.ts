// Models of a few nodes for the session tests, built with the full ONNX schema (onnx-buf), so that the
// engine meets the same encoding that a reader of files would. They hold no weights unless asked for.

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  TensorProto_DataLocation,
  TypeProtoSchema,
  type ValueInfoProtoSchema,
} from "onnx-buf";
import { type DType, dtypeInfo } from "../../tensor/dtype.ts";

/** One dimension: a size, a symbolic name, or null for "unknown and unnamed". */
export type Dimension = number | string | null;

/** A declared graph input or output. */
export interface ValueDeclaration {
  readonly name: string;
  readonly dtype: DType;
  /** Null leaves the rank open. */
  readonly shape: readonly Dimension[] | null;
}

/** A node with integer attributes only. */
export interface NodeDeclaration {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly ints?: Readonly<Record<string, number>>;
}

/** A float32 initializer, inline or lying in a file. */
export interface WeightDeclaration {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data?: Float32Array;
  readonly file?: { location: string; byteOffset: number; byteLength: number };
}

/** What {@linkcode buildModel} makes a model from. */
export interface ModelDeclaration {
  readonly inputs: readonly ValueDeclaration[];
  readonly outputs: readonly ValueDeclaration[];
  readonly nodes: readonly NodeDeclaration[];
  readonly weights?: readonly WeightDeclaration[];
  /** Version of the default operator set; 20 when left out. */
  readonly opset?: number;
}

function onnxType(dtype: DType): number {
  const info = dtypeInfo(dtype);
  if (info === undefined) throw new TypeError(`no dtype "${dtype}"`);
  return info.onnxType;
}

function valueInfo(
  value: ValueDeclaration,
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const shape = value.shape === null ? {} : {
    shape: {
      dim: value.shape.map((size) =>
        typeof size === "number"
          ? { value: { case: "dimValue" as const, value: BigInt(size) } }
          : typeof size === "string"
          ? { value: { case: "dimParam" as const, value: size } }
          : {}
      ),
    },
  };
  return {
    name: value.name,
    type: {
      value: {
        case: "tensorType",
        value: { elemType: onnxType(value.dtype), ...shape },
      },
    },
  };
}

/** The bytes of a model, IR version 10. */
export function buildModel(declared: ModelDeclaration): Uint8Array<ArrayBuffer> {
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [{ domain: "", version: BigInt(declared.opset ?? 20) }],
    graph: {
      name: "tiny",
      input: declared.inputs.map(valueInfo),
      output: declared.outputs.map(valueInfo),
      initializer: (declared.weights ?? []).map((weight) => ({
        name: weight.name,
        dims: weight.shape.map(BigInt),
        dataType: 1,
        ...(weight.file === undefined
          ? {
            rawData: new Uint8Array(
              (weight.data ?? new Float32Array()).slice().buffer,
            ),
          }
          : {
            dataLocation: TensorProto_DataLocation.EXTERNAL,
            externalData: [
              { key: "location", value: weight.file.location },
              { key: "offset", value: String(weight.file.byteOffset) },
              { key: "length", value: String(weight.file.byteLength) },
            ],
          }),
      })),
      node: declared.nodes.map((node, index) => ({
        name: `node_${index}`,
        opType: node.op,
        input: [...node.inputs],
        output: [...node.outputs],
        attribute: Object.entries(node.ints ?? {}).map(([name, value]) => ({
          name,
          type: AttributeProto_AttributeType.INT,
          i: BigInt(value),
        })),
      })),
    },
  });
  return new Uint8Array(toBinary(ModelProtoSchema, model));
}

/** `y = x` for one dtype. */
export function identityModel(
  dtype: DType,
  shape: readonly Dimension[] | null,
): Uint8Array<ArrayBuffer> {
  return buildModel({
    inputs: [{ name: "x", dtype, shape }],
    outputs: [{ name: "y", dtype, shape }],
    nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }],
  });
}

/** `items = [x, x]`, a sequence, and `y = x`. */
export function sequenceOutputModel(): Uint8Array<ArrayBuffer> {
  const x = valueInfo({ name: "x", dtype: "float32", shape: [1] });
  const tensorType = create(TypeProtoSchema, x.type as never);
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [{ domain: "", version: 20n }],
    graph: {
      name: "tiny",
      input: [x],
      output: [
        {
          name: "items",
          type: {
            value: { case: "sequenceType", value: { elemType: tensorType } },
          },
        },
        valueInfo({ name: "y", dtype: "float32", shape: [1] }),
      ],
      node: [
        { opType: "SequenceConstruct", input: ["x", "x"], output: ["items"] },
        { opType: "Identity", input: ["x"], output: ["y"] },
      ],
    },
  });
  return new Uint8Array(toBinary(ModelProtoSchema, model));
}
