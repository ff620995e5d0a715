// Which record of one trace belongs to which of the other, while both are read once. It knows identities
// (module, tensor, step, call), not statistics.
//
// Invariant: a record waits for its partner until `window` further records of its own file have been
// read, then it is given up as one-sided. So memory holds two windows of records and one entry for each
// tensor of each module, however long the files are.

import { HooklineError } from "../errors/hookline_error.ts";
import type { Finding, StatisticPlan, TraceRecord } from "./trace_statistics.ts";

/** Which file. */
export type TraceSide = "reference" | "candidate";

/** A record that waits for its partner. */
export class WaitingRecord {
  readonly entry: TensorEntry;
  readonly record: TraceRecord;
  readonly line: number;
  readonly step: number | null;
  readonly call: number;
  /** Whether it found its partner. */
  isDone = false;
  /** The next one of the same identity. */
  next: WaitingRecord | null = null;

  constructor(
    entry: TensorEntry,
    record: TraceRecord,
    place: { readonly line: number; readonly step: number | null; readonly call: number },
  ) {
    this.entry = entry;
    this.record = record;
    this.line = place.line;
    this.step = place.step;
    this.call = place.call;
  }
}

/** Records of one tensor that one file has alone. */
export interface OneSided {
  count: number;
  /** Where the first of them stands. */
  readonly line: number;
  readonly step: number | null;
  readonly call: number;
}

const STEPS_KEPT = 256;

/** What waits on one side for one tensor, and how often it was seen. */
class EntrySide {
  /** The only waiting record, as a rule; `others` is used when there are more. */
  slot: WaitingRecord | null = null;
  others: Map<string, WaitingRecord> | null = null;
  lost: OneSided | null = null;
  #step: number | null = null;
  #count = 0;
  #counts: Map<number | null, number> | null = null;

