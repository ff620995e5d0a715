// The only place of this folder that opens files. Every failure of the file system becomes FILE_READ;
// what the bytes mean is decided elsewhere.

import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { HooklineError } from "../errors/hookline_error.ts";

const CHUNK_BYTES = 64 * 1024 * 1024;

/** The FILE_READ error for a path. */
export function readFault(
  path: string,
  reason: string,
  cause?: unknown,
): HooklineError {
  return new HooklineError("FILE_READ", {
    message: `cannot read "${path}": ${reason}`,
    fix: "check the path, that it is a file that you may read, and the process's read permission",
    details: { file: path },
    ...(cause === undefined ? {} : { cause }),
  });
}

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "ENOENT") return "it does not exist";
  if (code === "EACCES" || code === "EPERM") return "access is denied";
  return error instanceof Error ? `${error.name}: ${error.message}` : "it failed";
}

function allocateBytes(path: string, byteLength: number): Uint8Array {
  try {
    return new Uint8Array(byteLength);
  } catch (error) {
    throw readFault(path, `${byteLength} bytes do not fit in memory`, error);
  }
}

/** A regular file, open for reading at any place. */
export interface InputFile extends AsyncDisposable {
  readonly path: string;
  readonly byteLength: number;
  /**
   * Exactly `byteLength` bytes from `byteOffset` in a new array; FILE_READ when the file is
   * shorter.
   */
  read(byteOffset: number, byteLength: number): Promise<Uint8Array>;
  /** Closes the file; the second call does nothing. */
  close(): Promise<void>;
}

/** Opens a regular file; FILE_READ for anything else (a folder, a pipe, a device). */
export async function openInputFile(path: string): Promise<InputFile> {
  let handle: FileHandle;
  let byteLength: number;
  try {
    const facts = await stat(path);
    if (!facts.isFile()) throw readFault(path, "it is no regular file");
    byteLength = facts.size;
    handle = await open(path, "r");
  } catch (error) {
    if (error instanceof HooklineError) throw error;
    throw readFault(path, reasonOf(error), error);
  }
  let closed: Promise<void> | null = null;
  const close = (): Promise<void> => closed ??= handle.close();
  return {
    path,
    byteLength,
    close,
    [Symbol.asyncDispose]: close,
    async read(byteOffset, wantedBytes) {
      if (closed !== null) throw readFault(path, "it was closed before");
      const bytes = allocateBytes(path, wantedBytes);
      let done = 0;
      while (done < wantedBytes) {
        const step = Math.min(CHUNK_BYTES, wantedBytes - done);
        let bytesRead: number;
        try {
          ({ bytesRead } = await handle.read(
            bytes,
            done,
            step,
            byteOffset + done,
          ));
        } catch (error) {
          throw readFault(path, reasonOf(error), error);
        }
        if (bytesRead === 0) {
          throw readFault(path, "it became shorter while it was read");
        }
        done += bytesRead;
      }
      return bytes;
    },
  };
}

/** A whole regular file. */
export async function readInputFile(path: string): Promise<Uint8Array> {
  await using file = await openInputFile(path);
  return await file.read(0, file.byteLength);
}

/** True for a folder, false for anything else that exists; FILE_READ when nothing does. */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw readFault(path, reasonOf(error), error);
  }
}

/** The names in a folder. */
export async function listFolder(path: string): Promise<ReadonlySet<string>> {
  try {
    return new Set(await readdir(path));
  } catch (error) {
    throw readFault(path, reasonOf(error), error);
  }
}
