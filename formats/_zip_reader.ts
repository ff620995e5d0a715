// Reads just enough ZIP for .npz and trusts no declared size. It knows no tensors.
// Source: https://pkware.cachefly.net/webdocs/APPNOTE/APPNOTE-6.3.10.TXT, 4.3 and 4.5.3

import { crc32, inflateRawSync } from "node:zlib";
import { fileFault, quoted } from "./_file_fault.ts";

const END_SIGNATURE = 0x06054b50;
const END64_SIGNATURE = 0x06064b50;
const LOCATOR64_SIGNATURE = 0x07064b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const FULL_16 = 0xffff;
const FULL_32 = 0xffffffff;
/** DEFLATE cannot expand further than this, so a larger declared size is a lie. */
const DEFLATE_RATIO_LIMIT = 1032;

/** One file inside an archive; `content` unpacks and checks it. */
export interface ZipEntry {
  readonly name: string;
  readonly content: () => Uint8Array;
}

interface CentralEntry {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packedBytes: number;
  readonly byteLength: number;
  readonly localOffset: number;
}

/** The archive's entries in the order of its directory; entries that overlap are refused. */
export function decodeZip(bytes: Uint8Array, label: string): ZipEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const damaged = (found: string, wanted: string) =>
    fileFault("npz", label, {
      found,
      wanted,
      fix: "copy the file again (it looks damaged), or save it again with numpy.savez",
    });
  const directory = findDirectory(view, damaged);
  const entries = decodeDirectory(bytes, view, directory, damaged);
  const spans = entries.map((entry) => {
    const start = entry.localOffset;
    if (
      start + 30 > directory.start ||
      view.getUint32(start, true) !== LOCAL_SIGNATURE
    ) {
      throw damaged(`no entry header for ${quoted(entry.name)}`, "one");
    }
    const dataStart = start + 30 + view.getUint16(start + 26, true) +
      view.getUint16(start + 28, true);
    return { start, dataStart, end: dataStart + entry.packedBytes };
  });
  let covered = 0;
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    if (span.start < covered || span.end > directory.start) {
      throw damaged(
        "entries that overlap or run past the directory",
        "entries side by side",
      );
    }
    covered = span.end;
  }
  return entries.map((entry, index) => {
    const span = spans[index];
    const packed = bytes.subarray(span?.dataStart ?? 0, span?.end ?? 0);
    return {
      name: entry.name,
      content: () => unpack(entry, packed, damaged),
    };
  });
}

type Damaged = (found: string, wanted: string) => Error;

interface Directory {
  readonly start: number;
  readonly end: number;
  readonly count: number;
}

function findDirectory(view: DataView, damaged: Damaged): Directory {
  const last = view.byteLength - 22;
  let at = -1;
  for (let offset = last; offset >= Math.max(0, last - FULL_16); offset--) {
    if (
      view.getUint32(offset, true) === END_SIGNATURE &&
      offset + 22 + view.getUint16(offset + 20, true) === view.byteLength
    ) {
      at = offset;
      break;
    }
  }
  if (at < 0) throw damaged("no end of a ZIP directory", "a whole ZIP archive");
  let count = view.getUint16(at + 10, true);
  let byteLength = view.getUint32(at + 12, true);
  let start = view.getUint32(at + 16, true);
  let disk = view.getUint16(at + 4, true);
  let limit = at;
  const is64 = count === FULL_16 || byteLength === FULL_32 || start === FULL_32;
  if (
    is64 && at >= 20 && view.getUint32(at - 20, true) === LOCATOR64_SIGNATURE
  ) {
    const end64 = Number(view.getBigUint64(at - 12, true));
    if (
      end64 + 56 > at - 20 || view.getUint32(end64, true) !== END64_SIGNATURE
    ) {
      throw damaged("no ZIP64 directory end", "one where the locator points");
    }
    disk = view.getUint32(end64 + 16, true);
    count = Number(view.getBigUint64(end64 + 32, true));
    byteLength = Number(view.getBigUint64(end64 + 40, true));
    start = Number(view.getBigUint64(end64 + 48, true));
    limit = end64;
  }
  if (disk !== 0) throw damaged("one part of a split archive", "one file");
  if (start + byteLength > limit || count * 46 > byteLength) {
    throw damaged(
      "a directory larger than its place",
      "one inside the file",
    );
  }
  return { start, end: start + byteLength, count };
}

