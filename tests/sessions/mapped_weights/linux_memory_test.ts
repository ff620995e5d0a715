import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { openLinuxMemory } from "../../../sessions/mapped_weights/linux_memory.ts";
import type { WeightMemory } from "../../../sessions/mapped_weights/weight_memory.ts";
import { skippable } from "../../skippable.ts";

const opened = openLinuxMemory();
const refusal = typeof opened === "string" ? opened : undefined;
if (typeof opened !== "string") opened[Symbol.dispose]();

const LIBC = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  mmap: { parameters: ["u64", "usize", "i32", "i32", "i32", "i64"], result: "u64" },
  munmap: { parameters: ["u64", "usize"], result: "i32" },
} as const;
const READ_WRITE = 3;
const PRIVATE = 2;
const PRIVATE_ANONYMOUS_FIXED = 0x32;
const PAGE = 4096;
const PAGES = 64;

/** A file of pages that are told apart by their first byte, mapped as ONNX Runtime maps weights. */
function mappedFile(): {
  readonly path: string;
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly replaceByAnonymous: () => void;
  readonly [Symbol.dispose]: () => void;
} {
  const libc = Deno.dlopen("libc.so.6", LIBC);
  const path = Deno.makeTempFileSync();
  const content = new Uint8Array(PAGES * PAGE);
  for (let page = 0; page < PAGES; page++) content.fill(page + 1, page * PAGE, (page + 1) * PAGE);
  Deno.writeFileSync(path, content);
  const file = libc.symbols.open(new TextEncoder().encode(`${path}\0`), 0);
  const length = BigInt(content.byteLength);
  const address = libc.symbols.mmap(0n, length, READ_WRITE, PRIVATE, file, 0n);
  libc.symbols.close(file);
  const pointer = Deno.UnsafePointer.create(address) as Deno.PointerObject;
  return {
    path,
    address,
    bytes: new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, content.byteLength)),
    replaceByAnonymous: () =>
      void libc.symbols.mmap(address, length, READ_WRITE, PRIVATE_ANONYMOUS_FIXED, -1, 0n),
    [Symbol.dispose]: () => {
      libc.symbols.munmap(address, length);
      libc.close();
      Deno.removeSync(path);
    },
  };
}

/** Kilobytes of a mapping that are in memory. */
function residentKilobytes(address: bigint): number {
  const smaps = readFileSync("/proc/self/smaps", "utf8");
  const entry = smaps.slice(smaps.indexOf(`${address.toString(16)}-`));
  return Number(/Rss:\s+(\d+) kB/.exec(entry)?.[1]);
}

function touch(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += PAGE) sum += bytes[at] ?? 0;
  return sum;
}

Deno.test({
  ...skippable(
    "LinuxMemory lets go of exactly the pages of an area, which come back unchanged",
    refusal,
  ),
  async fn() {
    using memory = openLinuxMemory() as WeightMemory;
    using file = mappedFile();
    const sum = touch(file.bytes);
    assert.equal(residentKilobytes(file.address), PAGES * 4);
    const [areas = [], none] = memory.areasOf([
      [{ path: file.path, byteOffset: 8 * PAGE, byteLength: 16 * PAGE }],
      [{ path: "/elsewhere", byteOffset: 0, byteLength: 16 }],
    ]);
    assert.deepEqual(none, []);
    memory.release(areas);
    assert.equal(residentKilobytes(file.address), (PAGES - 16) * 4);
    await memory.fetch(areas); // into the cache, not into this process
    assert.equal(residentKilobytes(file.address), (PAGES - 16) * 4);
    assert.equal(touch(file.bytes), sum);
  },
});

Deno.test({
  ...skippable("LinuxMemory leaves memory alone that has taken an area's addresses", refusal),
  fn() {
    using memory = openLinuxMemory() as WeightMemory;
    using file = mappedFile();
    touch(file.bytes);
    const [areas = []] = memory.areasOf([
      [{ path: file.path, byteOffset: 0, byteLength: PAGES * PAGE }],
    ]);
    assert.equal(areas.length, 1);
    file.replaceByAnonymous();
    file.bytes.fill(7);
    memory.release(areas);
    assert.equal(touch(file.bytes), 7 * PAGES);
  },
});

Deno.test({
  ...skippable("LinuxMemory takes no page that this process has written", refusal),
  fn() {
    using memory = openLinuxMemory() as WeightMemory;
    using file = mappedFile();
    file.bytes[0] = 99;
    const [areas] = memory.areasOf([
      [{ path: file.path, byteOffset: 0, byteLength: PAGES * PAGE }],
    ]);
    assert.deepEqual(areas, []);
  },
});

Deno.test({
  ...skippable("LinuxMemory names the processor", refusal),
  fn() {
    using memory = openLinuxMemory() as WeightMemory;
    assert.match(memory.processor ?? "", /./);
  },
});

Deno.test({
  ...skippable("openLinuxMemory() says what is missing without FFI", refusal),
  permissions: { ffi: false },
  fn() {
    assert.match(String(openLinuxMemory()), /--allow-ffi/);
  },
});
