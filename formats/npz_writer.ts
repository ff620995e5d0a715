// A numpy .npz archive written tensor by tensor. Every entry carries its length and checksum before its
// content, so a file without a directory can be walked from the front. It knows no hook.

import { crc32 } from "node:zlib";
import type { Tensor } from "../tensor/tensor.ts";
import { fileFault, writeFault } from "./_file_fault.ts";
import { PartialFile, partialPath } from "./_partial_file.ts";
import { requireSound } from "./_raw_elements.ts";
import { WriteQueue } from "./_write_queue.ts";
import {
  encodeDirectory,
  localRecord,
  requireLimits,
  type StoredEntry,
  storedEntry,
} from "./_zip_writer.ts";
import { encodeNpy } from "./npy.ts";
import type { RecoveredTensors, TensorWriter } from "./tensor_writer.ts";

const LOCAL_SIGNATURE = 0x04034b50;

type PlacedEntry = StoredEntry & { readonly localOffset: number };

/**
 * Opens a writer for a `.npz` archive.
 *
 * Entries are stored, not packed, in the order of writing, dated 1980-01-01: the finished file equals
 * what `encodeNpz` gives for the same tensors. Until `close` it lies at `PATH.partial` without a
 * directory; {@linkcode recoverNpz} completes what a killed process left.
 *
 * @throws {HooklineError} FILE_WRITE when the file cannot be made.
 *
 * @example
 * ```ts
 * import { float32, openNpzWriter } from "@hookline/hookline";
 * await using writer = await openNpzWriter("captures.npz");
 * await writer.write("hidden/0", float32([2], [1, 2]));
 * await writer.close();
 * console.log(writer.names); // [ "hidden/0" ]
 * ```
 */
export async function openNpzWriter(path: string): Promise<TensorWriter> {
  const file = await PartialFile.open(path, "create");
  const queue = new WriteQueue(path);
  const entries: PlacedEntry[] = [];
  let end = 0;
  let isComplete = false;
  const abandon = (): Promise<void> => queue.always(() => file.close());
  return {
    path,
    get names() {
      return queue.names;
    },
    write: async (name, value) => {
      const content = npyOf(name, value); // now: the caller may reuse the buffer afterwards
      const described = storedEntry(`${name}.npy`, content);
      const record = localRecord(described);
      const check = (): void =>
        requireLimits(entries.length + 1, end + record.length + content.length);
      await queue.add(name, check, async () => {
        const entry = { ...described, localOffset: end };
        await file.write(record, end);
        await file.write(content, end + record.length);
        end += record.length + content.length;
        entries.push(entry);
      });
    },
    close: () =>
      queue.end(async () => {
        if (isComplete) return;
        await file.write(encodeDirectory(entries, end), end);
        await file.finish();
        isComplete = true;
      }),
    abandon,
    [Symbol.asyncDispose]: abandon,
  };
}

/**
 * Completes the `PATH.partial` that a writer of `PATH` left: keeps every whole tensor, cuts off the
 * rest, and gives the file its name. The archive's comment then reads `partial`.
 *
 * @throws {HooklineError} FILE_WRITE when there is no such file or it cannot be changed; FILE_FORMAT
 * when it was not written by {@linkcode openNpzWriter}.
 *
 * @example
 * ```ts
 * import { float32, openNpzWriter, recoverNpz } from "@hookline/hookline";
 * const writer = await openNpzWriter("stopped.npz");
 * await writer.write("x", float32([1], [1]));
 * await writer.abandon(); // as a crash would
 * console.log((await recoverNpz("stopped.npz")).names); // [ "x" ]
 * ```
 */
export async function recoverNpz(path: string): Promise<RecoveredTensors> {
  const file = await PartialFile.open(path, "existing");
  try {
    const length = await file.byteLength();
    const entries: (PlacedEntry & { readonly text: string })[] = [];
    let end = 0;
    for (let entry = await readEntry(file, end); entry !== null;) {
      entries.push(entry);
      end += 30 + entry.name.length + entry.byteLength;
      entry = await readEntry(file, end);
    }
    if (entries.length === 0 && length > 0) {
      throw fileFault("npz", partialPath(path), {
        found: "no whole entry at the beginning",
        wanted: "an unfinished archive of openNpzWriter",
        fix: "nothing can be recovered; capture again",
      });
    }
    await file.truncate(end);
    await file.write(encodeDirectory(entries, end, "partial"), end);
    await file.finish();
    return { names: entries.map(({ text }) => text), droppedByteLength: length - end };
  } finally {
    await file.close();
  }
}

function npyOf(name: string, value: Tensor): Uint8Array {
  requireSound(value, name);
  if (!name.isWellFormed()) {
    throw writeFault("npz", name, "its name holds half a surrogate pair", "rename it");
  }
  return encodeNpy(value);
}

/** The whole and undamaged entry at a place, or null. */
async function readEntry(
  file: PartialFile,
  at: number,
): Promise<(PlacedEntry & { readonly text: string }) | null> {
  const head = await file.read(at, 30);
  if (head.length < 30) return null;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (view.getUint32(0, true) !== LOCAL_SIGNATURE) return null;
  const crc = view.getUint32(14, true);
  const byteLength = view.getUint32(18, true);
  const nameLength = view.getUint16(26, true);
  if (at + 30 + nameLength + byteLength > await file.byteLength()) return null;
  const name = await file.read(at + 30, nameLength);
  const text = new TextDecoder().decode(name);
  const content = await file.read(at + 30 + nameLength, byteLength);
  if (!text.endsWith(".npy") || crc32(content) !== crc) return null;
  return { name, crc, byteLength, localOffset: at, text: text.slice(0, -".npy".length) };
}
