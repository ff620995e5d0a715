// The header of a .safetensors file: what it declares, checked against the length of the data, before
// any of them is read. Shared by the in-memory decoder and the streaming reader.
// Source: https://github.com/huggingface/safetensors, README "Format", tag v0.8.0

import type { DType } from "../tensor/dtype.ts";
import { exactElementCount, fileFault, quoted } from "./_file_fault.ts";
import { parseStrictJson } from "./_strict_json.ts";

/** Bytes of the length field before the header. */
export const LENGTH_BYTES = 8;
const HEADER_LIMIT = 100_000_000;

/** One element type of the format. */
export interface StoredType {
  readonly name: string;
  readonly bitWidth: number;
  /** Null where the format has a type that JavaScript cannot hold. */
  readonly dtype: DType | null;
}

/** In the order of the reference implementation, whose writer puts later types first. */
export const STORED_TYPES: readonly StoredType[] = [
  { name: "BOOL", bitWidth: 8, dtype: "bool" },
  { name: "F4", bitWidth: 4, dtype: null },
  { name: "F6_E2M3", bitWidth: 6, dtype: null },
  { name: "F6_E3M2", bitWidth: 6, dtype: null },
  { name: "U8", bitWidth: 8, dtype: "uint8" },
  { name: "I8", bitWidth: 8, dtype: "int8" },
  { name: "F8_E5M2", bitWidth: 8, dtype: "float8e5m2" },
  { name: "F8_E4M3", bitWidth: 8, dtype: "float8e4m3fn" },
  { name: "F8_E8M0", bitWidth: 8, dtype: null },
  { name: "F8_E4M3FNUZ", bitWidth: 8, dtype: "float8e4m3fnuz" },
  { name: "F8_E5M2FNUZ", bitWidth: 8, dtype: "float8e5m2fnuz" },
  { name: "I16", bitWidth: 16, dtype: "int16" },
  { name: "U16", bitWidth: 16, dtype: "uint16" },
  { name: "F16", bitWidth: 16, dtype: "float16" },
  { name: "BF16", bitWidth: 16, dtype: "bfloat16" },
  { name: "I32", bitWidth: 32, dtype: "int32" },
  { name: "U32", bitWidth: 32, dtype: "uint32" },
  { name: "F32", bitWidth: 32, dtype: "float32" },
  { name: "C64", bitWidth: 64, dtype: null },
  { name: "F64", bitWidth: 64, dtype: "float64" },
  { name: "I64", bitWidth: 64, dtype: "int64" },
  { name: "U64", bitWidth: 64, dtype: "uint64" },
];

const TYPE_OF: ReadonlyMap<string, StoredType> = new Map(
  STORED_TYPES.map((type) => [type.name, type]),
);

/** What a `.safetensors` file says about one tensor. */
export interface SafetensorsEntry {
  /** The tensor's name. */
  readonly name: string;
  /** Element type as the file spells it: `"BF16"`. */
  readonly storedType: string;
  /**
   * Element type here, or null for a type that JavaScript cannot hold (`C64`, `F8_E8M0`, `F6_…`,
   * `F4`).
   */
  readonly dtype: DType | null;
  /** Dimension sizes; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** Where the data begin, in bytes from the start of the file. */
  readonly byteOffset: number;
  /** Bytes of data. */
  readonly byteLength: number;
}

/** A checked header: entries in the header's order, and the free text metadata. */
export interface SafetensorsHeader {
  readonly entries: readonly SafetensorsEntry[];
  readonly metadata: Readonly<Record<string, string>>;
}

function damaged(label: string, found: string, wanted: string): Error {
  return fileFault("safetensors", label, {
    found,
    wanted,
    fix: "copy the file again (it looks damaged), or save it again with safetensors' save_file",
  });
}

/** The header's byte length from the first 8 bytes, checked against the file's length. */
export function decodeHeaderLength(
  start: Uint8Array,
  fileBytes: number,
  label: string,
): number {
  if (fileBytes < LENGTH_BYTES) {
    throw damaged(label, `${fileBytes} bytes`, "at least 8");
  }
  const length = new DataView(start.buffer, start.byteOffset, LENGTH_BYTES)
    .getBigUint64(0, true);
  const wanted = BigInt(Math.min(HEADER_LIMIT, fileBytes - LENGTH_BYTES));
  if (length > wanted || length < 2n) {
    throw damaged(
      label,
      `a declared header of ${length} bytes`,
      `2 to ${wanted}`,
    );
  }
  return Number(length);
}

