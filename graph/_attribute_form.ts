// Tensors and attributes as plain JSON values in which equal contents look equal, however the file
// encodes them: `raw_data` or typed fields, this order of attributes or that one. Folder-private; what
// block_hash hashes.

import { createHash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  type NodeProto,
  type SparseTensorProto,
  type TensorProto,
  type TypeProto,
  TypeProtoSchema,
} from "onnx-buf";
import { dtypeFromOnnx, storedByteLength } from "../tensor/dtype.ts";
import { INLINE_BYTE_LENGTH, INLINE_SHAPE_BYTE_LENGTH } from "./skim.ts";

/** A value that JSON writes in one way only. */
export type Form = string | number | boolean | readonly Form[];

/** SHA-256 in hexadecimal. */
export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/**
 * True when a constant is part of what a block computes rather than a weight: a single element, or
 * integers (of 32 or 64 bits), bools or strings that are few enough to stay in a skeleton. Narrower
 * integers are quantized weights. It depends on size alone, not on where the file keeps the elements,
 * except that an external file is never read.
 */
export function countsByValue(tensor: TensorProto): boolean {
  const info = dtypeFromOnnx(tensor.dataType);
  if (info === undefined || tensor.dataLocation === 1) return false;
  const count = elementCountOf(tensor);
  if (count === 1 || info.dtype === "string") return true;
  switch (info.dtype) {
    case "int32":
    case "int64":
    case "uint32":
    case "uint64":
    case "bool":
      return isSmall(tensor);
    default:
      return false;
  }
}

/** True when a skeleton would keep the tensor's elements. */
function isSmall(tensor: TensorProto): boolean {
  const info = dtypeFromOnnx(tensor.dataType);
  if (info === undefined || tensor.dataLocation === 1) return false;
  const mayBeShape = tensor.dims.length <= 1 && (info.dtype === "int32" || info.dtype === "int64");
  const limit = mayBeShape ? INLINE_SHAPE_BYTE_LENGTH : INLINE_BYTE_LENGTH;
  return storedByteLength(info, elementCountOf(tensor)) < limit;
}

function elementCountOf(tensor: TensorProto): number {
  return Number(tensor.dims.reduce((product, size) => product * size, 1n));
}

/** Dtype and shape. */
export function tensorType(tensor: TensorProto): Form {
  return [tensor.dataType, tensor.dims.map(String)];
}

/** Dtype, shape and elements. */
export function tensorValue(tensor: TensorProto): Form {
  const elements = tensor.dataType === 8
    ? sha256(JSON.stringify(tensor.stringData.map(hex)))
    : digest(elementBytes(tensor));
  return [tensorType(tensor), elements];
}

function digest(bytes: Uint8Array): string {
  return bytes.byteLength <= 32 ? hex(bytes) : sha256(bytes);
}

function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** The elements as `raw_data` has them, whichever field holds them. Source: onnx.proto, ONNX 1.20. */
function elementBytes(tensor: TensorProto): Uint8Array {
  if (tensor.rawData.byteLength > 0) return tensor.rawData;
  if (tensor.floatData.length > 0) return pack(tensor.floatData, 4, setFloat32);
  if (tensor.doubleData.length > 0) return pack(tensor.doubleData, 8, setFloat64);
  if (tensor.int64Data.length > 0) return pack(tensor.int64Data, 8, setInteger);
  const bitWidth = dtypeFromOnnx(tensor.dataType)?.bitWidth ?? 0;
  const width = Math.max(1, bitWidth >> 3); // two 4-bit elements share one entry, as in raw_data
  if (tensor.uint64Data.length > 0) return pack(tensor.uint64Data, width, setInteger);
  return pack(tensor.int32Data, width, (view, at, value) => setInteger(view, at, BigInt(value)));
}

function pack<T>(
  values: readonly T[],
  width: number,
  set: (view: DataView, at: number, value: T) => void,
): Uint8Array {
  const bytes = new Uint8Array(values.length * width + 8); // setInteger writes 8 bytes whatever the width
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => set(view, index * width, value));
  return bytes.subarray(0, values.length * width);
}

function setFloat32(view: DataView, at: number, value: number): void {
  view.setFloat32(at, value, true);
}

function setFloat64(view: DataView, at: number, value: number): void {
  view.setFloat64(at, value, true);
}

function setInteger(view: DataView, at: number, value: bigint): void {
  view.setBigUint64(at, BigInt.asUintN(64, value), true);
}

/** A node's attributes by name; graphs are left to the caller and only counted. */
export interface AttributesForm {
  readonly form: Form;
  /** True when an attribute holds elements that the form leaves out. */
  readonly hasWeights: boolean;
}

/** The attributes of a node. Names of values, documentation and metadata leave no trace. */
export function attributesForm(node: NodeProto): AttributesForm {
  if (node.attribute.length === 0) return NO_ATTRIBUTES;
  let hasWeights = false;
  const tensor = (held: TensorProto): Form => {
    if (isSmall(held) || countsByValue(held)) return tensorValue(held);
    hasWeights = true;
    return tensorType(held);
  };
  const sparse = (held: SparseTensorProto): Form => [
    held.dims.map(String),
    held.values === undefined ? [] : tensor(held.values),
    held.indices === undefined ? [] : tensor(held.indices),
  ];
  const form = [...node.attribute]
    .sort((left, right) => left.name < right.name ? -1 : left.name > right.name ? 1 : 0)
    .map((attribute): Form => [
      attribute.name,
      attribute.refAttrName,
      attribute.type,
      digest(pack([attribute.f], 4, setFloat32)),
      String(attribute.i),
      digest(attribute.s),
      attribute.floats.length,
      digest(pack(attribute.floats, 4, setFloat32)),
      attribute.ints.length,
      digest(pack(attribute.ints, 8, setInteger)),
      attribute.strings.map(digest),
      attribute.t === undefined ? [] : tensor(attribute.t),
      attribute.tensors.map(tensor),
      attribute.sparseTensor === undefined ? [] : sparse(attribute.sparseTensor),
      attribute.sparseTensors.map(sparse),
      attribute.tp === undefined ? [] : typeForm(attribute.tp),
      attribute.typeProtos.map(typeForm),
      graphCount(attribute),
    ]);
  return { form, hasWeights };
}

const NO_ATTRIBUTES: AttributesForm = Object.freeze({ form: [], hasWeights: false });

function typeForm(type: TypeProto): Form {
  return digest(toBinary(TypeProtoSchema, type));
}

function graphCount(attribute: AttributeProto): number {
  return (attribute.g === undefined ? 0 : 1) + attribute.graphs.length;
}

/** A sparse constant: its values are weights. */
export function sparseType(sparse: SparseTensorProto): Form {
  return [
    sparse.dims.map(String),
    sparse.values === undefined ? [] : tensorType(sparse.values),
    sparse.indices === undefined ? [] : tensorType(sparse.indices),
  ];
}
