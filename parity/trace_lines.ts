// Reads a JSON Lines file as parsed values, block by block. It owns line numbers and what a damaged line
// is; it knows nothing of what a line says.
//
// Whole batches of lines are parsed by one JSON.parse, as one array: the commas between are the line
// ends, overwritten in place. That costs no more than parsing lines that are strings already, so reading,
// decoding and splitting come for nothing. Only a batch that does not parse is taken line by line.
//
// Invariant: memory holds one block of the file, whatever the file's size; a line longer than
// MAX_LINE_BYTES is damage, not memory.

import { type FileHandle, open } from "node:fs/promises";
import { HooklineError } from "../errors/hookline_error.ts";

/** A line that could not be used. */
export interface LineDamage {
  /** The line, from 1. */
  readonly line: number;
  /** What is wrong with it, as the end of a sentence. */
  readonly reason: string;
}

/** Some lines, parsed. */
export interface LineBatch {
  /** One value a line. */
  readonly values: readonly unknown[];
  /** The line of the first value. */
  readonly firstLine: number;
  /** The line of every value where lines were left out; null where they follow one another. */
  readonly lines: readonly number[] | null;
}

const BLOCK_BYTES = 1_048_576;
const BATCH_BYTES = 65_536;
/** The longest line that is read. */
export const MAX_LINE_BYTES = 16_777_216;
/** How many damaged lines are kept word for word. */
export const DAMAGE_KEPT = 20;

const NEWLINE = 0x0a;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
/** Bare tokens as Python's json module writes them, in a place where JSON has a value. */
const BARE_IN_BATCH = /([:,[]\s*)(NaN|-?Infinity)(?=\s*[,}\]])/g;
/** A JSON string, or a bare token outside of one. */
const STRING_OR_BARE = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;

/** A JSON Lines file, open for reading once from its beginning. */
export class TraceLines implements AsyncDisposable {
  /** The path as it was given. */
  readonly path: string;
  readonly #file: FileHandle;
  readonly #decoder = new TextDecoder();
  readonly #damage: LineDamage[] = [];
  #damageCount = 0;
  /** The byte before `#start` is always free, for the array's opening bracket. */
  #buffer = new Uint8Array(BLOCK_BYTES + 1);
  #start = 1;
  #end = 1;
  #isEnded = false;
  #lineCount = 0;
  #hasBareTokens = false;
  #ends: number[] = [];

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /**
   * Opens a file.
   *
   * @throws {HooklineError} FILE_READ when that fails.
   */
  static async open(path: string): Promise<TraceLines> {
    try {
      const file = await open(path, "r");
      if (!(await file.stat()).isDirectory()) return new TraceLines(path, file);
      await file.close();
    } catch (cause) {
      throw readFault(path, cause);
    }
    throw readFault(path, new Error("it is a folder"));
  }

  /** Lines read up to now. */
  get lineCount(): number {
    return this.#lineCount;
  }

  /** How many lines were damaged up to now. */
  get damageCount(): number {
    return this.#damageCount;
  }

  /** The first of the damaged lines. */
  get damage(): readonly LineDamage[] {
    return this.#damage;
  }

