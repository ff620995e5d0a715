// Tensors as OrtValues and back. A value over a typed array borrows its memory: whoever makes one keeps
// the array until the value is released and no run uses it.

import { type DType, dtypeFromOnnx, dtypeInfo } from "../../tensor/dtype.ts";
import { allocate, elementCount, type Tensor, type TensorData } from "../../tensor/tensor.ts";
import type { NativeHost } from "./_native_host.ts";
import { handleIn, outCell, pointerTo, TextList } from "./_native_text.ts";

/** A numeric tensor's memory. */
export type NumericData = Exclude<TensorData, readonly string[]> & ArrayBufferView<ArrayBuffer>;

const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

/** Element type number and shape as the C API takes them. */
export interface NativeForm {
  readonly onnxType: number;
  readonly dims: BigInt64Array<ArrayBuffer>;
  readonly rank: bigint;
}

/** The form of a tensor. */
export function nativeForm(dtype: DType, shape: readonly number[]): NativeForm {
  const dims = new BigInt64Array(new ArrayBuffer(8 * Math.max(1, shape.length)));
  shape.forEach((size, axis) => dims[axis] = BigInt(size));
  return { onnxType: dtypeInfo(dtype)?.onnxType ?? 0, dims, rank: BigInt(shape.length) };
}

/** Memory for the elements of a tensor, never empty: ONNX Runtime takes no null address. */
export function allocateElements(dtype: DType, length: number): NumericData {
  return allocate(dtype, Math.max(1, length)) as NumericData;
}

/** A value that borrows an array's memory, `byteLength` of it. */
export function borrowedValue(
  host: NativeHost,
  form: NativeForm,
  memory: { readonly data: ArrayBufferView<ArrayBuffer>; readonly byteLength: number },
): Deno.PointerObject {
  return valueAt(host, form, pointerTo(memory.data), memory.byteLength);
}

/** A value over memory at an address, `byteLength` of it. */
export function valueAt(
  { api, check, environment }: NativeHost,
  { onnxType, dims, rank }: NativeForm,
  pointer: Deno.PointerValue,
  byteLength: number,
): Deno.PointerObject {
  const cell = outCell();
  check(api.CreateTensorWithDataAsOrtValue(
    environment.cpuMemory,
    pointer,
    BigInt(byteLength),
    dims,
    rank,
    onnxType,
    cell,
  ));
  return handleIn(cell);
}

/** A value of strings, which ONNX Runtime copies. */
export function stringValue(host: NativeHost, tensor: Tensor): Deno.PointerObject {
  const { api, check, environment } = host;
  const { onnxType, dims, rank } = nativeForm("string", tensor.shape);
  const cell = outCell();
  check(api.CreateTensorAsOrtValue(environment.allocator, dims, rank, onnxType, cell));
  const value = handleIn(cell);
  try {
    const texts = tensor.data as readonly string[];
    if (texts.length > 0) fillStrings(host, value, texts);
  } catch (error) {
    api.ReleaseValue(value);
    throw error;
  }
  return value;
}

/** A string ends at a zero for the call that fills all at once; those with one inside go one by one. */
function fillStrings(
  { api, check }: NativeHost,
  value: Deno.PointerObject,
  texts: readonly string[],
): void {
  const list = new TextList(texts.map((text) => text.includes("\0") ? "" : text));
  check(api.FillStringTensor(value, list.addresses, BigInt(texts.length)));
  const cell = outCell();
  for (const [index, text] of texts.entries()) {
    if (!text.includes("\0")) continue;
    const bytes = new TextEncoder().encode(text);
    const byteLength = BigInt(bytes.length);
    check(api.GetResizedStringTensorElementBuffer(value, BigInt(index), byteLength, cell));
    new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(handleIn(cell), bytes.length)).set(bytes);
  }
}

/** Element type and sizes of a value, wherever it lies. */
export function readForm(
  { api, check }: NativeHost,
  value: Deno.PointerObject,
): Pick<Tensor, "dtype" | "shape"> {
  const type = new Int32Array(1);
  const [dims, rank] = [outCell(), outCell()];
  check(api.GetTensorElementTypeAndShapeDataReference(value, type, dims, rank));
  const shape = readDims(dims[0] as bigint, Number(rank[0]));
  const dtype = dtypeFromOnnx(type[0] as number)?.dtype;
  if (dtype === undefined) throw new Error(`an output has the unknown type ${type[0]}`);
  return { dtype, shape };
}

/** Copies a value that ONNX Runtime made in the process's memory. */
export function readValue(host: NativeHost, value: Deno.PointerObject): Tensor {
  const { api, check } = host;
  const { dtype, shape } = readForm(host, value);
  const count = elementCount(shape);
  if (dtype === "string") return { dtype, shape, data: readStrings(host, value, count) };
  const data = allocate(dtype, count) as NumericData;
  if (count > 0) {
    const cell = outCell();
    check(api.GetTensorMutableData(value, cell));
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    Deno.UnsafePointerView.copyInto(handleIn(cell), bytes);
  }
  return { dtype, shape, data };
}

function readDims(address: bigint, rank: number): number[] {
  const pointer = Deno.UnsafePointer.create(address);
  if (rank === 0 || pointer === null) return [];
  const view = new Deno.UnsafePointerView(pointer);
  return Array.from({ length: rank }, (_, axis) => Number(view.getBigInt64(8 * axis)));
}

function readStrings(
  { api, check }: NativeHost,
  value: Deno.PointerObject,
  count: number,
): string[] {
  if (count === 0) return [];
  const total = outCell();
  check(api.GetStringTensorDataLength(value, total));
  const byteLength = Number(total[0]);
  const bytes = new Uint8Array(Math.max(1, byteLength));
  const starts = outCell(count);
  const length = BigInt(byteLength);
  check(api.GetStringTensorContent(value, bytes, length, starts, BigInt(count)));
  return Array.from(starts, (start, index) => {
    const end = index + 1 < count ? Number(starts[index + 1]) : byteLength;
    return DECODER.decode(bytes.subarray(Number(start), end));
  });
}
