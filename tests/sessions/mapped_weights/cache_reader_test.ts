import assert from "node:assert/strict";
import {
  CacheReader,
  type CacheReaderCalls,
} from "../../../sessions/mapped_weights/cache_reader.ts";
import { openLinuxMemory } from "../../../sessions/mapped_weights/linux_memory.ts";
import type { MappedArea } from "../../../sessions/mapped_weights/weight_memory.ts";
import { skippable } from "../../skippable.ts";

const MB = 2 ** 20;
const area = (path: string, byteOffset: number, byteLength: number): MappedArea => ({
  address: 0n,
  path,
  byteOffset,
  byteLength,
  inode: 1n,
});

/** A C library that only notes what it is asked for. */
class FakeCalls implements CacheReaderCalls {
  readonly log: string[] = [];
  readonly mapped = new Set<bigint>();
  populated = 0;
  #next = 1n << 30n;

  open(path: Uint8Array<ArrayBuffer>): number {
    const name = new TextDecoder().decode(path.subarray(0, -1));
    this.log.push(`open ${name}`);
    return name === "/gone" ? -1 : 3;
  }
  close(): number {
    this.log.push("close");
    return 0;
  }
  mmap(
    _at: bigint,
    byteLength: bigint,
    _prot: number,
    _flags: number,
    file: number,
    at: bigint,
  ): bigint {
    assert.equal(file, 3);
    this.log.push(`${Number(at) / MB}+${Number(byteLength) / MB}`);
    this.mapped.add(this.#next);
    return this.#next++;
  }
  munmap(address: bigint): number {
    assert.ok(this.mapped.delete(address));
    return 0;
  }
  release(address: bigint): number {
    assert.ok(this.mapped.has(address));
    return -1; // a kernel without large pages
  }
  fetch(address: bigint): Promise<number> {
    assert.ok(this.mapped.has(address));
    return Promise.resolve(this.populated);
  }
}

Deno.test("CacheReader reads neighbours as one, a window at a time, in the order of asking", async () => {
  const calls = new FakeCalls();
  const reader = new CacheReader(calls);
  const [first, second] = await Promise.all([
    reader.read([
      area("/b", 30 * MB, MB),
      area("/a", 3 * MB, 4 * MB),
      area("/a", 7 * MB + 8192, 5 * MB - 8192),
      area("/a", 40 * MB, MB),
    ]),
    reader.read([area("/a", 0, MB)]),
  ]);
  assert.deepEqual([first, second], [true, true]);
  assert.deepEqual(calls.log, ["open /a", "3+8", "11+1", "40+1", "open /b", "30+1", "0+1"]);
  reader.close();
  assert.deepEqual(calls.log.slice(-2), ["close", "close"]);
  assert.equal(calls.mapped.size, 0);
});

Deno.test("CacheReader says what it cannot read, and leaves nothing mapped", async () => {
  const calls = new FakeCalls();
  const reader = new CacheReader(calls);
  assert.equal(await reader.read([area("/gone", 0, MB)]), false);
  calls.populated = -1; // Linux before 5.14
  assert.equal(await reader.read([area("/a", 0, 32 * MB)]), false);
  assert.equal(calls.mapped.size, 0);
});

const opened = openLinuxMemory();
const refusal = typeof opened === "string" ? opened : undefined;
if (typeof opened !== "string") opened[Symbol.dispose]();

const LIBC = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  fsync: { parameters: ["i32"], result: "i32" },
  mmap: { parameters: ["u64", "usize", "i32", "i32", "i32", "i64"], result: "u64" },
  munmap: { parameters: ["u64", "usize"], result: "i32" },
  madvise: { parameters: ["u64", "usize", "i32"], result: "i32" },
  fetch: { name: "madvise", parameters: ["u64", "usize", "i32"], result: "i32", nonblocking: true },
  mincore: { parameters: ["u64", "usize", "buffer"], result: "i32" },
  posix_fadvise: { parameters: ["i32", "i64", "i64", "i32"], result: "i32" },
} as const;
const DONT_NEED = 4;

Deno.test({
  ...skippable(
    "CacheReader brings a file into the system's cache and not into this process",
    refusal,
  ),
  async fn() {
    const libc = Deno.dlopen("libc.so.6", LIBC);
    const path = Deno.makeTempFileSync();
    const byteLength = 12 * MB;
    Deno.writeFileSync(path, new Uint8Array(byteLength).fill(1));
    const file = libc.symbols.open(new TextEncoder().encode(`${path}\0`), 0);
    libc.symbols.fsync(file);
    libc.symbols.posix_fadvise(file, 0n, BigInt(byteLength), DONT_NEED);
    const address = libc.symbols.mmap(0n, BigInt(byteLength), 1, 1, file, 0n);
    const cached = (): number => {
      const pages = new Uint8Array(byteLength / 4096);
      libc.symbols.mincore(address, BigInt(byteLength), pages);
      return pages.filter((page) => (page & 1) === 1).length;
    };
    const before = cached();
    const reader = new CacheReader({ ...libc.symbols, release: libc.symbols.madvise });
    const resident = Deno.memoryUsage().rss;
    assert.ok(await reader.read([area(path, 0, byteLength)]));
    assert.equal(cached(), byteLength / 4096, `${before} pages were cached before`);
    assert.ok(Deno.memoryUsage().rss - resident < byteLength / 2);
    reader.close();
    libc.symbols.munmap(address, BigInt(byteLength));
    libc.symbols.close(file);
    libc.close();
    Deno.removeSync(path);
  },
});
