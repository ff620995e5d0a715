// The element types of ONNX tensors: their names, numbers, sizes, and which JavaScript array holds
// them. Everything that speaks of a dtype reads this one table.

/** An element type, spelled as ONNX Runtime's JavaScript API spells it. */
export type DType =
  | "float32"
  | "uint8"
  | "int8"
  | "uint16"
  | "int16"
  | "int32"
  | "int64"
  | "string"
  | "bool"
  | "float16"
  | "float64"
  | "uint32"
  | "uint64"
  | "complex64"
  | "complex128"
  | "bfloat16"
  | "float8e4m3fn"
  | "float8e4m3fnuz"
  | "float8e5m2"
  | "float8e5m2fnuz"
  | "uint4"
  | "int4"
  | "float4e2m1"
  | "float8e8m0"
  | "uint2"
  | "int2";

/** The facts of one element type. */
export interface DTypeInfo {
  /** The name. */
  readonly dtype: DType;
  /** `TensorProto.DataType` number. Source: onnx.proto, ONNX 1.20. */
  readonly onnxType: number;
  /** Bits per element as stored in `raw_data`; 0 for strings. */
  readonly bitWidth: number;
}

const TABLE: readonly DTypeInfo[] = [
  { dtype: "float32", onnxType: 1, bitWidth: 32 },
  { dtype: "uint8", onnxType: 2, bitWidth: 8 },
  { dtype: "int8", onnxType: 3, bitWidth: 8 },
  { dtype: "uint16", onnxType: 4, bitWidth: 16 },
  { dtype: "int16", onnxType: 5, bitWidth: 16 },
  { dtype: "int32", onnxType: 6, bitWidth: 32 },
  { dtype: "int64", onnxType: 7, bitWidth: 64 },
  { dtype: "string", onnxType: 8, bitWidth: 0 },
  { dtype: "bool", onnxType: 9, bitWidth: 8 },
  { dtype: "float16", onnxType: 10, bitWidth: 16 },
  { dtype: "float64", onnxType: 11, bitWidth: 64 },
  { dtype: "uint32", onnxType: 12, bitWidth: 32 },
  { dtype: "uint64", onnxType: 13, bitWidth: 64 },
  { dtype: "complex64", onnxType: 14, bitWidth: 64 },
  { dtype: "complex128", onnxType: 15, bitWidth: 128 },
  { dtype: "bfloat16", onnxType: 16, bitWidth: 16 },
  { dtype: "float8e4m3fn", onnxType: 17, bitWidth: 8 },
  { dtype: "float8e4m3fnuz", onnxType: 18, bitWidth: 8 },
  { dtype: "float8e5m2", onnxType: 19, bitWidth: 8 },
  { dtype: "float8e5m2fnuz", onnxType: 20, bitWidth: 8 },
  { dtype: "uint4", onnxType: 21, bitWidth: 4 },
  { dtype: "int4", onnxType: 22, bitWidth: 4 },
  { dtype: "float4e2m1", onnxType: 23, bitWidth: 4 },
  { dtype: "float8e8m0", onnxType: 24, bitWidth: 8 },
  { dtype: "uint2", onnxType: 25, bitWidth: 2 },
  { dtype: "int2", onnxType: 26, bitWidth: 2 },
];

const BY_NAME: ReadonlyMap<string, DTypeInfo> = new Map(
  TABLE.map((info) => [info.dtype, info]),
);
const BY_ONNX: ReadonlyMap<number, DTypeInfo> = new Map(
  TABLE.map((info) => [info.onnxType, info]),
);

/** The facts of a dtype by its name, or undefined when ONNX has no such type. */
export function dtypeInfo(name: string): DTypeInfo | undefined {
  return BY_NAME.get(name);
}

/** The facts of a dtype by its `TensorProto.DataType` number, or undefined. */
export function dtypeFromOnnx(onnxType: number): DTypeInfo | undefined {
  return BY_ONNX.get(onnxType);
}

/** Bytes that `elementCount` elements take in `raw_data`; sub-byte types are packed, rounded up. */
export function storedByteLength(
  info: DTypeInfo,
  elementCount: number,
): number {
  return Math.ceil(info.bitWidth * elementCount / 8);
}
