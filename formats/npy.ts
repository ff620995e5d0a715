// One tensor as a numpy .npy file. It knows no graph and no file system; a decoded tensor shares no
// memory with the bytes. Nothing in the file is trusted before it is checked against its length.
// Source: https://numpy.org/doc/2.3/reference/generated/numpy.lib.format.html

import type { DType } from "../tensor/dtype.ts";
import { type Tensor, tensor, type TensorData } from "../tensor/tensor.ts";
import { exactElementCount, fileFault, quoted, writeFault } from "./_file_fault.ts";
import { decodeNpyHeader, encodeNpyHeader, type NpyHeader } from "./_npy_header.ts";
import { decodeStrings, encodeStrings, type StringLayout } from "./_npy_strings.ts";
import {
  areBools,
  decodeElements,
  elementByteLength,
  encodeElements,
  requireSound,
} from "./_raw_elements.ts";

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const;
const HEADER_LIMIT = 1 << 20;
const RESAVE = "save it again with numpy.save(path, array)";

const DESCR_OF: Readonly<Partial<Record<DType, string>>> = {
  bool: "|b1",
  int8: "|i1",
  uint8: "|u1",
  int16: "<i2",
  uint16: "<u2",
  int32: "<i4",
  uint32: "<u4",
  int64: "<i8",
  uint64: "<u8",
  float16: "<f2",
  float32: "<f4",
  float64: "<f8",
  bfloat16: "<V2",
  float8e4m3fn: "<V1",
  float8e4m3fnuz: "<V1",
  float8e5m2: "<V1",
  float8e5m2fnuz: "<V1",
};

const DTYPE_OF: ReadonlyMap<string, DType> = new Map<string, DType>([
  ["b1", "bool"],
  ["?", "bool"],
  ["i1", "int8"],
  ["u1", "uint8"],
  ["i2", "int16"],
  ["u2", "uint16"],
  ["i4", "int32"],
  ["u4", "uint32"],
  ["i8", "int64"],
  ["u8", "uint64"],
  ["f2", "float16"],
  ["f4", "float32"],
  ["f8", "float64"],
  ["V2", "bfloat16"],
  ["V1", "uint8"],
]);

/** How the elements lie in the file. */
type Layout =
  & (StringLayout | {
    readonly kind: "numeric";
    readonly itemBytes: number;
    readonly bigEndian: boolean;
  })
  & { readonly dtype: DType };

function layoutOf(descr: string, label: string): Layout {
  const match = /^([<>|=]?)([A-Za-z?])(\d{0,9})$/.exec(descr);
  const order = match?.[1] ?? "";
  const letter = match?.[2] ?? "";
  const width = match?.[3] ?? "";
  const bigEndian = order === ">";
  const dtype = DTYPE_OF.get(letter + width);
  if (dtype !== undefined) {
    return {
      kind: "numeric",
      dtype,
      itemBytes: elementByteLength(dtype),
      bigEndian,
    };
  }
  if (width !== "" && Number(width) > 0) {
    const itemBytes = Number(width);
    if (letter === "U") {
      return {
        kind: "utf32",
        dtype: "string",
        itemBytes: itemBytes * 4,
        bigEndian,
      };
    }
    if (letter === "S" || letter === "a") {
      return { kind: "utf8", dtype: "string", itemBytes, bigEndian };
    }
  }
  throw fileFault("npy", label, {
    found: letter === "O" ? "Python objects (a pickle)" : `the element type ${quoted(descr)}`,
    wanted: "bool, an int, uint or float of at most 64 bits, or a string type",
    fix: letter === "O"
      ? "save the array with a plain dtype, e.g. array.astype(str) or array.astype(numpy.float32)"
      : "cast the array to a dtype of the model before numpy.save, e.g. array.astype(numpy.float32)",
    details: { descr: descr.slice(0, 80) },
  });
}

/** Splits the file into its header and the rest. */
function splitHeader(
  bytes: Uint8Array,
  label: string,
): { header: NpyHeader; body: Uint8Array } {
  if (!MAGIC.every((byte, index) => bytes[index] === byte)) {
    throw fileFault("npy", label, {
      found: bytes.length === 0 ? "an empty file" : "other bytes at the beginning",
      wanted: 'the magic "\\x93NUMPY"',
      fix: `check that the file is a .npy file, or ${RESAVE}`,
    });
  }
  const major = bytes[6] ?? 0;
  const minor = bytes[7] ?? 0;
  if (bytes.length >= 8 && (major < 1 || major > 3 || minor !== 0)) {
    throw fileFault("npy", label, {
      found: `format version ${major}.${minor}`,
      wanted: "version 1.0, 2.0 or 3.0",
      fix: RESAVE,
    });
  }
  const start = major === 1 ? 10 : 12;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length < start
    ? Infinity
    : major === 1
    ? view.getUint16(8, true)
    : view.getUint32(8, true);
  if (start + length > bytes.length || length > HEADER_LIMIT) {
    throw fileFault("npy", label, {
      found: `${bytes.length} bytes and a header that runs past ${
        length > HEADER_LIMIT && Number.isFinite(length) ? "1 MiB" : "the file's end"
      }`,
      wanted: "a whole header",
      fix: `copy the file again (it looks cut off), or ${RESAVE}`,
    });
  }
  const text = new TextDecoder("latin1").decode(
    bytes.subarray(start, start + length),
  );
  const header = decodeNpyHeader(text);
  if ("found" in header) {
    throw fileFault("npy", label, {
      found: header.found,
      wanted: header.wanted,
      fix: RESAVE,
    });
  }
  return { header, body: bytes.subarray(start + length) };
}

