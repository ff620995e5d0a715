// What a comparison of traces keeps for each module and each of its tensors: what waits for its partner,
// and what was found. It knows identities, neither files nor the order in which they are read.

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
  /** Where it stands among those that wait. */
  place = 0;
  /** The next one of the same identity. */
  next: WaitingRecord | null = null;

  constructor(
    entry: TensorEntry,
    record: TraceRecord,
    line: number,
    step: number | null,
    call: number,
  ) {
    this.entry = entry;
    this.record = record;
    this.line = line;
    this.step = step;
    this.call = call;
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
  #highest = -Infinity;
  #isNew = false;
  /** Earlier steps with their counts, a ring: no Map, because deleting from one costs too much. */
  readonly #steps: (number | null)[] = [];
  readonly #counts: number[] = [];
  #oldest = 0;

  /** The number of this occurrence of the step, from 0. */
  nextCall(step: number | null): number {
    if (step === this.#step) return this.#count++;
    this.#remember();
    this.#step = step;
    // Steps ascend as a rule: a higher one than all before was never seen.
    this.#isNew = step !== null && step > this.#highest;
    const seen = this.#isNew ? 0 : this.#countOf(step);
    if (this.#isNew) this.#highest = step as number;
    this.#count = seen + 1;
    return seen;
  }

  #remember(): void {
    if (this.#count === 0) return;
    const known = this.#isNew ? -1 : this.#steps.indexOf(this.#step);
    if (known >= 0) this.#counts[known] = this.#count;
    else if (this.#steps.length < STEPS_KEPT) {
      this.#steps.push(this.#step);
      this.#counts.push(this.#count);
    } else {
      this.#steps[this.#oldest] = this.#step;
      this.#counts[this.#oldest] = this.#count;
      this.#oldest = (this.#oldest + 1) % STEPS_KEPT;
    }
  }

  #countOf(step: number | null): number {
    const known = this.#steps.indexOf(step);
    return known < 0 ? 0 : this.#counts[known] as number;
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
  /** The module that came next when this one ran last. */
  referenceNext: ModuleEntry | null = null;
  candidateNext: ModuleEntry | null = null;
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
