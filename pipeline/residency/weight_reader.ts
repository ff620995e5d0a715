// Reads the weights of modules from their files into buffers, ahead of use and beside a running session.
// Buffers go round: what one module let go of, the next one fills. Invariant: a buffer in use is never
// written to.

import { type FileHandle, open } from "node:fs/promises";
import { HooklineError } from "../../errors/hookline_error.ts";
import type { FileRange } from "../../sessions/mapped_weights/weight_memory.ts";

/** A stretch of a file in memory. */
export interface ReadRange {
  readonly buffer: ArrayBuffer;
  readonly byteOffset: number;
}

/** Elements of any type may begin here. */
const ALIGNMENT = 64;

/** The weights of modules as they come and go. */
export class WeightReader {
  readonly #files = new Map<string, Promise<FileHandle>>();
  readonly #filled = new Map<string, ArrayBuffer>();
  readonly #idle: ArrayBuffer[] = [];

  /** How many modules' weights are in memory. */
  get size(): number {
    return this.#filled.size;
  }

  /**
   * Reads a module's weights.
   *
   * @throws {HooklineError} FILE_READ when a file is shorter than it was, or cannot be read.
   */
  async fetch(module: string, ranges: readonly FileRange[]): Promise<readonly ReadRange[]> {
    const places: number[] = [];
    let byteLength = 0;
    for (const range of ranges) {
      places.push(byteLength);
      byteLength += Math.ceil(range.byteLength / ALIGNMENT) * ALIGNMENT;
    }
    const buffer = this.#take(byteLength);
    try {
      const reads = await Promise.allSettled(
        ranges.map((range, index) => this.#read(range, buffer, places[index] ?? 0)),
      );
      const failed = reads.find((read) => read.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    } catch (error) {
      this.#idle.push(buffer);
      throw error;
    }
    this.#filled.set(module, buffer);
    return places.map((byteOffset) => ({ buffer, byteOffset }));
  }

  /** Lets go of a module's weights. When no module has any, all memory is given back. */
  release(module: string): void {
    const buffer = this.#filled.get(module);
    if (buffer === undefined) return;
    this.#filled.delete(module);
    this.#idle.push(buffer);
    if (this.#filled.size === 0) this.#free();
  }

  /** Closes the files and gives all memory back. */
  async close(): Promise<void> {
    this.#filled.clear();
    this.#free();
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const file of files) await (await file).close();
  }

  #take(byteLength: number): ArrayBuffer {
    const index = this.#idle.findIndex((buffer) => buffer.byteLength === byteLength);
    const [found] = index < 0 ? [] : this.#idle.splice(index, 1);
    return found ?? new ArrayBuffer(byteLength);
  }

  #free(): void {
    for (const buffer of this.#idle.splice(0)) buffer.transfer(0); // at once, not when collected
  }

  async #read(range: FileRange, buffer: ArrayBuffer, place: number): Promise<void> {
    const { path, byteOffset, byteLength } = range;
    let done = 0;
    try {
      const file = await this.#open(path);
      while (done < byteLength) {
        const part = new Uint8Array(buffer, place + done, byteLength - done);
        const { bytesRead } = await file.read(part, 0, part.byteLength, byteOffset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
    } catch (cause) {
      throw unreadable(path, "it cannot be read any more", cause);
    }
    if (done < byteLength) throw unreadable(path, "it is shorter than it was");
  }

  #open(path: string): Promise<FileHandle> {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const file = open(path, "r");
    this.#files.set(path, file);
    file.catch(() => this.#files.delete(path)); // the next fetch tries again
    return file;
  }
}

function unreadable(path: string, why: string, cause?: unknown): HooklineError {
  return new HooklineError("FILE_READ", {
    message: `cannot read weights from "${path}": ${why}`,
    fix: "leave the model's files where they are while the model is open",
    details: { path },
    cause,
  });
}
