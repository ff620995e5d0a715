// Buffers that are used again and again: memory that is mapped already is several times as fast to fill as
// new memory. It knows lengths alone; whoever takes a buffer overwrites all of it.

/** Idle buffers by their length, up to a number of bytes in all. */
export class BufferPool {
  readonly #idleBytesLimit: number;
  /** The length that was given last comes last. */
  readonly #idle = new Map<number, ArrayBuffer[]>();
  #idleBytes = 0;

  /** Makes a pool that keeps buffers of no more than `idleBytesLimit` in all. */
  constructor(idleBytesLimit: number) {
    this.#idleBytesLimit = idleBytesLimit;
  }

  /** The bytes of the buffers that wait for their next use. */
  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A buffer of this length; it may hold anything. */
  take(byteLength: number): ArrayBuffer {
    const same = this.#idle.get(byteLength);
    const found = same?.pop();
    if (same === undefined || found === undefined) return new ArrayBuffer(byteLength);
    if (same.length === 0) this.#idle.delete(byteLength);
    this.#idleBytes -= byteLength;
    return found;
  }

  /**
   * Takes a buffer that nobody uses any more. What is too much goes: buffers of the length that was not
   * given for longest first, and their memory with them at once.
   */
  give(buffer: ArrayBuffer): void {
    const { byteLength } = buffer;
    if (byteLength === 0) return; // also one that was given away meanwhile
    if (byteLength > this.#idleBytesLimit) {
      buffer.transfer(0);
      return;
    }
    const same = this.#idle.get(byteLength) ?? [];
    this.#idle.delete(byteLength);
    this.#idle.set(byteLength, same);
    same.push(buffer);
    this.#idleBytes += byteLength;
    this.#shrink();
  }

  #shrink(): void {
    for (const byteLength of [...this.#idle.keys()]) {
      while (this.#idleBytes > this.#idleBytesLimit && this.#idle.has(byteLength)) {
        this.take(byteLength).transfer(0);
      }
    }
  }
}
