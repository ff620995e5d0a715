// One side of a comparison: the records of a trace file, one after another, with its headers and notes
// set apart. It knows which lines are records, not what is done with them.

import { DAMAGE_KEPT, type LineBatch, type LineDamage, TraceLines } from "./trace_lines.ts";
import type { TraceRecord } from "./trace_statistics.ts";

/** A header line, parsed. */
export type TraceHeader = Readonly<Record<string, unknown>>;

/** What the beginning of a trace holds. */
export interface TraceOutlook {
  /** Paths of its modules. */
  readonly modules: ReadonlySet<string>;
  /** Whether its records number their calls. */
  readonly isNumbered: boolean;
}

const HEADERS_KEPT = 64;

/** A trace file, open. */
export class TraceSource implements AsyncDisposable {
  readonly #lines: TraceLines;
  readonly #headers: TraceHeader[] = [];
  readonly #notes: string[] = [];
  #queue: LineBatch[] = [];
  #batch: LineBatch | null = null;
  #at = 0;
  #line = 0;
  #recordCount = 0;
  #headerCount = 0;

  private constructor(lines: TraceLines) {
    this.#lines = lines;
  }

  /**
   * Opens a trace.
   *
   * @throws {HooklineError} FILE_READ when the file cannot be opened.
   */
  static async open(path: string): Promise<TraceSource> {
    return new TraceSource(await TraceLines.open(path));
  }

  /** The path as it was given. */
  get path(): string {
    return this.#lines.path;
  }

  /** The line of the record that was taken last. */
  get line(): number {
    return this.#line;
  }

  /** How many records were taken. */
  get recordCount(): number {
    return this.#recordCount;
  }

  /** How many lines were read. */
  get lineCount(): number {
    return this.#lines.lineCount;
  }

  /** The headers before the record that was taken last. */
  get headers(): readonly TraceHeader[] {
    return this.#headers;
  }

  /** How many headers there were: those beyond the first 64 are not kept. */
  get headerCount(): number {
    return this.#headerCount;
  }

  /** What the file's own notes say. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  /** The first of the damaged lines. */
  get damage(): readonly LineDamage[] {
    return this.#lines.damage;
  }

  /** How many lines were damaged. */
  get damageCount(): number {
    return this.#lines.damageCount;
  }

  /** The next record; null when more must be read first with {@linkcode refill}. */
  take(): TraceRecord | null {
    const batch = this.#batch;
    if (batch === null) return null;
    const { values, lines, firstLine } = batch;
    while (this.#at < values.length) {
      const at = this.#at++;
      const value = values[at] as TraceRecord | null;
      if (isRecord(value)) {
        this.#line = lines === null ? firstLine + at : lines[at] as number;
        this.#recordCount++;
        return value;
      }
      this.#other(value, lines === null ? firstLine + at : lines[at] as number);
    }
    this.#batch = null;
    return null;
  }

  /**
   * Reads on; false at the end of the file.
   *
   * @throws {HooklineError} FILE_READ when the file cannot be read on.
   */
  async refill(): Promise<boolean> {
    this.#batch = this.#queue.shift() ?? await this.#lines.next();
    this.#at = 0;
    return this.#batch !== null;
  }

  /**
   * What about the next `count` lines hold; they are taken afterwards as if nothing had happened.
   *
   * @throws {HooklineError} FILE_READ when the file cannot be read on.
   */
  async lookAhead(count: number): Promise<TraceOutlook> {
    const modules = new Set<string>();
    let isNumbered = false;
    for (let known = 0; known < count;) {
      const batch = await this.#lines.next();
      if (batch === null) break;
      this.#queue.push(batch);
      known += batch.values.length;
      for (const value of batch.values as (TraceRecord | null)[]) {
        if (!isRecord(value)) continue;
        if (modules.size === 0) isNumbered = typeof value.call === "number";
        modules.add(value.module);
      }
    }
    return { modules, isNumbered };
  }

  /** Closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines[Symbol.asyncDispose]();
  }

  #other(value: unknown, line: number): void {
    const fields = typeof value === "object" && value !== null ? value as TraceHeader : {};
    switch (fields["type"]) {
      case "header":
        this.#headerCount++;
        if (this.#headers.length < HEADERS_KEPT) this.#headers.push(fields);
        return;
      case "note":
        if (this.#notes.length < DAMAGE_KEPT) this.#notes.push(noteText(fields));
        return;
      default:
        this.#lines.addDamage(line, "it is no record: a record has a module, a tensor and a step");
    }
  }
}

function isRecord(value: TraceRecord | null): value is TraceRecord {
  if (value === null || typeof value !== "object") return false;
  const { step, call, type } = value;
  return type !== "note" && type !== "header" && typeof value.module === "string" &&
    typeof value.tensor === "string" &&
    (typeof step === "number" || step === null || step === undefined) &&
    (typeof call === "number" || call === undefined);
}

function noteText({ module, tensor, message }: TraceHeader): string {
  const of = typeof module === "string" ? `${module} ${String(tensor ?? "")}: ` : "";
  return `${of}${String(message)}`.slice(0, 400);
}
