// Writes JSON Lines to a file that may outlive the process that writes it. It owns when bytes reach the
// file and what a failed write means; it knows nothing of what the lines say.
//
// Invariant: only whole lines are handed to the system, each hand-over is one append, and what was handed
// over is not lost when the process is killed. A line that a kill or a full disk tore in two is closed
// before the next one begins, so that one line is lost and not two.

import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import process from "node:process";
import { HooklineError } from "../errors/hookline_error.ts";
import { isGranted } from "../host/environment.ts";
import { temporaryFolder } from "../host/temporary_folder.ts";

/** How a {@linkcode JsonlSink} writes. */
export interface JsonlSinkOptions {
  /** `"append"` (the default) keeps what the file holds, `"new"` empties it on opening. */
  readonly mode?: "append" | "new";
  /** True to wait, on every flush, until the lines are on the disk itself; default false. */
  readonly fsync?: boolean;
  /** Bytes that may wait in memory; a line that passes it flushes. 1 MiB when left out. */
  readonly bufferBytes?: number;
}

const BUFFER_BYTES = 1_048_576;
const NEWLINE = 0x0a;

/**
 * The path that a pattern means, absolute: every `<pid>` becomes the process id, a leading `<tmp>` the
 * folder for temporary files.
 *
 * @example
 * ```ts ignore
 * console.log(outputPath("<tmp>/trace_<pid>.jsonl")); // /tmp/trace_4711.jsonl
 * ```
 */
export function outputPath(pattern: string): string {
  const path = pattern.replaceAll("<pid>", String(process.pid));
  return resolve(path.startsWith("<tmp>") ? temporaryFolder() + path.slice("<tmp>".length) : path);
}

/**
 * A file of JSON lines, opened for appending.
 *
 * `write` puts a line into memory, `flush` hands all of it to the system in one append; several sinks, in
 * one process or in many, may share a file. When a flush fails, its lines are gone and the error says so:
 * the caller decides whether to go on. After `close`, `write` and `flush` do nothing but count.
 *
 * @example
 * ```ts
 * import { JsonlSink } from "@hookline/hookline";
 * using sink = new JsonlSink("<tmp>/hookline_example_<pid>.jsonl", { mode: "new" });
 * sink.write(JSON.stringify({ module: "encoder.layer.0", sum: 1.5 }));
 * sink.flush();
 * ```
 */
export class JsonlSink implements Disposable {
  /** Where the file lies, absolute. */
  readonly path: string;
  readonly #fsync: boolean;
  readonly #bufferBytes: number;
  readonly #isFile: boolean;
  readonly #encoder = new TextEncoder();
  #handle: number | null;
  #lines: string[] = [];
  #waiting = 0;
  #written = 0;
  #isTorn: boolean;
  #dropped = 0;

  /**
   * Opens the file and makes the folders above it. Never prompts.
   *
   * @throws {HooklineError} FILE_WRITE when it cannot be opened, OPTION_INVALID for a bad option.
   */
  constructor(pattern: string, options: JsonlSinkOptions = {}) {
    const { mode = "append", fsync = false, bufferBytes = BUFFER_BYTES } = options;
    requireOptions(mode, bufferBytes);
    this.path = outputPath(pattern);
    this.#fsync = fsync;
    this.#bufferBytes = bufferBytes;
    let handle: number | null = null;
    if (!isGranted({ name: "write", path: this.path })) throw this.#notGranted();
    try {
      makeFolder(dirname(this.path));
      handle = openSync(this.path, "a");
      const { size, isFile } = about(handle);
      if (mode === "new" && isFile) ftruncateSync(handle, 0);
      this.#isFile = isFile;
      this.#isTorn = isFile && mode === "append" && endsTorn(this.path, size);
      this.#handle = handle;
    } catch (cause) {
      if (handle !== null) closeSync(handle);
      throw this.#error("open", cause, 0);
    }
  }

  /** Lines that came after `close` and were dropped. */
  get droppedLines(): number {
    return this.#dropped;
  }

  /** Whether the sink was closed. */
  get closed(): boolean {
    return this.#handle === null;
  }

  /** Bytes in the file, those of other writers included; for a pipe, what this sink wrote. */
  get byteLength(): number {
    return this.#isFile && this.#handle !== null ? about(this.#handle).size : this.#written;
  }