  /** Counts a line as damaged. */
  addDamage(line: number, reason: string): void {
    this.#damageCount++;
    if (this.#damage.length < DAMAGE_KEPT) this.#damage.push({ line, reason });
  }

  /**
   * The next lines; null at the end of the file. Blank lines are passed over, damaged ones counted.
   *
   * @throws {HooklineError} FILE_READ when the file cannot be read on.
   */
  async next(): Promise<LineBatch | null> {
    for (;;) {
      const last = this.#batchEnd();
      if (last >= 0) {
        const batch = this.#parse(last);
        if (batch !== null) return batch;
      } else if (!this.#isEnded) {
        await this.#fill();
      } else if (this.#start < this.#end) {
        // The last line has no end: whole, or torn.
        const text = this.#decoder.decode(this.#buffer.subarray(this.#start, this.#end));
        this.#start = this.#end;
        const line = ++this.#lineCount;
        if (text.trim() === "") return null;
        const value = this.#parseLine(text, line, true);
        return value === undefined ? null : { values: [value], firstLine: line, lines: null };
      } else return null;
    }
  }

  /** Closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  /** Where the last line of the next batch ends; -1 when no line is whole. */
  #batchEnd(): number {
    const target = Math.min(this.#start + BATCH_BYTES, this.#end);
    if (target === this.#start) return -1;
    const last = this.#buffer.lastIndexOf(NEWLINE, target - 1);
    if (last >= this.#start) return last;
    const next = this.#buffer.indexOf(NEWLINE, target);
    return next < this.#end ? next : -1;
  }

  #parse(last: number): LineBatch | null {
    const buffer = this.#buffer;
    const start = this.#start;
    const ends = this.#ends;
    ends.length = 0;
    for (let at = buffer.indexOf(NEWLINE, start); at < last; at = buffer.indexOf(NEWLINE, at + 1)) {
      buffer[at] = COMMA;
      ends.push(at);
    }
    ends.push(last);
    buffer[start - 1] = OPEN_BRACKET;
    buffer[last] = CLOSE_BRACKET;
    const firstLine = this.#lineCount + 1;
    const values = this.#parseArray(this.#decoder.decode(buffer.subarray(start - 1, last + 1)));
    this.#start = last + 1;
    // One value a line, or lines ran into one another.
    if (values !== null && values.length === ends.length) {
      this.#lineCount += ends.length;
      return { values, firstLine, lines: null };
    }
    return this.#parseEach(start, ends);
  }

  #parseArray(text: string): unknown[] | null {
    const isBare = this.#hasBareTokens && (text.includes("NaN") || text.includes("Infinity"));
    try {
      return JSON.parse(isBare ? text.replaceAll(BARE_IN_BATCH, '$1"$2"') : text) as unknown[];
    } catch {
      return null;
    }
  }

  /** Line by line; the line ends were overwritten, so their places are given. */
  #parseEach(start: number, ends: readonly number[]): LineBatch | null {
    const values: unknown[] = [];
    const lines: number[] = [];
    let from = start;
    for (const end of ends) {
      const text = this.#decoder.decode(this.#buffer.subarray(from, end));
      from = end + 1;
      const line = ++this.#lineCount;
      if (text.trim() === "") continue;
      const value = this.#parseLine(text, line, false);
      if (value === undefined) continue;
      values.push(value);
      lines.push(line);
    }
    return values.length === 0 ? null : { values, firstLine: lines[0] as number, lines };
  }

  /** Undefined for a damaged line. */
  #parseLine(text: string, line: number, isLast: boolean): unknown {
    try {
      return JSON.parse(text);
    } catch {
      // Bare NaN and Infinity perhaps.
    }
    const quoted = text.replaceAll(
      STRING_OR_BARE,
      (token) => token.startsWith('"') ? token : `"${token}"`,
    );
    try {
      const value: unknown = JSON.parse(quoted);
      this.#hasBareTokens = true;
      return value;
    } catch {
      this.addDamage(line, isLast ? "the file ends inside it" : "it is no JSON");
      return undefined;
    }
  }

  async #fill(): Promise<void> {
    const kept = this.#end - this.#start;
    if (kept >= MAX_LINE_BYTES) {
      await this.#skipLine();
      return;
    }
    if (kept + BLOCK_BYTES / 2 > this.#buffer.length) {
      const larger = new Uint8Array(2 * this.#buffer.length);
      larger.set(this.#buffer.subarray(this.#start, this.#end), 1);
      this.#buffer = larger;
    } else this.#buffer.copyWithin(1, this.#start, this.#end);
    this.#start = 1;
    this.#end = 1 + kept;
    this.#end += await this.#read(this.#end);
  }

  /** Passes over a line that is too long. */
  async #skipLine(): Promise<void> {
    this.addDamage(++this.#lineCount, `it is longer than ${MAX_LINE_BYTES} bytes`);
    this.#buffer = new Uint8Array(BLOCK_BYTES + 1);
    this.#start = this.#end = 1;
    while (!this.#isEnded) {
      const count = await this.#read(1);
      const at = this.#buffer.subarray(0, 1 + count).indexOf(NEWLINE, 1);
      if (at < 0) continue;
      this.#start = at + 1;
      this.#end = 1 + count;
      return;
    }
  }

  async #read(at: number): Promise<number> {
    try {
      const { bytesRead } = await this.#file.read(this.#buffer, at, this.#buffer.length - at);
      if (bytesRead === 0) this.#isEnded = true;
      return bytesRead;
    } catch (cause) {
      throw readFault(this.path, cause);
    }
  }
}

function readFault(path: string, cause: unknown): HooklineError {
  const code = (cause as { readonly code?: unknown }).code;
  const reason = code === "ENOENT"
    ? "it does not exist"
    : cause instanceof Error
    ? cause.message
    : String(cause);
  return new HooklineError("FILE_READ", {
    message: `cannot read the trace "${path}": ${reason}`,
    fix: "give the JSONL file that a trace wrote, and let this process read it",
    details: { file: path },
    cause,
  });
}
