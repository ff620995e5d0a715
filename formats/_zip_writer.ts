// Writes just enough ZIP for .npz: stored entries, whose bytes depend on the arguments alone.
// Source: https://pkware.cachefly.net/webdocs/APPNOTE/APPNOTE-6.3.10.TXT, 4.3

import { crc32 } from "node:zlib";
import { writeFault } from "./_file_fault.ts";

const END_SIGNATURE = 0x06054b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const FULL_16 = 0xffff;
const FULL_32 = 0xffffffff;

/** An archive of stored entries, dated 1980-01-01, in the given order. */
export function encodeZip(
  entries: readonly { readonly name: string; readonly content: Uint8Array }[],
): Uint8Array {
  const named = entries.map(({ name, content }) => ({
    name: new TextEncoder().encode(name),
    content,
    crc: crc32(content),
  }));
  let localBytes = 0;
  let centralBytes = 0;
  for (const { name, content } of named) {
    localBytes += 30 + name.length + content.length;
    centralBytes += 46 + name.length;
    if (name.length > FULL_16) {
      throw writeFault(
        "npz",
        null,
        "its name is longer than 65,535 bytes",
        "write a .safetensors file",
      );
    }
  }
  const total = localBytes + centralBytes + 22;
  if (total >= FULL_32 || named.length >= FULL_16) {
    throw writeFault(
      "npz",
      null,
      `${named.length} tensors of ${total} bytes pass the limits of ZIP`,
      "write a .safetensors file",
    );
  }
  const file = new Uint8Array(total);
  const view = new DataView(file.buffer);
  let local = 0;
  let central = localBytes;
  for (const { name, content, crc } of named) {
    const utf8Flag = name.some((byte) => byte > 0x7f) ? 0x800 : 0;
    const shared = (at: number): void => {
      view.setUint16(at, 20, true);
      view.setUint16(at + 2, utf8Flag, true);
      view.setUint16(at + 8, 0x21, true);
      view.setUint32(at + 10, crc, true);
      view.setUint32(at + 14, content.length, true);
      view.setUint32(at + 18, content.length, true);
      view.setUint16(at + 22, name.length, true);
    };
    view.setUint32(central, CENTRAL_SIGNATURE, true);
    view.setUint16(central + 4, 0x314, true);
    shared(central + 6);
    view.setUint32(central + 38, 0x81a40000, true);
    view.setUint32(central + 42, local, true);
    file.set(name, central + 46);
    central += 46 + name.length;
    view.setUint32(local, LOCAL_SIGNATURE, true);
    shared(local + 4);
    file.set(name, local + 30);
    file.set(content, local + 30 + name.length);
    local += 30 + name.length + content.length;
  }
  view.setUint32(central, END_SIGNATURE, true);
  view.setUint16(central + 8, named.length, true);
  view.setUint16(central + 10, named.length, true);
  view.setUint32(central + 12, centralBytes, true);
  view.setUint32(central + 16, localBytes, true);
  return file;
}
