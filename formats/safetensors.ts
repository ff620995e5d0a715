// Tensors as one .safetensors file in memory. For files too large for that, safetensors_file.ts reads
// one tensor at a time; both share the header's checks.

import { emptyTensorMap, type Tensor, type TensorMap } from "../tensor/tensor.ts";
import { writeFault } from "./_file_fault.ts";
import { encodeElements, requireSound } from "./_raw_elements.ts";
import { decodeSafetensorsEntry } from "./_safetensors_entry.ts";
import {
  decodeHeader,
  decodeHeaderLength,
  LENGTH_BYTES,
  STORED_TYPES,
} from "./_safetensors_header.ts";

/**
 * Reads every tensor of a `.safetensors` file.
 *
 * Every type of the format that JavaScript can hold, `BF16` and the 8-bit floats as their bit
 * patterns. The header is held against the file as strictly as the reference implementation does: no
 * hole, no overlap, no byte left over, no name twice. Data may lie at any alignment; they are copied.
 *
 * @param bytes The whole file.
 * @param label What to call the file in an error, usually its path.
 * @returns The tensors by name, in the header's order; the object has no prototype.
 * @throws {HooklineError} FILE_FORMAT when the file is damaged or holds a type that JavaScript cannot
 * hold (`C64`, `F8_E8M0`, `F6_…`, `F4`); `openSafetensors` reads around such a tensor.
 *
 * @example
 * ```ts
 * import { decodeSafetensors, encodeSafetensors, float32 } from "@hookline/hookline";
 * const bytes = encodeSafetensors({ x: float32([1, 2], [3, 4]) });
 * console.log(decodeSafetensors(bytes, "x.safetensors").x?.data); // Float32Array [ 3, 4 ]
 * ```
 */
export function decodeSafetensors(
  bytes: Uint8Array,
  label: string,
): Record<string, Tensor> {
  const headerBytes = decodeHeaderLength(bytes, bytes.length, label);
  const { entries } = decodeHeader(
    bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + headerBytes),
    bytes.length,
    label,
  );
  const tensors = emptyTensorMap();
  for (const entry of entries) {
    const end = entry.byteOffset + entry.byteLength;
    tensors[entry.name] = decodeSafetensorsEntry(
      entry,
      bytes.subarray(entry.byteOffset, end),
      label,
    );
  }
  return tensors;
}

/**
 * Writes tensors as a `.safetensors` file, byte for byte as the reference implementation does: data
 * ordered by element type and then name (code unit order), so that the bytes do not depend on the
 * map's order and every tensor is aligned.
 *
 * @param tensors The tensors by name.
 * @param metadata Free text kept in the header under `__metadata__`, sorted by key.
 * @throws {HooklineError} FEED_DATA when a tensor's dtype, shape and data do not fit together;
 * FILE_WRITE for a `string` tensor (the format has none), a tensor named `__metadata__`, or a name
 * that holds half a surrogate pair.
 *
 * @example
 * ```ts
 * import { encodeSafetensors, float32 } from "@hookline/hookline";
 * const bytes = encodeSafetensors({ x: float32([1], [1]) }, { source: "demo" });
 * console.log(bytes.length % 4); // 0
 * ```
 */
export function encodeSafetensors(
  tensors: TensorMap,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const sorted = Object.entries(tensors).map(([name, value]) => {
    requireSound(value, name);
    const rank = STORED_TYPES.findIndex((type) => type.dtype === value.dtype);
    const type = STORED_TYPES[rank];
    if (type === undefined) {
      throw writeFault(
        "safetensors",
        name,
        `the format has no type for ${value.dtype}`,
        value.dtype === "string" ? "write string tensors as .npy or JSON" : "cast the tensor first",
      );
    }
    if (name === "__metadata__" || !name.isWellFormed()) {
      throw writeFault(
        "safetensors",
        name,
        "the format cannot hold this name",
        "rename the tensor",
      );
    }
    return { name, value, rank, storedType: type.name };
  }).sort((left, right) => right.rank - left.rank || (left.name < right.name ? -1 : 1));
  const header: (readonly [string, unknown])[] = [];
  if (metadata !== undefined) {
    const keys = Object.keys(metadata).sort();
    header.push([
      "__metadata__",
      Object.fromEntries(keys.map((key) => [key, metadata[key]])),
    ]);
  }
  let dataBytes = 0;
  const parts = sorted.map(({ name, value, storedType }) => {
    const bytes = encodeElements(value);
    const begin = dataBytes;
    dataBytes += bytes.length;
    header.push([name, {
      dtype: storedType,
      shape: value.shape,
      data_offsets: [begin, dataBytes],
    }]);
    return { bytes, begin };
  });
  const text = new TextEncoder().encode(jsonObject(header));
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const dataStart = LENGTH_BYTES + headerBytes;
  const file = new Uint8Array(dataStart + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, LENGTH_BYTES, dataStart);
  file.set(text, LENGTH_BYTES);
  for (const { bytes, begin } of parts) file.set(bytes, dataStart + begin);
  return file;
}

/**
 * An object's text with its keys in the given order, which a JavaScript object would not keep for
 * `"0"`.
 */
function jsonObject(entries: readonly (readonly [string, unknown])[]): string {
  const pairs = entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  return `{${pairs.join(",")}}`;
}
