// Writes a result to a file, whole or not at all: it is written beside its name and then renamed.

import { renameSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { HooklineError } from "../errors/hookline_error.ts";

/**
 * Writes a file.
 *
 * @throws {HooklineError} FILE_WRITE when the file system refuses.
 */
export function writeOutput(path: string, bytes: Uint8Array): void {
  const draft = `${path}.${process.pid}.part`;
  try {
    writeFileSync(draft, bytes);
    renameSync(draft, path);
  } catch (cause) {
    try {
      rmSync(draft, { force: true });
    } catch {
      // What could not be written cannot be removed either.
    }
    throw new HooklineError("FILE_WRITE", {
      message: `cannot write "${path}": ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "check the folder, that you may write there, and the process's write permission",
      details: { file: path },
      cause,
    });
  }
}
