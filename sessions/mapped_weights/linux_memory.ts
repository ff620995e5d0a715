// The memory of mapped weights on Linux, through Deno's FFI: /proc/self/smaps says where ONNX Runtime
// mapped a file, madvise brings pages near and lets them go. It decides nothing.
//
// Measured (ONNX Runtime 1.29, Linux 6.18, 44 MB blocks): mappings are private and writable, one for each
// tensor, and stay unwritten. Reading ahead into the page cache is enough: pages that the run touches are
// then mapped sixteen at a time, cheaper than MADV_POPULATE_READ of the session's own mapping beforehand
// (1.02 against 1.25 of a resident run), and the next block takes no memory of this process before it runs.
//
// Invariant: right before pages are dropped, the kernel is asked whether they still show the file: a
// session may have closed meanwhile, and its addresses may be somebody's data.

import { CacheReader } from "./cache_reader.ts";
import { areasIn, cleanMappings, mappingOf, shows } from "./memory_map.ts";
import type { FileRange, MappedArea, WeightMemory } from "./weight_memory.ts";

/** Source: linux/mman.h, fcntl.h, and `sysconf` of glibc and musl. */
const MADV_WILLNEED = 3;
const MADV_DONTNEED = 4;
const O_RDONLY_CLOEXEC = 0x80000;
const SC_PAGESIZE = 30;
/** Source: malloc.h of glibc; other C libraries give large buffers back without being asked. */
const M_MMAP_THRESHOLD = -3;
const LARGE_BYTES = 1 << 18;
/** One page in so many is looked at: 1 MB. */
const SAMPLE_PAGES = 256;
/** `PROCMAP_QUERY` and the layout of `struct procmap_query`, Linux 6.11. Source: linux/fs.h. */
const PROCMAP_QUERY = 0xc0686611n;
const QUERY_WORDS = 13;
const QUERY = { size: 0, address: 2, start: 3, end: 4, flags: 5, offset: 7, inode: 8 } as const;
const QUERY_SHARED = 8n;

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  mmap: { parameters: ["u64", "usize", "i32", "i32", "i32", "i64"], result: "u64" },
  munmap: { parameters: ["u64", "usize"], result: "i32" },
  mallopt: { parameters: ["i32", "i32"], result: "i32", optional: true },
  sysconf: { parameters: ["i32"], result: "i64" },
  mincore: { parameters: ["u64", "usize", "buffer"], result: "i32" },
  release: { name: "madvise", parameters: ["u64", "usize", "i32"], result: "i32" },
  fetch: {
    name: "madvise",
    parameters: ["u64", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
} as const;

/** The memory, or why there is none to be steered. */
export function openLinuxMemory(): WeightMemory | string {
  if (typeof Deno === "undefined") return "this runtime calls no system library";
  if (Deno.build.os !== "linux") return `no way to steer memory is known on ${Deno.build.os}`;
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
    return "steering memory needs --allow-ffi without a list of paths";
  }
  try {
    return new LinuxMemory();
  } catch {
    return "no C library of Linux was found";
  }
}

class LinuxMemory implements WeightMemory {
  readonly canSteer = true;
  readonly because = "Linux reads mapped weights ahead and lets go of them";
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  readonly #pageByteLength: number;
  /** /proc/self/maps, open for questions; negative where it is not. */
  readonly #maps: number;
  /** Calls in flight, so that the library stays open for them. */
  readonly #pending = new Set<Promise<unknown>>();
  readonly #reader: CacheReader;

  constructor() {
    this.#library = openLibc();
    this.#reader = new CacheReader(this.#library.symbols);
    this.#pageByteLength = Number(this.#library.symbols.sysconf(SC_PAGESIZE));
    this.#maps = this.#open("/proc/self/maps");
  }

  get processor(): string | null {
    const about = this.#readText("/proc/cpuinfo");
    const lines = about.split("\n\n", 1)[0]?.match(
      /^(model name|flags|Features|CPU part)\s*:.*$/gm,
    );
    return lines === null || lines === undefined ? null : lines.join("\n");
  }

