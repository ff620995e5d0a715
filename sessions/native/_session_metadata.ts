// What an open session declares: names, element types, sizes. Both engines must say the same.

import { type DType, dtypeFromOnnx } from "../../tensor/dtype.ts";
import type { ValueSpec } from "../engine.ts";
import type { NativeHost } from "./_native_host.ts";
import { handleIn, outCell } from "./_native_text.ts";

/** `ONNX_TYPE_TENSOR`. Source: onnxruntime_c_api.h. */
const TENSOR = 1;

/**
 * Element types that JavaScript has no array for. The numbers of ONNXTensorElementDataType are those of
 * ONNX up to 20; from 21 on types are smaller than a byte.
 */
const LARGEST_TYPE = 20;
const WITHOUT_ARRAY: readonly DType[] = ["complex64", "complex128"];

/** Inputs or outputs. */
export type ValueSide = "input" | "output";

/**
 * The declared inputs or outputs, in the graph's order.
 *
 * @throws {Error} "Unsupported data type" for an element type that cannot cross into JavaScript.
 */
export function readSpecs(
  host: NativeHost,
  session: Deno.PointerObject,
  side: ValueSide,
): readonly ValueSpec[] {
  const { api, check } = host;
  const count = outCell();
  check(
    side === "input"
      ? api.SessionGetInputCount(session, count)
      : api.SessionGetOutputCount(session, count),
  );
  return Array.from(
    { length: Number(count[0]) },
    (_, index) => readSpec(host, session, { side, index: BigInt(index) }),
  );
}

interface Place {
  readonly side: ValueSide;
  readonly index: bigint;
}

function readSpec(host: NativeHost, session: Deno.PointerObject, place: Place): ValueSpec {
  const { api, check } = host;
  const name = readName(host, session, place);
  const cell = outCell();
  check(
    place.side === "input"
      ? api.SessionGetInputTypeInfo(session, place.index, cell)
      : api.SessionGetOutputTypeInfo(session, place.index, cell),
  );
  const info = handleIn(cell);
  try {
    return { name, ...readType(host, info, name) };
  } finally {
    api.ReleaseTypeInfo(info);
  }
}

function readName(
  { api, check, environment }: NativeHost,
  session: Deno.PointerObject,
  { side, index }: Place,
): string {
  const { allocator } = environment;
  const cell = outCell();
  check(
    side === "input"
      ? api.SessionGetInputName(session, index, allocator, cell)
      : api.SessionGetOutputName(session, index, allocator, cell),
  );
  const pointer = handleIn(cell);
  const name = Deno.UnsafePointerView.getCString(pointer);
  check(api.AllocatorFree(allocator, pointer));
  return name;
}

function readType(
  { api, check }: NativeHost,
  info: Deno.PointerObject,
  name: string,
): Omit<ValueSpec, "name"> {
  const number = new Int32Array(1);
  check(api.GetOnnxTypeFromTypeInfo(info, number));
  if (number[0] !== TENSOR) return { isTensor: false, dtype: null, shape: null };
  const cell = outCell();
  check(api.CastTypeInfoToTensorInfo(info, cell));
  const tensor = handleIn(cell); // borrowed from info
  check(api.GetTensorElementType(tensor, number));
  const dtype = requireDtype(number[0] as number, name);
  check(api.GetDimensionsCount(tensor, cell));
  const rank = Number(cell[0]);
  if (rank === 0) return { isTensor: true, dtype, shape: null };
  const sizes = new BigInt64Array(rank);
  const names = outCell(rank);
  check(api.GetDimensions(tensor, sizes, BigInt(rank)));
  check(api.GetSymbolicDimensions(tensor, names, BigInt(rank)));
  const shape = Array.from(sizes, (size, axis) => {
    if (size >= 0n) return Number(size);
    const symbol = Deno.UnsafePointerView.getCString(handleIn(names, axis));
    return symbol === "" ? null : symbol;
  });
  return { isTensor: true, dtype, shape };
}

function requireDtype(onnxType: number, name: string): DType {
  const dtype = onnxType <= LARGEST_TYPE ? dtypeFromOnnx(onnxType)?.dtype : undefined;
  if (dtype === undefined || WITHOUT_ARRAY.includes(dtype)) {
    throw new Error(`Unsupported data type: ${dtype ?? `number ${onnxType}`} of "${name}"`);
  }
  return dtype;
}