/**
 * Reads one numpy `.npy` file into a tensor.
 *
 * Takes format versions 1.0 to 3.0, either byte order, and Fortran order (transposed to row-major).
 * Element types: `?`/`b1`, `i1`–`i8`, `u1`–`u8`, `f2`, `f4`, `f8`; `U` and `S` (UTF-8) become
 * `string`, trailing NULs dropped as numpy does; `V2` is `bfloat16` and `V1` the bit patterns of an
 * 8-bit float as `uint8`, because that is what numpy writes for the types of `ml_dtypes`. Pickles are
 * never read. The tensor is a copy.
 *
 * @param bytes The whole file.
 * @param label What to call the file in an error, usually its path.
 * @throws {HooklineError} FILE_FORMAT when the bytes are no sound `.npy` file of such a type: wrong
 * magic, cut off, bytes left over, an impossible shape, an element type that no ONNX tensor has.
 *
 * @example
 * ```ts
 * import { decodeNpy, encodeNpy, float32 } from "@hookline/hookline";
 * const bytes = encodeNpy(float32([2, 2], [1, 2, 3, 4]));
 * console.log(decodeNpy(bytes, "weights.npy").shape); // [ 2, 2 ]
 * ```
 */
export function decodeNpy(bytes: Uint8Array, label: string): Tensor {
  const { header, body } = splitHeader(bytes, label);
  const layout = layoutOf(header.descr, label);
  const { shape } = header;
  const count = exactElementCount(shape);
  if (count === null) {
    throw fileFault("npy", label, {
      found: "a shape whose element count overflows",
      wanted: "a shape that multiplies out to a count below 2^53",
      fix: RESAVE,
      details: { rank: shape.length },
    });
  }
  const wantedBytes = count * layout.itemBytes;
  if (body.length !== wantedBytes) {
    throw fileFault("npy", label, {
      found: `${body.length} bytes of data`,
      wanted: `${wantedBytes} for ${quoted(header.descr)} and the shape [${
        shape.slice(0, 16).join(", ")
      }]`,
      fix: body.length < wantedBytes
        ? "copy the file again (it looks cut off)"
        : `write one array per file: ${RESAVE}`,
      details: { foundBytes: body.length, wantedBytes },
    });
  }
  if (layout.dtype === "bool" && !areBools(body)) {
    throw fileFault("npy", label, {
      found: "a bool byte that is neither 0 nor 1",
      wanted: "0 or 1",
      fix: "save the array with array.astype(bool)",
    });
  }
  const elements: TensorData = layout.kind === "numeric"
    ? decodeElements(layout.dtype, count, body, layout.bigEndian)
    : decodeStrings(body, count, layout, label);
  return tensor(
    layout.dtype,
    shape,
    header.fortranOrder && shape.length > 1 ? rowMajor(elements, shape) : elements,
  );
}

/** The same elements, column-major in, row-major out. */
function rowMajor(data: TensorData, shape: readonly number[]): TensorData {
  const count = data.length;
  const target =
    (Array.isArray(data) ? new Array<string>(count) : (data as Uint8Array).slice()) as {
      [index: number]: unknown;
    };
  const strides: number[] = [];
  let stride = 1;
  for (const size of shape) {
    strides.push(stride);
    stride *= size;
  }
  const position = shape.map(() => 0);
  let source = 0;
  for (let index = 0; index < count; index++) {
    target[index] = data[source];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 0;
      const step = strides[axis] ?? 0;
      const next = (position[axis] ?? 0) + 1;
      source += step;
      if (next < size) {
        position[axis] = next;
        break;
      }
      position[axis] = 0;
      source -= step * size;
    }
  }
  return target as TensorData;
}

/**
 * Writes a tensor as a numpy `.npy` file, byte for byte as `numpy.save` writes it.
 *
 * Little-endian, row-major, version 1.0. `string` becomes `<U…` of the longest element. `bfloat16`
 * becomes `<V2` and the 8-bit floats `<V1`, which is what numpy writes for `ml_dtypes`
 * (`numpy.load(path).view(ml_dtypes.bfloat16)` reads them); {@linkcode decodeNpy} gives `bfloat16`
 * back as itself and the 8-bit floats as their bits in `uint8`.
 *
 * @throws {HooklineError} FEED_DATA when dtype, shape and data do not fit together; FILE_WRITE when a
 * string ends in NUL or holds half a surrogate pair (numpy has no such strings), or strings would
 * take more than 4 GiB.
 *
 * @example
 * ```ts
 * import { encodeNpy, float32 } from "@hookline/hookline";
 * console.log(encodeNpy(float32([3], [1, 2, 3])).length); // 140
 * ```
 */
export function encodeNpy(value: Tensor): Uint8Array {
  requireSound(value, null);
  if (value.dtype === "string") {
    const { descr, body } = encodeStrings(value.data as readonly string[]);
    return joined(encodeNpyHeader(descr, value.shape), body);
  }
  const descr = DESCR_OF[value.dtype];
  if (descr === undefined) {
    throw writeFault(
      "npy",
      null,
      `numpy has no type for ${value.dtype}`,
      "cast the tensor first",
    );
  }
  return joined(encodeNpyHeader(descr, value.shape), encodeElements(value));
}

function joined(head: Uint8Array, body: Uint8Array): Uint8Array {
  const file = new Uint8Array(head.length + body.length);
  file.set(head);
  file.set(body, head.length);
  return file;
}
