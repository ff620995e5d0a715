// A .safetensors file on disk, read one tensor at a time: a file larger than memory costs only its
// header until a tensor is asked for.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { openInputFile } from "./_input_file.ts";
import { decodeSafetensorsEntry } from "./_safetensors_entry.ts";
import {
  decodeHeader,
  decodeHeaderLength,
  LENGTH_BYTES,
  type SafetensorsEntry,
} from "./_safetensors_header.ts";

export type { SafetensorsEntry } from "./_safetensors_header.ts";

/** An open `.safetensors` file. Dispose of it, or call `close`. */
export interface SafetensorsFile extends AsyncDisposable {
  /** What the header says of each tensor, in the header's order. */
  readonly entries: readonly SafetensorsEntry[];
  /** The header's free text, by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * Reads one tensor. Calls may overlap.
   *
   * @throws {HooklineError} OPTION_INVALID when the file has no tensor of this name; FILE_FORMAT when
   * its type has no JavaScript array; FILE_READ when the file was closed, cut off or cannot be read.
   */
  read(name: string): Promise<Tensor>;
  /** Closes the file; a second call does nothing. */
  close(): Promise<void>;
}

/**
 * Opens a `.safetensors` file and checks its header; no tensor is read yet.
 *
 * The header's checks are those of `decodeSafetensors`, save that a tensor of a type without a
 * JavaScript array is listed (its `dtype` is null) and only its `read` fails.
 *
 * @throws {HooklineError} FILE_READ when the path is no file that can be read; FILE_FORMAT when the
 * header is damaged or does not describe the whole file.
 *
 * @example
 * ```ts
 * import { openSafetensors } from "@hookline/hookline";
 * async function shapes(path: string): Promise<void> {
 *   await using file = await openSafetensors(path);
 *   for (const entry of file.entries) console.log(entry.name, entry.shape);
 * }
 * console.log(typeof shapes); // function
 * ```
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await openInputFile(path);
  try {
    const start = await file.read(0, Math.min(LENGTH_BYTES, file.byteLength));
    const headerBytes = decodeHeaderLength(start, file.byteLength, path);
    const header = decodeHeader(
      await file.read(LENGTH_BYTES, headerBytes),
      file.byteLength,
      path,
    );
    const byName = new Map(header.entries.map((entry) => [entry.name, entry]));
    return {
      ...header,
      close: file.close,
      [Symbol.asyncDispose]: file.close,
      async read(name) {
        const entry = byName.get(name);
        if (entry === undefined) {
          const nearest = nearestNames(name, byName.keys());
          throw new HooklineError("OPTION_INVALID", {
            message: `cannot read tensor "${name}": "${path}" has none of this name`,
            fix: nearest.length > 0
              ? `did you mean ${nearest.join(", ")}?`
              : "list the file's entries",
            details: { file: path, tensor: name, nearest },
          });
        }
        // Refuse the type before reading what may be gigabytes.
        const bytes = entry.dtype === null
          ? new Uint8Array(0)
          : await file.read(entry.byteOffset, entry.byteLength);
        return decodeSafetensorsEntry(entry, bytes, path);
      },
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
