// A file's bytes as memory, without reading them: the system fetches pages when they are touched and may
// drop them again. Asking for pages ahead and giving them back is sessions/mapped_weights/'s.
//
// Whoever shortens the file while it is mapped ends the process at the next touch, here as in ONNX
// Runtime's own mapping of weights.

import { HooklineError, internalError } from "../../errors/hookline_error.ts";
import type { FileRange } from "../mapped_weights/weight_memory.ts";
import { guardModelFile } from "../weight_file_guard.ts";
import { encodeText } from "./_native_text.ts";

/** The C library by system; Windows has another way, which is not taken. */
const C_LIBRARIES: Readonly<Record<string, string>> = {
  linux: "libc.so.6",
  darwin: "libSystem.B.dylib",
};

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  madvise: { parameters: ["pointer", "usize", "i32"], result: "i32" },
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
} as const;

const O_RDONLY = 0;
const PROT_READ = 1;
const MAP_PRIVATE = 2;
const MADV_DONTNEED = 4;
/** `MAP_FAILED`, as an address. */
const MAP_FAILED = 2n ** 64n - 1n;

/** A part of one file. */
export type FilePart = Omit<FileRange, "path">;

/** Where files cannot be mapped, in words; null where they can. */
export function mappingRefusal(): string | null {
  return C_LIBRARIES[Deno.build.os] === undefined
    ? `files cannot be mapped into memory on ${Deno.build.os}`
    : null;
}

/** A file that lies in memory, read-only, until it is disposed. */
export class MappedFile implements Disposable {
  /** The file, links resolved. */
  readonly path: string;
  /** Its size. */
  readonly byteLength: number;
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  readonly #start: bigint;
  #users = 0;
  #isDisposed = false;
  #isUnmapped = false;

  /**
   * Maps a file.
   *
   * @throws {HooklineError} MODEL_NOT_FOUND or MODEL_READ_DENIED, by Deno's permissions too;
   * ENGINE_UNAVAILABLE where files cannot be mapped; MODEL_EMPTY for an empty file.
   */
  constructor(path: string) {
    const { realPath, byteLength } = guardModelFile(path);
    const name = C_LIBRARIES[Deno.build.os];
    if (name === undefined) throw notMapped(path, mappingRefusal() ?? "");
    if (byteLength === 0) {
      throw new HooklineError("MODEL_EMPTY", {
        message: `cannot map "${path}": the file is empty`,
        fix: "fetch the weight file again",
        details: { path },
      });
    }
    this.path = realPath;
    this.byteLength = byteLength;
    this.#library = Deno.dlopen(name, SYMBOLS);
    try {
      this.#start = this.#map();
    } catch (error) {
      this.#library.close();
      throw error;
    }
  }

  /**
   * The address of a range.
   *
   * @throws {HooklineError} MODEL_EXTERNAL_RANGE when it is not within the file; SESSION_RELEASED when the
   * file was disposed.
   */
  pointer(range: FilePart): Deno.PointerObject {
    this.#require(range);
    const pointer = Deno.UnsafePointer.create(this.#start + BigInt(range.byteOffset));
    if (pointer === null) throw internalError("a mapped file lies at no address");
    return pointer;
  }

  /** Gives the memory of all pages back; a later touch fetches them again. */
  forget(): void {
    this.#require({ byteOffset: 0, byteLength: 0 });
    const start = Deno.UnsafePointer.create(this.#start);
    this.#library.symbols.madvise(start, BigInt(this.byteLength), MADV_DONTNEED);
  }

  /** Keeps the file mapped until the matching {@linkcode release}, even when it is disposed before. */
  retain(): void {
    this.#require({ byteOffset: 0, byteLength: 0 });
    this.#users++;
  }

  /** Ends one {@linkcode retain}. */
  release(): void {
    this.#users--;
    this.#unmapWhenUnused();
  }

  /** Unmaps the file as soon as nobody retains it. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#unmapWhenUnused();
  }

  #map(): bigint {
    const { open, close, mmap } = this.#library.symbols;
    const descriptor = open(encodeText(this.path), O_RDONLY);
    if (descriptor < 0) throw notMapped(this.path, "it cannot be opened");
    try {
      const length = BigInt(this.byteLength);
      const start = mmap(null, length, PROT_READ, MAP_PRIVATE, descriptor, 0n);
      const address = Deno.UnsafePointer.value(start);
      if (start === null || address === MAP_FAILED) {
        throw notMapped(this.path, "the system refused");
      }
      return address;
    } finally {
      close(descriptor);
    }
  }

  #require({ byteOffset, byteLength }: FilePart): void {
    if (this.#isDisposed) {
      throw new HooklineError("SESSION_RELEASED", {
        message: `cannot use the mapped file "${this.path}": it was released`,
        fix: "map it again, or release it later",
        details: { path: this.path },
      });
    }
    const isWithin = Number.isSafeInteger(byteOffset) && byteOffset >= 0 &&
      Number.isSafeInteger(byteLength) && byteLength >= 0 &&
      byteOffset + byteLength <= this.byteLength;
    if (isWithin) return;
    throw new HooklineError("MODEL_EXTERNAL_RANGE", {
      message:
        `cannot use "${this.path}": ${byteLength} bytes from ${byteOffset} were asked for, ` +
        `the file has ${this.byteLength}`,
      fix: "fetch the weight file again: it is cut off or belongs to another model",
      details: { path: this.path },
    });
  }

  #unmapWhenUnused(): void {
    if (!this.#isDisposed || this.#users > 0 || this.#isUnmapped) return;
    this.#isUnmapped = true;
    const pointer = Deno.UnsafePointer.create(this.#start);
    this.#library.symbols.munmap(pointer, BigInt(this.byteLength));
    this.#library.close();
  }
}

function notMapped(path: string, why: string): HooklineError {
  return new HooklineError("ENGINE_UNAVAILABLE", {
    message: `cannot map "${path}" into memory: ${why}`,
    fix: "use a strategy that reads weights into memory",
    details: { engine: "native", path },
  });
}