  areasOf(groups: readonly (readonly FileRange[])[]): readonly (readonly MappedArea[])[] {
    const paths = new Set(groups.flatMap((ranges) => ranges.map((range) => range.path)));
    const mappings = cleanMappings(this.#readText("/proc/self/smaps"), paths);
    return groups.map((ranges) => areasIn(mappings, ranges, this.#pageByteLength));
  }

  async fetch(areas: readonly MappedArea[]): Promise<void> {
    const absent = areas.filter((area) => !this.#seemsCached(area));
    if (absent.length === 0) return;
    const reading = this.#read(absent);
    this.#pending.add(reading);
    await reading.finally(() => this.#pending.delete(reading));
  }

  release(areas: readonly MappedArea[]): void {
    for (const area of this.#stillShown(areas)) {
      const { address, byteLength } = area;
      this.#library.symbols.release(address, BigInt(byteLength), MADV_DONTNEED);
    }
  }

  economize(): void {
    this.#library.symbols.mallopt?.(M_MMAP_THRESHOLD, LARGE_BYTES);
  }

  [Symbol.dispose](): void {
    if (this.#maps >= 0) this.#library.symbols.close(this.#maps);
    void Promise.allSettled([...this.#pending]).then(() => {
      this.#reader.close();
      this.#library.close();
    });
  }

  async #read(areas: readonly MappedArea[]): Promise<void> {
    if (await this.#reader.read(areas)) return;
    const { fetch } = this.#library.symbols;
    await Promise.all(
      areas.map(({ address, byteLength }) => fetch(address, BigInt(byteLength), MADV_WILLNEED)),
    );
  }

  /**
   * Whether samples of an area lie in the system's cache. Asking another thread to read what is there would
   * cost a block's calculation up to a tenth: a hand-over and a wake-up for each tensor.
   */
  #seemsCached({ address, byteLength }: MappedArea): boolean {
    const pages = Math.ceil(byteLength / this.#pageByteLength);
    const step = Math.max(1, Math.min(SAMPLE_PAGES, pages - 1));
    const found = new Uint8Array(1);
    for (let page = 0; page < pages; page += step) {
      const at = address + BigInt(page * this.#pageByteLength);
      const isKnown = this.#library.symbols.mincore(at, BigInt(this.#pageByteLength), found) === 0;
      if (!isKnown || ((found[0] as number) & 1) === 0) return false;
    }
    return true;
  }

  /** Those of the areas that show what they showed when they were found. */
  #stillShown(areas: readonly MappedArea[]): readonly MappedArea[] {
    if (areas.length === 0) return areas;
    const answers = areas.map((area) => this.#query(area));
    if (!answers.includes(null)) return areas.filter((_, index) => answers[index] === true);
    const mappings = this.#readText("/proc/self/maps").split("\n").flatMap((line) =>
      mappingOf(line) ?? []
    );
    return areas.filter((area) => mappings.some((mapping) => shows(mapping, area)));
  }

  /** Whether an area shows what it did, from the kernel's own tree; null before Linux 6.11. */
  #query(area: MappedArea): boolean | null {
    const words = new BigUint64Array(QUERY_WORDS);
    words[QUERY.size] = BigInt(words.byteLength);
    words[QUERY.address] = area.address;
    const isFound = this.#library.symbols.ioctl(
      this.#maps,
      PROCMAP_QUERY,
      new Uint8Array(words.buffer),
    ) === 0;
    if (!isFound) return null;
    const word = (name: keyof typeof QUERY): bigint => words[QUERY[name]] ?? 0n;
    if ((word("flags") & QUERY_SHARED) !== 0n) return false;
    return shows({
      start: word("start"),
      end: word("end"),
      byteOffset: Number(word("offset")),
      inode: word("inode"),
    }, area);
  }

  #open(path: string): number {
    return this.#library.symbols.open(new TextEncoder().encode(`${path}\0`), O_RDONLY_CLOEXEC);
  }

  /** Through the library: Deno lets nobody but `--allow-all` read /proc, and a foreign mapping tells nothing. */
  #readText(path: string): string {
    const { read, close } = this.#library.symbols;
    const file = this.#open(path);
    if (file < 0) return "";
    const decoder = new TextDecoder();
    const chunk = new Uint8Array(1 << 16);
    let text = "";
    try {
      for (;;) {
        const count = Number(read(file, chunk, BigInt(chunk.byteLength)));
        if (count <= 0) return text + decoder.decode();
        text += decoder.decode(chunk.subarray(0, count), { stream: true });
      }
    } finally {
      close(file);
    }
  }
}

function openLibc(): Deno.DynamicLibrary<typeof SYMBOLS> {
  try {
    return Deno.dlopen("libc.so.6", SYMBOLS);
  } catch {
    return Deno.dlopen(`libc.musl-${Deno.build.arch}.so.1`, SYMBOLS);
  }
}
