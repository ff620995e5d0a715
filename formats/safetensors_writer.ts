// A .safetensors file written tensor by tensor. The header comes first in the file and is not known
// before the end, so room is kept for it: each tensor's data are appended, then its entry takes the
// place of the header's closing brace. Invariant: the header never speaks of data that are not there.

import { rename } from "node:fs/promises";
import type { Tensor } from "../tensor/tensor.ts";
import { fileFault, writeFault } from "./_file_fault.ts";
import { PartialFile, partialPath, writeFileFault } from "./_partial_file.ts";
import { encodeElements, requireSound } from "./_raw_elements.ts";
import { decodeHeader, LENGTH_BYTES, STORED_TYPES } from "./_safetensors_header.ts";
import { WriteQueue } from "./_write_queue.ts";
import type { RecoveredTensors, TensorWriter } from "./tensor_writer.ts";

/** Options of {@linkcode openSafetensorsWriter}. */
export interface SafetensorsWriterOptions {
  /** Free text for the header's `__metadata__`; the key `status` is the writer's own. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Bytes kept for the header, 64 KiB by default; a fuller one moves the data once. */
  readonly headerByteLength?: number;
}

const HEADER_BYTES = 65_536;
const COPY_BYTES = 8_388_608;
// The two states take equal room, so that completing the file changes these bytes alone.
const PARTIAL = `"status":"partial" `;
const COMPLETE = `"status":"complete"`;
const STATUS_AT = LENGTH_BYTES + `{"__metadata__":{`.length;

/**
 * Opens a writer for a `.safetensors` file.
 *
 * Tensors lie in the order of writing. The header's metadata say `status: "complete"`, and `"partial"`
 * in a file that was recovered. Until `close` the file lies at `PATH.partial`; it is a sound
 * `.safetensors` file after every `write`, and {@linkcode recoverSafetensors} makes it one again when the
 * process died within a write.
 *
 * @throws {HooklineError} FILE_WRITE when the file cannot be made.
 *
 * @example
 * ```ts
 * import { float32, openSafetensors, openSafetensorsWriter } from "@hookline/hookline";
 * await using writer = await openSafetensorsWriter("captures.safetensors");
 * await writer.write("hidden/0", float32([2], [1, 2]));
 * await writer.close();
 * await using file = await openSafetensors("captures.safetensors");
 * console.log(file.metadata.status, (await file.read("hidden/0")).shape); // complete [ 2 ]
 * ```
 */
export async function openSafetensorsWriter(
  path: string,
  options: SafetensorsWriterOptions = {},
): Promise<TensorWriter> {
  const { metadata = {}, headerByteLength = HEADER_BYTES } = options;
  const others = Object.keys(metadata).filter((key) => key !== "status").sort()
    .map((key) => `,${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`);
  const start = new TextEncoder().encode(`{"__metadata__":{${PARTIAL}${others.join("")}}`);
  let isComplete = false;
  let file = await PartialFile.open(path, "create");
  const queue = new WriteQueue(path);
  let room = roomFor(Math.max(headerByteLength, start.length + 1));
  let textEnd = LENGTH_BYTES + start.length; // where the closing brace stands
  let dataEnd = LENGTH_BYTES + room;
  await file.write(emptyHeader(room), 0);
  await file.write(closed(start), LENGTH_BYTES);
  const abandon = (): Promise<void> => queue.always(() => file.close());
  return {
    path,
    get names() {
      return queue.names;
    },
    write: async (name, value) => {
      const { storedType, bytes } = rawOf(name, value);
      await queue.add(name, () => {}, async () => {
        const begin = dataEnd - LENGTH_BYTES - room;
        const entry = new TextEncoder().encode(
          `,${JSON.stringify(name)}:${
            JSON.stringify({
              dtype: storedType,
              shape: value.shape,
              data_offsets: [begin, begin + bytes.length],
            })
          }`,
        );
        while (textEnd + entry.length + 1 > LENGTH_BYTES + room) {
          ({ file, room, dataEnd } = await moveData(file, room, dataEnd));
        }
        await file.write(bytes, dataEnd);
        await file.write(closed(entry), textEnd);
        dataEnd += bytes.length;
        textEnd += entry.length;
      });
    },
    close: () =>
      queue.end(async () => {
        if (isComplete) return;
        await file.write(new TextEncoder().encode(COMPLETE), STATUS_AT);
        await file.finish();
        isComplete = true;
      }),
    abandon,
    [Symbol.asyncDispose]: abandon,
  };
}

/**
 * Completes the `PATH.partial` that a writer of `PATH` left: keeps every whole tensor, cuts off the
 * rest, and gives the file its name. Its metadata keep `status: "partial"`.
 *
 * @throws {HooklineError} FILE_WRITE when there is no such file or it cannot be changed; FILE_FORMAT
 * when it was not written by {@linkcode openSafetensorsWriter}.
 *
 * @example
 * ```ts
 * import { float32, openSafetensorsWriter, recoverSafetensors } from "@hookline/hookline";
 * const writer = await openSafetensorsWriter("stopped.safetensors");
 * await writer.write("x", float32([1], [1]));
 * await writer.abandon(); // as a crash would
 * console.log((await recoverSafetensors("stopped.safetensors")).names); // [ "x" ]
 * ```
 */
