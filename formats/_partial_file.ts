// A file that is written step by step under the name `PATH.partial` and gets its own name when it is
// complete. It knows no format. Invariant: PATH is never a half-written file, and what lies there stays
// until the new one is whole. Every failure of the file system becomes FILE_WRITE.

import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { HooklineError } from "../errors/hookline_error.ts";

/** The name under which an unfinished file lies. */
export function partialPath(path: string): string {
  return `${path}.partial`;
}

/** The FILE_WRITE error for a path. */
export function writeFileFault(path: string, reason: string, cause?: unknown): HooklineError {
  return new HooklineError("FILE_WRITE", {
    message: `cannot write "${path}": ${reason}`,
    fix: "check the folder, the free space, and the process's write permission",
    details: { file: path },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** An unfinished file. */
export class PartialFile {
  /** Where the finished file will lie. */
  readonly path: string;
  #handle: FileHandle | null;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Makes `PATH.partial`, empty, or opens it as it is. */
  static async open(path: string, mode: "create" | "existing"): Promise<PartialFile> {
    const at = partialPath(path);
    const handle = await guarded(at, () => open(at, mode === "create" ? "w+" : "r+"));
    return new PartialFile(path, handle);
  }

  /** Whether it can still be written. */
  get isOpen(): boolean {
    return this.#handle !== null;
  }

  /** The bytes from `at` on; fewer where the file ends. */
  read(at: number, byteLength: number): Promise<Uint8Array> {
    return this.#use(async (handle) => {
      const bytes = new Uint8Array(byteLength);
      let done = 0;
      while (done < byteLength) {
        const { bytesRead } = await handle.read(bytes, done, byteLength - done, at + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return bytes.subarray(0, done);
    });
  }

  /** Writes all bytes at a place. */
  write(bytes: Uint8Array, at: number): Promise<void> {
    return this.#use(async (handle) => {
      let done = 0;
      while (done < bytes.length) {
        const left = bytes.length - done;
        const { bytesWritten } = await handle.write(bytes, done, left, at + done);
        if (bytesWritten === 0) throw new Error("nothing was written");
        done += bytesWritten;
      }
    });
  }

  /** The file's length. */
  byteLength(): Promise<number> {
    return this.#use(async (handle) => (await handle.stat()).size);
  }

  /** Cuts the file off. */
  truncate(byteLength: number): Promise<void> {
    return this.#use((handle) => handle.truncate(byteLength));
  }

  /** Closes the file and gives it its own name. */
  async finish(): Promise<void> {
    await this.close();
    await guarded(this.path, () => rename(partialPath(this.path), this.path));
  }

  /** Closes the file and leaves it as `PATH.partial`; the second call does nothing. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    if (handle !== null) await guarded(partialPath(this.path), () => handle.close());
  }

  /** Closes the file and removes it. */
  async discard(): Promise<void> {
    await this.close();
    await guarded(partialPath(this.path), () => rm(partialPath(this.path), { force: true }));
  }

  #use<T>(action: (handle: FileHandle) => Promise<T>): Promise<T> {
    const handle = this.#handle;
    const at = partialPath(this.path);
    if (handle === null) return Promise.reject(writeFileFault(at, "it was closed before"));
    return guarded(at, () => action(handle));
  }
}

async function guarded<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof HooklineError) throw error;
    throw writeFileFault(path, reasonOf(error), error);
  }
}

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "ENOENT") return "it does not exist, or its folder does not";
  if (code === "EACCES" || code === "EPERM" || code === "NotCapable") return "access is denied";
  if (code === "ENOSPC") return "the disk is full";
  return error instanceof Error ? `${error.name}: ${error.message}` : "it failed";
}
