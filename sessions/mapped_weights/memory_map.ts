// Reads the kernel's lists of a process's mappings (/proc/self/maps and smaps) and finds the pages that
// show parts of files. Pure text and numbers: nothing is opened here.
//
// Invariant: only private mappings without a page of their own are found. Dropping such a page loses
// nothing, because the file still has it.

import type { FileRange, MappedArea } from "./weight_memory.ts";

/** A private mapping of a file into a process. */
export interface MemoryMapping {
  /** First address. */
  readonly start: bigint;
  /** First address behind it. */
  readonly end: bigint;
  /** Where in the file it begins. */
  readonly byteOffset: number;
  /** The file's number in its file system. */
  readonly inode: bigint;
  /** The file. */
  readonly path: string;
}

const MAPPING = /^[0-9a-f]+-[0-9a-f]+ /;
const FILE = /^([0-9a-f]+)-([0-9a-f]+) ...p ([0-9a-f]+) \S+ (\d+) +(\/.*)$/;

/** The private file mapping that a line of `maps` or `smaps` describes; null for any other line. */
export function mappingOf(line: string): MemoryMapping | null {
  const [, start, end, offset, inode, path] = FILE.exec(line) ?? [];
  if (path === undefined || inode === undefined || offset === undefined) return null;
  return {
    start: BigInt(`0x${start}`),
    end: BigInt(`0x${end}`),
    byteOffset: Number.parseInt(offset, 16),
    inode: BigInt(inode),
    path: unescape(path),
  };
}

/** The private mappings of these files in a text of `smaps` that hold no page written by this process. */
export function cleanMappings(smaps: string, paths: ReadonlySet<string>): MemoryMapping[] {
  const found: MemoryMapping[] = [];
  let current: MemoryMapping | null = null;
  for (const line of smaps.split("\n")) {
    if (MAPPING.test(line)) {
      current = mappingOf(line);
      if (current !== null && !paths.has(current.path)) current = null;
    } else if (current !== null && line.startsWith("Anonymous:")) {
      if (/^Anonymous:\s+0 kB/.test(line)) found.push(current);
      current = null;
    }
  }
  return found;
}

/** The pages of the mappings that show the ranges; a page of a mapping that two ranges share is named once. */
export function areasIn(
  mappings: readonly MemoryMapping[],
  ranges: readonly FileRange[],
  pageByteLength: number,
): readonly MappedArea[] {
  const byPath = Map.groupBy(ranges, (range) => range.path);
  return mappings.flatMap((mapping) => {
    const byteLength = Number(mapping.end - mapping.start);
    const spans: { from: number; to: number }[] = [];
    for (const range of byPath.get(mapping.path) ?? []) {
      const from = Math.max(0, range.byteOffset - mapping.byteOffset);
      const to = Math.min(byteLength, range.byteOffset + range.byteLength - mapping.byteOffset);
      if (to <= from) continue;
      spans.push({
        from: from - from % pageByteLength,
        to: Math.min(byteLength, Math.ceil(to / pageByteLength) * pageByteLength),
      });
    }
    return merged(spans).map(({ from, to }) => ({
      address: mapping.start + BigInt(from),
      byteLength: to - from,
      path: mapping.path,
      byteOffset: mapping.byteOffset + from,
      inode: mapping.inode,
    }));
  });
}

/** Whether a mapping shows all of an area, and what the area was found to show. */
export function shows(mapping: Omit<MemoryMapping, "path">, area: MappedArea): boolean {
  return mapping.inode === area.inode && mapping.start <= area.address &&
    area.address + BigInt(area.byteLength) <= mapping.end &&
    Number(area.address - mapping.start) + mapping.byteOffset === area.byteOffset;
}

function merged(
  spans: { from: number; to: number }[],
): readonly { readonly from: number; readonly to: number }[] {
  spans.sort((left, right) => left.from - right.from);
  const merged: { from: number; to: number }[] = [];
  for (const span of spans) {
    const last = merged.at(-1);
    if (last !== undefined && span.from <= last.to) last.to = Math.max(last.to, span.to);
    else merged.push(span);
  }
  return merged;
}

/** The kernel writes blanks as they are, newlines and backslashes as octal numbers. */
function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