export async function recoverSafetensors(path: string): Promise<RecoveredTensors> {
  const file = await PartialFile.open(path, "existing");
  const label = partialPath(path);
  try {
    const length = await file.byteLength();
    const head = await file.read(0, LENGTH_BYTES);
    const room = head.length < LENGTH_BYTES
      ? 0
      : Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
    const dataStart = LENGTH_BYTES + room;
    const text = new TextDecoder().decode(
      await file.read(LENGTH_BYTES, Math.min(room, length)),
    ).trimEnd();
    const kept = wholeHeader(text);
    if (kept === null || length < dataStart) {
      throw fileFault("safetensors", label, {
        found: "no header of an unfinished file",
        wanted: "an unfinished file of openSafetensorsWriter",
        fix: "nothing can be recovered; capture again",
      });
    }
    const covered = dataStart + endOf(kept);
    const header = new TextEncoder().encode(kept);
    const padded = new Uint8Array(room).fill(0x20);
    padded.set(header);
    await file.truncate(covered);
    await file.write(padded, LENGTH_BYTES);
    const { entries } = decodeHeader(padded, covered, label);
    await file.finish();
    return { names: entries.map(({ name }) => name), droppedByteLength: length - covered };
  } finally {
    await file.close();
  }
}

/** The longest beginning of a header that is whole: a torn last entry is left out. */
function wholeHeader(text: string): string | null {
  if (!text.startsWith(`{"__metadata__":{"status":`)) return null;
  for (let end = text.length; end > 0; end = text.lastIndexOf("}", end - 2) + 1) {
    for (const candidate of [text.slice(0, end), `${text.slice(0, end)}}`]) {
      try {
        JSON.parse(candidate);
        return candidate;
      } catch {
        // torn here; the next shorter beginning may be whole
      }
    }
  }
  return null;
}

/** Where the data of a header's last tensor end. */
function endOf(header: string): number {
  let end = 0;
  for (const value of Object.values(JSON.parse(header) as Record<string, unknown>)) {
    const { data_offsets: offsets } = value as { readonly data_offsets?: readonly number[] };
    if (Array.isArray(offsets)) end = Math.max(end, Number(offsets[1]));
  }
  return end;
}

/** The same file with twice the room for its header, under the same name. */
async function moveData(
  file: PartialFile,
  room: number,
  dataEnd: number,
): Promise<{ file: PartialFile; room: number; dataEnd: number }> {
  const wider = room * 2;
  const shift = wider - room;
  const target = await PartialFile.open(`${file.path}.wider`, "create");
  try {
    const header = new Uint8Array(LENGTH_BYTES + wider).fill(0x20);
    header.set(await file.read(0, LENGTH_BYTES + room));
    header.set(emptyHeader(wider).subarray(0, LENGTH_BYTES));
    await target.write(header, 0);
    for (let at = LENGTH_BYTES + room; at < dataEnd; at += COPY_BYTES) {
      const chunk = await file.read(at, Math.min(COPY_BYTES, dataEnd - at));
      await target.write(chunk, at + shift);
    }
    await target.close();
    await file.close();
    await rename(partialPath(target.path), partialPath(file.path)).catch((error: unknown) => {
      throw writeFileFault(partialPath(file.path), "it cannot be replaced", error);
    });
  } catch (error) {
    await target.discard();
    throw error;
  }
  return {
    file: await PartialFile.open(file.path, "existing"),
    room: wider,
    dataEnd: dataEnd + shift,
  };
}

function roomFor(byteLength: number): number {
  return Math.ceil(byteLength / 8) * 8;
}

/** The length field and a header of spaces. */
function emptyHeader(room: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES + room).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(room), true);
  return bytes;
}

function closed(text: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(text.length + 1).fill(0x7d);
  bytes.set(text);
  return bytes;
}

/** A tensor's stored type and a copy of its bytes: the caller may reuse the buffer afterwards. */
function rawOf(name: string, value: Tensor): { storedType: string; bytes: Uint8Array } {
  requireSound(value, name);
  const type = STORED_TYPES.find(({ dtype }) => dtype === value.dtype);
  if (type === undefined) {
    throw writeFault(
      "safetensors",
      name,
      `the format has no type for ${value.dtype}`,
      value.dtype === "string" ? "write string tensors as .npz" : "cast the tensor first",
    );
  }
  if (name === "__metadata__" || !name.isWellFormed()) {
    throw writeFault("safetensors", name, "the format cannot hold this name", "rename the tensor");
  }
  return { storedType: type.name, bytes: encodeElements(value).slice() };
}