  /** The number of this occurrence of the step, from 0. */
  nextCall(step: number | null): number {
    if (step === this.#step) return this.#count++;
    const counts = this.#counts ??= new Map();
    counts.delete(this.#step);
    counts.set(this.#step, this.#count);
    if (counts.size > STEPS_KEPT) counts.delete(counts.keys().next().value as number | null);
    this.#step = step;
    const seen = counts.get(step) ?? 0;
    this.#count = seen + 1;
    return seen;
  }

  put(waiting: WaitingRecord): void {
    if (this.slot === null && this.others === null) {
      this.slot = waiting;
      return;
    }
    const others = this.others ??= new Map();
    const key = identityOf(waiting.step, waiting.call);
    let last = others.get(key);
    if (last === undefined) others.set(key, waiting);
    else {
      while (last.next !== null) last = last.next;
      last.next = waiting;
    }
  }

  /** Takes the oldest one of this identity out. */
  take(step: number | null, call: number): WaitingRecord | null {
    const slot = this.slot;
    if (slot !== null && slot.step === step && slot.call === call) {
      this.slot = null;
      return slot;
    }
    if (this.others === null) return null;
    const key = identityOf(step, call);
    const first = this.others.get(key);
    if (first === undefined) return null;
    if (first.next !== null) this.others.set(key, first.next);
    else {
      this.others.delete(key);
      if (this.others.size === 0) this.others = null;
    }
    return first;
  }
}

function identityOf(step: number | null, call: number): string {
  return `${step}:${call}`;
}

/** One tensor of one module, with what was found about it. */
export class TensorEntry {
  readonly module: ModuleEntry;
  /** The label, the reference's where both have one. */
  tensor: string;
  /** Whether the reference has it. */
  inReference = false;
  readonly reference: EntrySide = new EntrySide();
  readonly candidate: EntrySide = new EntrySide();
  /** What its records have in common; made anew when `planVersion` is not the comparison's. */
  plan: StatisticPlan | null = null;
  planVersion = -1;
  aligned = 0;
  diverged = 0;
  /** The largest ratio of error to tolerance. */
  worst: TraceDifference | null = null;
  worstRatio = 0;

  constructor(module: ModuleEntry, tensor: string) {
    this.module = module;
    this.tensor = tensor;
  }
}

/** Two records that belong together and what was found in them. */
export interface TraceDifference extends Finding {
  /** The module's path, as the reference has it. */
  readonly module: string;
  /** The tensor's label. */
  readonly tensor: string;
  /** The step, or null. */
  readonly step: number | null;
  /** Which call: the files' own number, or which occurrence of module, tensor and step, from 0. */
  readonly call: number;
  /** The reference's line. */
  readonly referenceLine: number;
  /** The candidate's line. */
  readonly candidateLine: number;
}

/** A module, by the reference's path. */
export class ModuleEntry {
  readonly path: string;
  readonly tensors: Map<string, TensorEntry> = new Map();
  /** What the candidate calls it, once it was seen there. */
  candidatePath: string | null = null;
  /** Whether the reference has it. */
  inReference = false;
  /** Labels of the candidate that the reference spells in another way. */
  readonly #labels = new Map<string, TensorEntry>();
  /** The last one asked for: most modules have one tensor. */
  #last: TensorEntry | null = null;

  constructor(path: string) {
    this.path = path;
  }

  /** Labels that were taken for one another, the reference's first. */
  get labels(): readonly (readonly [string, string])[] {
    return [...this.#labels].map(([label, entry]) => [entry.tensor, label]);
  }

  /** The reference's tensor of this label; made, and `onNew` called, when there is none. */
  referenceTensor(label: string, onNew: () => void): TensorEntry {
    if (this.#last !== null && this.#last.tensor === label && this.#last.inReference) {
      return this.#last;
    }
    const known = this.tensors.get(label) ?? this.#adopted(label);
    const entry = this.#last = known ?? this.#make(label, onNew);
    entry.inReference = true;
    return entry;
  }

  /**
   * The same for a label of the candidate. A module with one tensor calls it `out`; where PyTorch
   * returns a tuple of which the ONNX file kept the first element alone, that is the other's `out[0]`.
   */
  candidateTensor(label: string, onNew: () => void): TensorEntry {
    if (this.#last !== null && this.#last.tensor === label) return this.#last;
    let entry = this.tensors.get(label) ?? this.#labels.get(label);
    if (entry === undefined) {
      entry = this.tensors.get(aliasOf(label) ?? label);
      if (entry !== undefined) this.#labels.set(label, entry);
    }
    return this.#last = entry ?? this.#make(label, onNew);
  }

  /** A tensor that the candidate had first, and by another label. */
  #adopted(label: string): TensorEntry | undefined {
    const alias = aliasOf(label);
    const entry = alias === null ? undefined : this.tensors.get(alias);
    if (alias === null || entry === undefined || entry.inReference) return undefined;
    this.tensors.delete(alias);
    this.tensors.set(label, entry);
    this.#labels.set(alias, entry);
    entry.tensor = label;
    return entry;
  }

  #make(label: string, onNew: () => void): TensorEntry {
    onNew();
    const entry = new TensorEntry(this, label);
    this.tensors.set(label, entry);
    return entry;
  }
}

function aliasOf(label: string): string | null {
  return label === "out" ? "out[0]" : label === "out[0]" ? "out" : null;
}

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

/** Pairs records. */
export class TraceAligner {
  readonly #options: AlignmentOptions;
  readonly #modules = new Map<string, ModuleEntry>();
  readonly #byCandidate = new Map<string, ModuleEntry>();
  readonly #rings: Readonly<Record<TraceSide, (WaitingRecord | null)[]>>;
  readonly #places: Record<TraceSide, number> = { reference: 0, candidate: 0 };
  readonly #waiting: Record<TraceSide, number> = { reference: 0, candidate: 0 };
  #tensorCount = 0;

  constructor(options: AlignmentOptions) {
    this.#options = options;
    const ring = (): (WaitingRecord | null)[] => new Array(options.window).fill(null);
    this.#rings = { reference: ring(), candidate: ring() };
  }

  /** Every module, in the order in which the files have them first. */
  get modules(): ReadonlyMap<string, ModuleEntry> {
    return this.#modules;
  }

  /** How many records of a side wait. */
  waitingCount(side: TraceSide): number {
    return this.#waiting[side];
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
    const call = this.#options.isNumbered ? record.call ?? 0 : own.nextCall(step);
    const waiting = new WaitingRecord(entry, record, { line, step, call });
    const partner = (isReference ? entry.candidate : entry.reference).take(step, call);
    const ring = this.#rings[side];
    const place = this.#places[side];
    this.#places[side] = place + 1 === ring.length ? 0 : place + 1;
    const oldest = ring[place] as WaitingRecord | null;
    if (oldest !== null && !oldest.isDone) this.#giveUp(side, oldest);
    if (partner === null) {
      ring[place] = waiting;
      own.put(waiting);
      this.#waiting[side]++;
      return false;
    }
    ring[place] = null;
    partner.isDone = true;
    this.#waiting[isReference ? "candidate" : "reference"]--;
    if (isReference) this.#options.onPair(waiting, partner);
    else this.#options.onPair(partner, waiting);
    return true;
  }

  /** Gives up all that waits, oldest first. */
  finish(): void {
    for (const side of ["reference", "candidate"] as const) {
      const ring = this.#rings[side];
      for (let count = 0; count < ring.length; count++) {
        const at = (this.#places[side] + count) % ring.length;
        const waiting = ring[at] as WaitingRecord | null;
        if (waiting !== null && !waiting.isDone) this.#giveUp(side, waiting);
        ring[at] = null;
      }
    }
  }

  #giveUp(side: TraceSide, waiting: WaitingRecord): void {
    const own = waiting.entry[side];
    own.take(waiting.step, waiting.call); // the oldest of its identity, so it is itself
    waiting.isDone = true;
    this.#waiting[side]--;
    const { line, step, call } = waiting;
    if (own.lost === null) own.lost = { count: 1, line, step, call };
    else own.lost.count++;
  }

  #referenceEntry({ module, tensor }: TraceRecord): TensorEntry {
    let entry = this.#modules.get(module);
    if (entry === undefined) {
      entry = new ModuleEntry(module);
      this.#modules.set(module, entry);
    }
    entry.inReference = true;
    return entry.referenceTensor(tensor, this.#countTensor);
  }

  #candidateEntry({ module, tensor }: TraceRecord): TensorEntry {
    let entry = this.#byCandidate.get(module);
    if (entry === undefined) {
      const renamed = this.#options.rename(module);
      entry = this.#modules.get(renamed);
      // A name that another module of the candidate took keeps its own.
      if (entry !== undefined && entry.candidatePath !== null) {
        entry = this.#modules.get(module);
        if (entry !== undefined && entry.candidatePath !== null) entry = new ModuleEntry(module);
      }
      const path = entry?.path ?? renamed;
      entry ??= new ModuleEntry(path);
      if (!this.#modules.has(path)) this.#modules.set(path, entry);
      entry.candidatePath = module;
      this.#byCandidate.set(module, entry);
    }
    return entry.candidateTensor(tensor, this.#countTensor);
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
