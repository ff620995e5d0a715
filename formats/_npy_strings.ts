// The string elements of .npy files: fixed width, padded with NULs, UCS-4 (`U`) or bytes (`S`).

import { fileFault, writeFault } from "./_file_fault.ts";

const STRING_BYTE_LIMIT = 2 ** 32;

/** How the strings lie in the file. */
export interface StringLayout {
  readonly kind: "utf32" | "utf8";
  readonly itemBytes: number;
  readonly bigEndian: boolean;
}

/** The strings of a .npy body; FILE_FORMAT when one is no Unicode text. */
export function decodeStrings(
  body: Uint8Array,
  count: number,
  layout: StringLayout,
  label: string,
): string[] {
  const strings: string[] = [];
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const unsound = (found: string) =>
    fileFault("npy", label, {
      found,
      wanted: "strings of Unicode characters",
      fix: "save the array with array.astype(str)",
    });
  for (let index = 0; index < count; index++) {
    const start = index * layout.itemBytes;
    let end = start + layout.itemBytes;
    if (layout.kind === "utf8") {
      while (end > start && body[end - 1] === 0) end--;
      try {
        strings.push(utf8.decode(body.subarray(start, end)));
      } catch {
        throw unsound("a byte string that is no UTF-8");
      }
      continue;
    }
    while (end > start && view.getUint32(end - 4) === 0) end -= 4;
    const parts: string[] = [];
    for (let offset = start; offset < end; offset += 4) {
      const code = view.getUint32(offset, !layout.bigEndian);
      if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        throw unsound("a number that is no Unicode character");
      }
      parts.push(String.fromCodePoint(code));
    }
    strings.push(parts.join(""));
  }
  return strings;
}

/**
 * A .npy body of UCS-4 strings and its type string; FILE_WRITE for a string that numpy cannot
 * hold.
 */
export function encodeStrings(
  strings: readonly string[],
): { readonly descr: string; readonly body: Uint8Array } {
  let width = 1;
  for (const text of strings) {
    if (typeof text !== "string" || !text.isWellFormed()) {
      throw writeFault(
        "npy",
        null,
        "an element is no well-formed string",
        "write Unicode text without lone surrogates",
      );
    }
    if (text.endsWith("\0")) {
      throw writeFault(
        "npy",
        null,
        "a string ends in NUL, which numpy drops",
        "strip the trailing NUL characters, or keep the strings as JSON",
      );
    }
    let length = 0;
    for (const _ of text) length++;
    if (length > width) width = length;
  }
  const byteLength = strings.length * width * 4;
  if (byteLength > STRING_BYTE_LIMIT) {
    throw writeFault(
      "npy",
      null,
      `its strings take ${byteLength} bytes, padded to the longest`,
      "shorten the longest string, or keep the strings as JSON",
    );
  }
  const body = new Uint8Array(byteLength);
  const view = new DataView(body.buffer);
  strings.forEach((text, index) => {
    let offset = index * width * 4;
    for (const character of text) {
      view.setUint32(offset, character.codePointAt(0) ?? 0, true);
      offset += 4;
    }
  });
  return { descr: `<U${width}`, body };
}