/** Checks the header text against the length of the whole file. */
export function decodeHeader(
  header: Uint8Array,
  fileBytes: number,
  label: string,
): SafetensorsHeader {
  if (header[0] !== 0x7b) {
    throw damaged(label, "a header that does not begin with {", "a JSON object");
  }
  const parsed = parseStrictJson(header, "safetensors", label);
  const dataStart = LENGTH_BYTES + header.length;
  const entries: SafetensorsEntry[] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of Object.entries(parsed as object)) {
    if (name === "__metadata__") metadata = decodeMetadata(value, label);
    else entries.push(decodeEntry(name, value, dataStart, label));
  }
  requireFullCover(entries, dataStart, fileBytes, label);
  return { entries, metadata };
}

function decodeMetadata(
  value: unknown,
  label: string,
): Readonly<Record<string, string>> {
  const isText = typeof value === "object" && value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((text) => typeof text === "string");
  if (!isText) {
    throw damaged(label, "a __metadata__ of another form", "texts by name");
  }
  return Object.freeze(value as Record<string, string>);
}

function decodeEntry(
  name: string,
  value: unknown,
  dataStart: number,
  label: string,
): SafetensorsEntry {
  const wanted = "dtype, shape and data_offsets";
  if (typeof value !== "object" || value === null) {
    throw damaged(label, `no description of tensor ${quoted(name)}`, wanted);
  }
  const { dtype: typeName, shape, data_offsets: offsets, ...rest } = value as Readonly<
    Record<string, unknown>
  >;
  if (
    typeof typeName !== "string" || !Array.isArray(shape) ||
    !Array.isArray(offsets) || offsets.length !== 2 ||
    Object.keys(rest).length > 0
  ) {
    throw damaged(
      label,
      `a description of tensor ${quoted(name)} of another form`,
      `${wanted} alone`,
    );
  }
  const type = TYPE_OF.get(typeName);
  if (type === undefined) {
    throw fileFault("safetensors", label, {
      found: `the element type ${quoted(typeName)} of tensor ${quoted(name)}`,
      wanted: `one of ${STORED_TYPES.map((each) => each.name).join(", ")}`,
      fix: "cast the tensor before saving it",
      details: { tensor: name },
    });
  }
  const count = exactElementCount(shape);
  const [begin, end] = offsets as readonly unknown[];
  if (
    count === null || !Number.isSafeInteger(count * type.bitWidth) ||
    exactElementCount([begin]) === null || exactElementCount([end]) === null
  ) {
    throw damaged(
      label,
      `a shape or offset of tensor ${quoted(name)} that is no exact count`,
      "counts below 2^53",
    );
  }
  const bits = count * type.bitWidth;
  const byteLength = Number(end) - Number(begin);
  if (bits !== byteLength * 8) {
    throw damaged(
      label,
      `${byteLength} bytes for tensor ${quoted(name)}`,
      `${bits / 8} for ${typeName} and its shape`,
    );
  }
  return Object.freeze({
    name,
    storedType: typeName,
    dtype: type.dtype,
    shape: Object.freeze(shape as number[]),
    byteOffset: dataStart + Number(begin),
    byteLength,
  });
}

/** The format wants every byte of the data to belong to exactly one tensor. */
function requireFullCover(
  entries: readonly SafetensorsEntry[],
  dataStart: number,
  fileBytes: number,
  label: string,
): void {
  const ordered = [...entries].sort((left, right) =>
    left.byteOffset - right.byteOffset || left.byteLength - right.byteLength
  );
  let covered = dataStart;
  for (const entry of ordered) {
    if (entry.byteOffset !== covered) {
      throw damaged(
        label,
        `${entry.byteOffset < covered ? "an overlap" : "a hole"} before tensor ${
          quoted(entry.name)
        }`,
        "data side by side",
      );
    }
    covered += entry.byteLength;
  }
  if (covered !== fileBytes) {
    throw damaged(
      label,
      `${fileBytes - dataStart} bytes of data`,
      `${covered - dataStart} as the header declares`,
    );
  }
}