function decodeDirectory(
  bytes: Uint8Array,
  view: DataView,
  directory: Directory,
  damaged: Damaged,
): CentralEntry[] {
  const entries: CentralEntry[] = [];
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let at = directory.start;
  for (let index = 0; index < directory.count; index++) {
    if (
      at + 46 > directory.end || view.getUint32(at, true) !== CENTRAL_SIGNATURE
    ) {
      throw damaged(
        `${index} directory entries`,
        `${directory.count} of them`,
      );
    }
    const nameEnd = at + 46 + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    if (next > directory.end) {
      throw damaged(
        "a directory entry that runs past the directory",
        "whole entries",
      );
    }
    let name: string;
    try {
      name = utf8.decode(bytes.subarray(at + 46, nameEnd));
    } catch {
      throw damaged("an entry name that is no UTF-8", "a UTF-8 name");
    }
    if ((view.getUint16(at + 8, true) & 1) !== 0) {
      throw damaged(
        `the encrypted entry ${quoted(name)}`,
        "an archive without a password",
      );
    }
    const sizes = {
      byteLength: view.getUint32(at + 24, true),
      packedBytes: view.getUint32(at + 20, true),
      localOffset: view.getUint32(at + 42, true),
    };
    widenSizes(sizes, view, nameEnd, extraEnd);
    entries.push({
      name,
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      ...sizes,
    });
    at = next;
  }
  return entries;
}

/**
 * Replaces each size that reads "see the ZIP64 field" by the value of that field, if it is there.
 */
function widenSizes(
  sizes: { byteLength: number; packedBytes: number; localOffset: number },
  view: DataView,
  start: number,
  end: number,
): void {
  let at = start;
  while (at + 4 <= end) {
    const id = view.getUint16(at, true);
    const fieldEnd = at + 4 + view.getUint16(at + 2, true);
    if (id === 1 && fieldEnd <= end) {
      let value = at + 4;
      for (const key of ["byteLength", "packedBytes", "localOffset"] as const) {
        if (sizes[key] !== FULL_32 || value + 8 > fieldEnd) continue;
        sizes[key] = Number(view.getBigUint64(value, true));
        value += 8;
      }
      return;
    }
    at = fieldEnd;
  }
}

function unpack(
  entry: CentralEntry,
  packed: Uint8Array,
  damaged: Damaged,
): Uint8Array {
  const name = quoted(entry.name);
  let content = packed;
  if (entry.method === 8) {
    if (entry.byteLength > (packed.length + 1) * DEFLATE_RATIO_LIMIT) {
      throw damaged(
        `${name} declared with ${entry.byteLength} bytes for ${packed.length} packed ones`,
        "a size that deflate can reach",
      );
    }
    try {
      content = inflateRawSync(packed, {
        maxOutputLength: Math.max(1, entry.byteLength),
      });
    } catch {
      throw damaged(
        `data of ${name} that do not inflate`,
        "a deflate stream of the declared size",
      );
    }
  } else if (entry.method !== 0) {
    throw damaged(
      `${name} packed by method ${entry.method}`,
      "stored (0) or deflated (8) entries",
    );
  }
  if (content.length !== entry.byteLength) {
    throw damaged(
      `${content.length} bytes in ${name}`,
      `${entry.byteLength} as declared`,
    );
  }
  if (crc32(content) !== entry.crc) {
    throw damaged(`${name} with another checksum`, "the declared checksum");
  }
  return content;
}
