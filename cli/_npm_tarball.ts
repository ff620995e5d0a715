// Reads and writes the tarballs of npm: gzip around ustar, as `deno pack` makes them. It knows files and
// their contents, nothing of plugins.

import { gunzipSync, gzipSync } from "node:zlib";

const BLOCK = 512;
const SIZE_AT = 124;
const SIZE_LENGTH = 12;
const CHECKSUM_AT = 148;
const PREFIX_AT = 345;
const TYPE_AT = 156;
const REGULAR = 48; // "0"

/** One entry of a tarball. */
interface Entry {
  readonly header: Uint8Array;
  readonly name: string;
  readonly isFile: boolean;
  readonly content: Uint8Array;
}

/** The files of a tarball by name (`package/mod.js`). Throws a RangeError for what is none. */
export function readTarball(bytes: Uint8Array): Map<string, Uint8Array> {
  const files = entriesOf(bytes).filter(({ isFile }) => isFile);
  return new Map(files.map(({ name, content }) => [name, content]));
}

/** The tarball with the contents of these files replaced; files that it lacks are an error. */
export function replaceInTarball(
  bytes: Uint8Array,
  contents: ReadonlyMap<string, Uint8Array>,
): Uint8Array {
  const blocks: Uint8Array[] = [];
  const left = new Set(contents.keys());
  for (const { header, name, content } of entriesOf(bytes)) {
    left.delete(name);
    const given = contents.get(name) ?? content;
    blocks.push(withSize(header, given.length), padded(given));
  }
  if (left.size > 0) throw new RangeError(`the tarball holds no ${[...left].join(", ")}`);
  blocks.push(new Uint8Array(2 * BLOCK));
  return new Uint8Array(gzipSync(joined(blocks)));
}

function entriesOf(bytes: Uint8Array): Entry[] {
  let tar: Uint8Array;
  try {
    tar = gunzipSync(bytes, { maxOutputLength: 2 ** 30 });
  } catch (cause) {
    throw new RangeError("it is no gzip file", { cause });
  }
  const entries: Entry[] = [];
  for (let at = 0; at + BLOCK <= tar.length;) {
    const header = tar.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) break;
    const size = parseInt(textAt(header, SIZE_AT, SIZE_LENGTH), 8);
    const start = at + BLOCK;
    if (!Number.isSafeInteger(size) || start + size > tar.length || !hasChecksum(header)) {
      throw new RangeError("it is no tar file");
    }
    const prefix = textAt(header, PREFIX_AT, 155);
    const own = textAt(header, 0, 100);
    entries.push({
      header,
      name: prefix === "" ? own : `${prefix}/${own}`,
      isFile: header[TYPE_AT] === REGULAR || header[TYPE_AT] === 0,
      content: tar.subarray(start, start + size),
    });
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return entries;
}

function textAt(header: Uint8Array, at: number, length: number): string {
  return new TextDecoder().decode(header.subarray(at, at + length)).replace(/[\0 ]+.*$/s, "")
    .trim();
}

/** The sum of the header's bytes, those of the checksum itself taken as blanks. */
function checksumOf(header: Uint8Array): number {
  return header.reduce(
    (sum, byte, at) => sum + (at >= CHECKSUM_AT && at < CHECKSUM_AT + 8 ? 32 : byte),
    0,
  );
}

function hasChecksum(header: Uint8Array): boolean {
  const text = new TextDecoder().decode(header.subarray(CHECKSUM_AT, CHECKSUM_AT + 8));
  return parseInt(text, 8) === checksumOf(header);
}

function withSize(header: Uint8Array, size: number): Uint8Array {
  const changed = header.slice();
  const encoder = new TextEncoder();
  changed.set(encoder.encode(`${size.toString(8).padStart(SIZE_LENGTH - 1, "0")}\0`), SIZE_AT);
  const sum = checksumOf(changed).toString(8).padStart(6, "0");
  changed.set(encoder.encode(`${sum}\0 `), CHECKSUM_AT);
  return changed;
}

function padded(content: Uint8Array): Uint8Array {
  const block = new Uint8Array(Math.ceil(content.length / BLOCK) * BLOCK);
  block.set(content);
  return block;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
