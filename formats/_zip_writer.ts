// Writes just enough ZIP for .npz: stored entries, whose bytes depend on the arguments alone. The
// records are apart, so that an archive can be written as a whole or entry by entry.
// Source: https://pkware.cachefly.net/webdocs/APPNOTE/APPNOTE-6.3.10.TXT, 4.3

import { crc32 } from "node:zlib";
import { writeFault } from "./_file_fault.ts";

const END_SIGNATURE = 0x06054b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const FULL_16 = 0xffff;
const FULL_32 = 0xffffffff;

/** What the records of a stored entry say. */
export interface StoredEntry {
  readonly name: Uint8Array;
  readonly crc: number;
  readonly byteLength: number;
}

/** Describes a stored entry; FILE_WRITE when its name is too long. */
export function storedEntry(name: string, content: Uint8Array): StoredEntry {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > FULL_16) {
    throw writeFault(
      "npz",
      null,
      "its name is longer than 65,535 bytes",
      "write a .safetensors file",
    );
  }
  return { name: bytes, crc: crc32(content), byteLength: content.length };
}

/** The record before an entry's content. */
export function localRecord(entry: StoredEntry): Uint8Array {
  const record = new Uint8Array(30 + entry.name.length);
  const view = new DataView(record.buffer);
  view.setUint32(0, LOCAL_SIGNATURE, true);
  describe(view, 4, entry);
  record.set(entry.name, 30);
  return record;
}

/** The directory and the end of an archive. `directoryStart` is where it will lie. */
export function encodeDirectory(
  entries: readonly (StoredEntry & { readonly localOffset: number })[],
  directoryStart: number,
  comment = "",
): Uint8Array {
  const text = new TextEncoder().encode(comment);
  const directoryBytes = entries.reduce((sum, { name }) => sum + 46 + name.length, 0);
  requireLimits(entries.length, directoryStart + directoryBytes + 22 + text.length);
  const bytes = new Uint8Array(directoryBytes + 22 + text.length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const entry of entries) {
    view.setUint32(at, CENTRAL_SIGNATURE, true);
    view.setUint16(at + 4, 0x314, true);
    describe(view, at + 6, entry);
    view.setUint32(at + 38, 0x81a40000, true);
    view.setUint32(at + 42, entry.localOffset, true);
    bytes.set(entry.name, at + 46);
    at += 46 + entry.name.length;
  }
  view.setUint32(at, END_SIGNATURE, true);
  view.setUint16(at + 8, entries.length, true);
  view.setUint16(at + 10, entries.length, true);
  view.setUint32(at + 12, directoryBytes, true);
  view.setUint32(at + 16, directoryStart, true);
  view.setUint16(at + 20, text.length, true);
  bytes.set(text, at + 22);
  return bytes;
}

/** Refuses an archive that ZIP without its 64-bit extension cannot hold. */
export function requireLimits(entryCount: number, byteLength: number): void {
  if (byteLength < FULL_32 && entryCount < FULL_16) return;
  throw writeFault(
    "npz",
    null,
    `${entryCount} tensors of ${byteLength} bytes pass the limits of ZIP`,
    "write a .safetensors file",
  );
}

/** An archive of stored entries, dated 1980-01-01, in the given order. */
export function encodeZip(
  entries: readonly { readonly name: string; readonly content: Uint8Array }[],
): Uint8Array {
  let localOffset = 0;
  const described = entries.map(({ name, content }) => {
    const stored = { ...storedEntry(name, content), localOffset };
    localOffset += 30 + stored.name.length + content.length;
    return { stored, content };
  });
  requireLimits(entries.length, localOffset);
  const directory = encodeDirectory(described.map(({ stored }) => stored), localOffset);
  const file = new Uint8Array(localOffset + directory.length);
  for (const { stored, content } of described) {
    const record = localRecord(stored);
    file.set(record, stored.localOffset);
    file.set(content, stored.localOffset + record.length);
  }
  file.set(directory, localOffset);
  return file;
}

/** The fields that both records of an entry share. */
function describe(view: DataView, at: number, { name, crc, byteLength }: StoredEntry): void {
  view.setUint16(at, 20, true);
  view.setUint16(at + 2, name.some((byte) => byte > 0x7f) ? 0x800 : 0, true);
  view.setUint16(at + 8, 0x21, true);
  view.setUint32(at + 10, crc, true);
  view.setUint32(at + 14, byteLength, true);
  view.setUint32(at + 18, byteLength, true);
  view.setUint16(at + 22, name.length, true);
}
