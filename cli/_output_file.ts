// Writes a result to a file, whole or not at all: it is written beside its name and then renamed.

import { renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import process from "node:process";
import { HooklineError } from "../errors/hookline_error.ts";

/**
 * Checks that a file can lie at a path, before hours are spent on what it will hold.
 *
 * @throws {HooklineError} FILE_WRITE when the path is a folder, or lies in none.
 */
export function checkOutputFile(path: string): void {
  const problem = statSync(path, { throwIfNoEntry: false })?.isDirectory()
    ? "it is a folder"
    : statSync(dirname(resolve(path)), { throwIfNoEntry: false })?.isDirectory()
    ? null
    : "its folder does not exist";
  if (problem !== null) throw unwritable(path, problem);
}

/**
 * Checks that a folder is there or can be made.
 *
 * @throws {HooklineError} FILE_WRITE when something else has its name.
 */
export function checkOutputFolder(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found !== undefined && !found.isDirectory()) throw unwritable(path, "it is no folder");
}

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
    throw unwritable(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function unwritable(path: string, why: string, cause?: unknown): HooklineError {
  return new HooklineError("FILE_WRITE", {
    message: `cannot write "${path}": ${why}`,
    fix: "check the folder, that you may write there, and the process's write permission",
    details: { file: path },
    ...(cause === undefined ? {} : { cause }),
  });
}
