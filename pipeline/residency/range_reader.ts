// Reads stretches of files into memory that is there already, beside whatever computes meanwhile. Each file
// is opened once.

import { type FileHandle, open } from "node:fs/promises";
import { HooklineError } from "../../errors/hookline_error.ts";
import type { FileRange } from "../../sessions/mapped_weights/weight_memory.ts";

/** One stretch and where it goes. */
export interface RangeRead {
  readonly range: FileRange;
  /** As long as the stretch. */
  readonly into: Uint8Array<ArrayBuffer>;
}

/** Reads stretches of files. Close it once. */
export class RangeReader {
  readonly #files = new Map<string, Promise<FileHandle>>();

  /**
   * Reads; resolves when all is there, and rejects when nothing reads any more.
   *
   * @throws {HooklineError} FILE_READ when a file is shorter than it was, or cannot be read.
   */
  async read(reads: readonly RangeRead[]): Promise<void> {
    const settled = await Promise.allSettled(reads.map((read) => this.#read(read)));
    const failed = settled.find(({ status }) => status === "rejected");
    if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
  }

  /** Closes the files. */
  async close(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const file of files) await (await file).close();
  }

  async #read({ range: { path, byteOffset, byteLength }, into }: RangeRead): Promise<void> {
    let done = 0;
    try {
      const file = await this.#open(path);
      while (done < byteLength) {
        const part = into.subarray(done);
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
    file.catch(() => this.#files.delete(path)); // the next read tries again
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
