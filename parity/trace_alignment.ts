// Which record of one trace belongs to which of the other, while both are read once. It knows identities
// (module, tensor, step, call), not statistics.
//
// Invariant: a record waits for its partner until `window` further records of its own file have been
// read, then it is given up as one-sided. So memory holds two windows of records and one entry for each
// tensor of each module, however long the files are.

import { HooklineError } from "../errors/hookline_error.ts";
import { ModuleEntry, type TensorEntry, type TraceSide, WaitingRecord } from "./_trace_entries.ts";
import type { TraceRecord } from "./trace_statistics.ts";

/** How many tensors of modules a comparison may be about. */
export const TENSOR_LIMIT = 200_000;

/** What the aligner is given. */
export interface AlignmentOptions {
  /** Records of its own file that a record waits for. */
  readonly window: number;
  /** Whether the files number their calls; else calls are counted. */
  readonly isNumbered: boolean;
  /** The reference's path for a candidate's. */
  rename(path: string): string;
  /** Called for every pair. */
  onPair(reference: WaitingRecord, candidate: WaitingRecord): void;
}

/** What the aligner keeps of one file. */
class AlignedFile {
  /** Records that wait, each where its turn came: a slot comes round again after a window. */
  readonly ring: (WaitingRecord | null)[];
  place = 0;
  waitingCount = 0;
  /** The module of the last record: a call runs the same modules in the same order as the last one. */
  last: ModuleEntry | null = null;

  constructor(window: number) {
    this.ring = new Array(window).fill(null);
  }
}

/** Pairs records. */
export class TraceAligner {
  readonly #options: AlignmentOptions;
  readonly #isNumbered: boolean;
  readonly #modules = new Map<string, ModuleEntry>();
  readonly #byCandidate = new Map<string, ModuleEntry>();
  readonly #reference: AlignedFile;
  readonly #candidate: AlignedFile;
  #tensorCount = 0;

  /** Holds nothing yet. */
  constructor(options: AlignmentOptions) {
    this.#options = options;
    this.#isNumbered = options.isNumbered;
    this.#reference = new AlignedFile(options.window);
    this.#candidate = new AlignedFile(options.window);
  }

  /** Every module, in the order in which the files have them first. */
  get modules(): ReadonlyMap<string, ModuleEntry> {
    return this.#modules;
  }

  /** How many records of a side wait. */
  waitingCount(side: TraceSide): number {
    return (side === "reference" ? this.#reference : this.#candidate).waitingCount;
  }

  /**
   * Takes the next record of a side; true when it found its partner.
   *
   * @throws {HooklineError} FILE_FORMAT when the files name more tensors than any model has.
   */
  add(side: TraceSide, record: TraceRecord, line: number): boolean {
    const isReference = side === "reference";
    const entry = isReference ? this.#referenceEntry(record) : this.#candidateEntry(record);
    const own = isReference ? entry.reference : entry.candidate;
    const step = record.step ?? null;
    const call = this.#isNumbered ? record.call ?? 0 : own.nextCall(step);
    const waiting = new WaitingRecord(entry, record, line, step, call);
    const partner = (isReference ? entry.candidate : entry.reference).take(step, call);
    const file = isReference ? this.#reference : this.#candidate;
    const place = file.place;
    file.place = place + 1 === file.ring.length ? 0 : place + 1;
    const oldest = file.ring[place] as WaitingRecord | null;
    if (oldest !== null) giveUp(oldest, file, side);
    if (partner === null) {
      file.ring[place] = waiting;
      waiting.place = place;
      own.put(waiting);
      file.waitingCount++;
      return false;
    }
    // Out of the ring at once: what stays there for a window's length costs the collector dearly.
    const other = isReference ? this.#candidate : this.#reference;
    other.ring[partner.place] = null;
    other.waitingCount--;
    if (isReference) this.#options.onPair(waiting, partner);
    else this.#options.onPair(partner, waiting);
    return true;
  }

  /** Gives up all that waits, oldest first. */
  finish(): void {
    for (const side of ["reference", "candidate"] as const) {
      const file = side === "reference" ? this.#reference : this.#candidate;
      for (let count = 0; count < file.ring.length; count++) {
        const waiting = file.ring[(file.place + count) % file.ring.length] as WaitingRecord | null;
        if (waiting !== null) giveUp(waiting, file, side);
      }
    }
  }

  #referenceEntry({ module, tensor }: TraceRecord): TensorEntry {
    const last = this.#reference.last;
    let entry: ModuleEntry | undefined = last?.referenceNext ?? undefined;
    if (entry === undefined || entry.path !== module) {
      entry = this.#modules.get(module);
      if (entry === undefined) {
        entry = new ModuleEntry(module);
        this.#modules.set(module, entry);
      }
      entry.inReference = true;
      if (last !== null) last.referenceNext = entry;
    }
    this.#reference.last = entry;
    return entry.referenceTensor(tensor, this.#countTensor);
  }

  #candidateEntry({ module, tensor }: TraceRecord): TensorEntry {
    const last = this.#candidate.last;
    let entry: ModuleEntry | undefined = last?.candidateNext ?? undefined;
    if (entry === undefined || entry.candidatePath !== module) {
      entry = this.#byCandidate.get(module) ?? this.#newCandidate(module);
      if (last !== null) last.candidateNext = entry;
    }
    this.#candidate.last = entry;
    return entry.candidateTensor(tensor, this.#countTensor);
  }

  #newCandidate(module: string): ModuleEntry {
    let path = this.#options.rename(module);
    // A name that another module of the candidate has taken: it keeps its own.
    while ((this.#modules.get(path)?.candidatePath ?? null) !== null) {
      path = path === module ? `${module} (candidate)` : module;
    }
    const entry = this.#modules.get(path) ?? new ModuleEntry(path);
    this.#modules.set(path, entry);
    entry.candidatePath = module;
    this.#byCandidate.set(module, entry);
    return entry;
  }

  readonly #countTensor = (): void => {
    if (++this.#tensorCount <= TENSOR_LIMIT) return;
    throw new HooklineError("FILE_FORMAT", {
      message: `cannot compare the traces: they name more than ${TENSOR_LIMIT} tensors of modules`,
      fix: "check that `module` holds a module's path and nothing that changes from call to call",
      details: { limit: TENSOR_LIMIT },
    });
  };
}

function giveUp(waiting: WaitingRecord, file: AlignedFile, side: TraceSide): void {
  const { line, step, call, place } = waiting;
  const own = waiting.entry[side];
  own.take(step, call); // the oldest of its identity, so it is itself
  file.ring[place] = null;
  file.waitingCount--;
  if (own.lost === null) own.lost = { count: 1, line, step, call };
  else own.lost.count++;
}
