// Random access to the bytes of a model, from a file (through one small window, so that a 2 GB model
// costs kilobytes) or from memory. It knows nothing of what the bytes mean. Every read stays inside
// the source: a read past the end is the caller's MODEL_TRUNCATED.

import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { HooklineError } from "../errors/hookline_error.ts";

/** Bytes with random access. */
export interface ByteSource extends Disposable {
  /** What to call the source in messages: a path, or `"bytes"`. */
  readonly label: string;
  /** The number of bytes in all. */
  readonly byteLength: number;
  /** A fresh copy of `length` bytes from `offset`; the range lies inside the source. */
  read(offset: number, length: number): Uint8Array;
  /** One byte, or -1 at and after the end. */
  byteAt(offset: number): number;
}

const WINDOW_BYTE_LENGTH = 1 << 16;

class MemorySource implements ByteSource {
  readonly byteLength: number;
  readonly #bytes: Uint8Array;

  constructor(readonly label: string, bytes: Uint8Array) {
    this.#bytes = bytes;
    this.byteLength = bytes.byteLength;
  }

  read(offset: number, length: number): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(offset, offset + length));
  }

  byteAt(offset: number): number {
    return this.#bytes[offset] ?? -1;
  }

  [Symbol.dispose](): void {}
}

class FileSource implements ByteSource {
  readonly byteLength: number;
  readonly #fd: number;
  readonly #window = new Uint8Array(WINDOW_BYTE_LENGTH);
  #windowStart = 0;
  #windowEnd = 0;
  #closed = false;

  constructor(readonly label: string, fd: number, byteLength: number) {
    this.#fd = fd;
    this.byteLength = byteLength;
  }

  read(offset: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    if (offset >= this.#windowStart && offset + length <= this.#windowEnd) {
      const from = offset - this.#windowStart;
      out.set(this.#window.subarray(from, from + length));
      return out;
    }
    let done = 0;
    while (done < length) {
      const count = readSync(this.#fd, out, done, length - done, offset + done);
      if (count === 0) throw truncatedWhileReading(this.label, offset + done);
      done += count;
    }
    return out;
  }

  byteAt(offset: number): number {
    if (offset < this.#windowStart || offset >= this.#windowEnd) {
      if (offset >= this.byteLength) return -1;
      const count = readSync(this.#fd, this.#window, 0, WINDOW_BYTE_LENGTH, offset);
      if (count === 0) throw truncatedWhileReading(this.label, offset);
      this.#windowStart = offset;
      this.#windowEnd = offset + count;
    }
    return this.#window[offset - this.#windowStart] ?? -1;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }
}

function truncatedWhileReading(label: string, byteOffset: number): HooklineError {
  return new HooklineError("MODEL_TRUNCATED", {
    message:
      `cannot read "${label}": the file ends at byte ${byteOffset} and grew shorter while it was read`,
    fix: "do not write to a model while it is open; copy it completely first",
    details: { path: label, byteOffset },
  });
}

/** A source over bytes in memory. The bytes are not copied: leave them as they are while it is open. */
export function memorySource(bytes: Uint8Array, label = "bytes"): ByteSource {
  return new MemorySource(label, bytes);
}

/**
 * Opens a file for random access. Dispose the source to close it.
 *
 * @throws {HooklineError} MODEL_NOT_FOUND when there is no such file, MODEL_READ_DENIED when the
 * process may not read it.
 */
export function fileSource(path: string): ByteSource {
  let fd: number;
  try {
    // stat before open: opening a named pipe would wait for a writer
    if (!statSync(path).isFile()) throw new Error("it is not a regular file");
    fd = openSync(path, "r");
  } catch (cause) {
    throw openError(path, cause);
  }
  try {
    return new FileSource(path, fd, fstatSync(fd).size);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openError(path: string, cause: unknown): HooklineError {
  const name = (cause as { name?: string }).name;
  const systemCode = (cause as { code?: string }).code;
  if (
    name === "NotCapable" || name === "PermissionDenied" || systemCode === "EACCES" ||
    systemCode === "EPERM"
  ) {
    return new HooklineError("MODEL_READ_DENIED", {
      message: `cannot open "${path}": the process may not read it`,
      fix: `run with --allow-read=${path}, or give the file to this user`,
      details: { path },
      cause,
    });
  }
  return new HooklineError("MODEL_NOT_FOUND", {
    message: `cannot open "${path}": ${
      systemCode === "ENOENT" ? "no such file" : String((cause as Error).message ?? cause)
    }`,
    fix: "check the path; a model is one .onnx file",
    details: { path },
    cause,
  });
}