  /**
   * Takes one line, without its line feed. It reaches the file with the next flush, which comes by
   * itself when too much waits.
   *
   * @throws {HooklineError} FILE_WRITE as `flush` does.
   */
  write(line: string): void {
    if (this.#handle === null) {
      this.#dropped++;
      return;
    }
    this.#lines.push(line);
    this.#waiting += line.length + 1;
    if (this.#waiting >= this.#bufferBytes) this.flush();
  }

  /**
   * Hands every waiting line to the system, in one append.
   *
   * @throws {HooklineError} FILE_WRITE when it failed. The waiting lines are given up: a file that cannot
   * be written must not fill the memory instead.
   */
  flush(): void {
    if (this.#handle === null || this.#lines.length === 0) return;
    const lines = this.#lines;
    const text = `${this.#isTorn ? "\n" : ""}${lines.join("\n")}\n`;
    this.#lines = [];
    this.#waiting = 0;
    try {
      this.#append(this.#handle, this.#encoder.encode(text));
      if (this.#fsync && this.#isFile) fsyncSync(this.#handle);
    } catch (cause) {
      throw this.#error("write", cause, lines.length);
    }
  }

  /**
   * Flushes and closes. The file is closed also when the flush fails; closing again does nothing.
   *
   * @throws {HooklineError} FILE_WRITE when the flush failed.
   */
  close(): void {
    const handle = this.#handle;
    if (handle === null) return;
    try {
      this.flush();
    } finally {
      this.#handle = null;
      closeSync(handle);
    }
  }

  /** The same as `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Deno would ask on the terminal, in the middle of a run that somebody else started. */
  #notGranted(): HooklineError {
    return new HooklineError("FILE_WRITE", {
      message: `cannot open "${this.path}": this process has no permission to write it`,
      fix: `grant it: --allow-write=${this.path}`,
      details: { path: this.path, lostLines: 0 },
    });
  }

  #append(handle: number, bytes: Uint8Array): void {
    // One call as a rule; the loop is for a disk that takes only a part.
    for (let at = 0; at < bytes.length;) {
      const count = writeSync(handle, bytes, at, bytes.length - at);
      at += count;
      this.#written += count;
      this.#isTorn = at < bytes.length && bytes[at - 1] !== NEWLINE;
    }
  }

  #error(action: "open" | "write", cause: unknown, lostLines: number): HooklineError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const isDenied = cause instanceof Error && cause.name === "NotCapable";
    const lost = lostLines === 0 ? "" : `; ${lostLines} lines are lost`;
    return new HooklineError("FILE_WRITE", {
      message: `cannot ${action} "${this.path}": ${reason}${lost}`,
      fix: isDenied
        ? reason.includes("--allow-all")
          ? "write to an ordinary file: Deno gives devices to --allow-all alone"
          : `grant it: --allow-write=${this.path}`
        : action === "open"
        ? "give a path that this process may write"
        : "make room for the file, or write it elsewhere",
      details: { path: this.path, lostLines },
      cause,
    });
  }
}

function requireOptions(mode: unknown, bufferBytes: unknown): void {
  if (mode !== "append" && mode !== "new") {
    throw new HooklineError("OPTION_INVALID", {
      message: `cannot write lines with mode "${String(mode)}": wanted "append" or "new"`,
      fix: 'use "append" to keep what the file holds, "new" to empty it',
      details: { option: "mode" },
    });
  }
  if (typeof bufferBytes === "number" && bufferBytes >= 0) return;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot write lines with bufferBytes ${String(bufferBytes)}: wanted a number of bytes`,
    fix: "give a number of bytes, or leave bufferBytes out",
    details: { option: "bufferBytes" },
  });
}

/** Makes the folder. A grant for the file alone does not cover it: then it must be there already. */
function makeFolder(folder: string): void {
  if (isGranted({ name: "write", path: folder })) mkdirSync(folder, { recursive: true });
}

function about(handle: number): { readonly size: number; readonly isFile: boolean } {
  const stat = fstatSync(handle);
  return { size: stat.size, isFile: stat.isFile() };
}

/** Whether the file's last line has no end; assumed to be whole where the file may not be read. */
function endsTorn(path: string, size: number): boolean {
  if (size === 0 || !isGranted({ name: "read", path })) return false;
  try {
    const handle = openSync(path, "r");
    try {
      const last = new Uint8Array(1);
      return readSync(handle, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
    } finally {
      closeSync(handle);
    }
  } catch {
    return false; // writable, not readable
  }
}
