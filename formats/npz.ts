// Several tensors as a numpy .npz archive: a ZIP of .npy files. Where the bytes come from and go to
// is the caller's business.

import { emptyTensorMap, type Tensor, type TensorMap } from "../tensor/tensor.ts";
import { fileFault, quoted, writeFault } from "./_file_fault.ts";
import { requireSound } from "./_raw_elements.ts";
import { decodeZip } from "./_zip_reader.ts";
import { encodeZip } from "./_zip_writer.ts";
import { decodeNpy, encodeNpy } from "./npy.ts";

/**
 * Reads every array of a numpy `.npz` archive, as `numpy.savez` and `numpy.savez_compressed` write
 * it, ZIP64 included.
 *
 * Element types and their mapping are those of {@linkcode decodeNpy}. Declared sizes are held against
 * the bytes that are there: an archive unpacks to at most 1,032 times its own length, and entries
 * that share bytes are refused.
 *
 * @param bytes The whole file.
 * @param label What to call the file in an error; an entry is called `LABEL/ENTRY.npy`.
 * @returns The tensors by name, in the archive's order; the object has no prototype.
 * @throws {HooklineError} FILE_FORMAT when the archive or an entry is damaged, encrypted, packed by
 * another method than deflate, holds something else than `.npy` files, or names one twice.
 *
 * @example
 * ```ts
 * import { decodeNpz, encodeNpz, float32 } from "@hookline/hookline";
 * const bytes = encodeNpz({ x: float32([2], [1, 2]) });
 * console.log(decodeNpz(bytes, "inputs.npz").x?.shape); // [ 2 ]
 * ```
 */
export function decodeNpz(
  bytes: Uint8Array,
  label: string,
): Record<string, Tensor> {
  const tensors = emptyTensorMap();
  for (const entry of decodeZip(bytes, label)) {
    if (!entry.name.endsWith(".npy")) {
      throw fileFault("npz", label, {
        found: `the entry ${quoted(entry.name)}`,
        wanted: ".npy entries alone",
        fix: "remove the other files from the archive",
      });
    }
    const name = entry.name.slice(0, -".npy".length);
    if (name in tensors) {
      throw fileFault("npz", label, {
        found: `two entries named ${quoted(entry.name)}`,
        wanted: "every name once",
        fix: "save the arrays again under different names",
      });
    }
    tensors[name] = decodeNpy(entry.content(), `${label}/${entry.name}`);
  }
  return tensors;
}

/**
 * Writes tensors as a numpy `.npz` archive.
 *
 * Deterministic: entries are stored, not packed, in the order of the map's keys, all dated
 * 1980-01-01. Element types are those of {@linkcode encodeNpy}.
 *
 * @throws {HooklineError} FEED_DATA when a tensor's dtype, shape and data do not fit together;
 * FILE_WRITE when a tensor or a name cannot be written, or the archive would pass 4 GiB or 65,534
 * entries (use safetensors there).
 *
 * @example
 * ```ts
 * import { encodeNpz, float32 } from "@hookline/hookline";
 * const bytes = encodeNpz({ "encoder/out": float32([1], [0.5]) });
 * console.log(bytes[0]); // 80, the "P" of "PK"
 * ```
 */
export function encodeNpz(tensors: TensorMap): Uint8Array {
  const entries = Object.entries(tensors).map(([name, value]) => {
    requireSound(value, name);
    if (!name.isWellFormed()) {
      throw writeFault(
        "npz",
        name,
        "its name holds half a surrogate pair",
        "rename it",
      );
    }
    return { name: `${name}.npy`, content: encodeNpy(value) };
  });
  return encodeZip(entries);
}
