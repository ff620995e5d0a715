// Reads the weights of modules from their files into buffers, ahead of use and beside a running session.
// Buffers go round: what one module let go of, the next one fills. Invariant: a buffer in use is never
// written to.

import type { FileRange } from "../../sessions/mapped_weights/weight_memory.ts";
import { RangeReader } from "./range_reader.ts";

/** A stretch of a file in memory. */
export interface ReadRange {
  readonly buffer: ArrayBuffer;
  readonly byteOffset: number;
}

/** Elements of any type may begin here. */
const ALIGNMENT = 64;

/** The weights of modules as they come and go. */
export class WeightReader {
  readonly #files = new RangeReader();
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
      await this.#files.read(ranges.map((range, index) => ({
        range,
        into: new Uint8Array(buffer, places[index], range.byteLength),
      })));
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
    await this.#files.close();
  }

  #take(byteLength: number): ArrayBuffer {
    const index = this.#idle.findIndex((buffer) => buffer.byteLength === byteLength);
    const [found] = index < 0 ? [] : this.#idle.splice(index, 1);
    return found ?? new ArrayBuffer(byteLength);
  }

  #free(): void {
    for (const buffer of this.#idle.splice(0)) buffer.transfer(0); // at once, not when collected
  }
}
