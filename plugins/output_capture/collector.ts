// Gathers what hooks see in one scope. Collectors travel by AsyncLocalStorage, so that runs that
// interleave keep their own, and they nest: a shadowing one hides those around it. It knows no model.

import { AsyncLocalStorage } from "node:async_hooks";
import { copyTensor, HooklineError, type Tensor, type TensorWriter } from "../../mod.ts";
import type { CaptureKey, NestingPolicy } from "./capture_key.ts";
import type { WantedPositions } from "./capture_request.ts";
import type { CaptureSlot } from "./capture_slot.ts";
import { CapturedTensor, type CaptureRecord, recordOf } from "./captured_tensor.ts";
import { sliceTensor } from "./position_slice.ts";

/** What one run of a model gave. */
export interface CollectedRun {
  /** Whether it was a run of a capture inside the scope, seen because that one stacks. */
  readonly isInner: boolean;
  /** The model's label. */
  readonly model: string;
  /** The values by key; null at positions that nothing filled. */
  readonly values: Map<CaptureKey, (CapturedTensor | null)[]>;
  /** What was recorded, in order. */
  readonly records: CaptureRecord[];
}

/** Who a hook fires for. */
export interface CaptureSource {
  /** The same object for every firing of one capture. */
  readonly capture: object;
  /** The model, by identity. */
  readonly model: object;
  readonly label: string;
  readonly runId: number;
}

/** How a collector keeps what it is given. */
export interface CollectorOptions {
  /** The capture that opened the scope, and its model. */
  readonly capture: object;
  readonly model: object;
  readonly wanted: WantedPositions;
  readonly nesting: NestingPolicy;
  readonly byteBudget: number;
  /** Where values are written, or null. */
  readonly writer: TensorWriter | null;
  /** Before the names in the file, for several runs in one. */
  readonly prefix: string;
  /** Whether values are held in memory. */
  readonly keeps: boolean;
}

const collectors = new AsyncLocalStorage<Collector>();

/** The collectors that a firing reaches from here, innermost first. */
export function visibleCollectors(): readonly Collector[] {
  const visible: Collector[] = [];
  for (let next = collectors.getStore() ?? null; next !== null;) {
    visible.push(next);
    next = next.nesting === "shadow" ? null : next.parent;
  }
  return visible;
}

/** One scope's collection. */
export class Collector {
  /** The collector around this one. */
  readonly parent: Collector | null = collectors.getStore() ?? null;
  readonly #options: CollectorOptions;
  readonly #runs = new Map<string, CollectedRun>();
  readonly #ids = new Map<object, number>();
  #heldBytes = 0;
  #isOpen = true;

  /** Opens nothing: {@linkcode run} does. */
  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  /** Whether the scopes around see what this one collects. */
  get nesting(): NestingPolicy {
    return this.#options.nesting;
  }

  /** Runs `fn` with this collector in place. Firings after its end, of runs that nobody awaited, are ignored. */
  async run<T>(fn: () => T | Promise<T>): Promise<T> {
    try {
      return await collectors.run(this, fn);
    } finally {
      this.#isOpen = false;
    }
  }

  /** What was collected, by run. */
  get runs(): readonly CollectedRun[] {
    return [...this.#runs.values()];
  }

  /** Whether anything of a key is wanted here. */
  wantsKey(source: { readonly capture: object; readonly model: object }, key: CaptureKey): boolean {
    return this.#isOpen && this.#positions(source, key) !== undefined;
  }

  /** Whether a slot of a key is wanted here. */
  wants(source: { readonly capture: object; readonly model: object }, place: SlotPlace): boolean {
    return this.#isOpen && (this.#positions(source, place.key)?.has(place.position) ?? false);
  }

  /**
   * Takes a value: a copy of the wanted positions.
   *
   * @throws {HooklineError} CAPTURE_BUDGET before the bytes held pass the budget; FILE_WRITE.
   */
  put(source: CaptureSource, place: SlotPlace, value: Tensor): Promise<void> | void {
    const { slot, key, position } = place;
    const own = slot.slices.length > 0 ? sliceTensor(value, slot.slices) : null;
    const { byteBudget, keeps, writer, prefix } = this.#options;
    const run = this.#run(source);
    const record = recordOf({ key: key.name, position, level: key.level }, slot, own ?? value);
    if (keeps) {
      const bytes = byteLengthOf(own ?? value);
      if (this.#heldBytes + bytes > byteBudget) throw overBudget(record, bytes, byteBudget);
      this.#heldBytes += bytes;
      const list = run.values.get(key) ?? key.slots().map(() => null);
      list[position] = new CapturedTensor(own ?? copyTensor(value), record);
      run.values.set(key, list);
    } else if (!run.values.has(key)) run.values.set(key, key.slots().map(() => null));
    run.records.push(record);
    return writer?.write(prefix + record.name, own ?? value);
  }

  /** The wanted positions of a key: this capture's own, or of the same name on another model. */
  #positions(
    source: { readonly capture: object; readonly model: object },
    key: CaptureKey,
  ): ReadonlySet<number> | undefined {
    const { capture, model, wanted } = this.#options;
    if (source.capture === capture) return wanted.get(key);
    // Another capture of the same model has its hooks where ours have ours: once is enough.
    if (source.model === model) return undefined;
    for (const [mine, positions] of wanted) {
      if (mine.name === key.name && mine.level === key.level) {
        return positions.size === mine.slots().length ? new Set(key.slots().keys()) : positions;
      }
    }
    return undefined;
  }

  #run(source: CaptureSource): CollectedRun {
    let id = this.#ids.get(source.capture);
    if (id === undefined) this.#ids.set(source.capture, id = this.#ids.size);
    const name = `${id}:${source.runId}`;
    let run = this.#runs.get(name);
    if (run === undefined) {
      const isInner = collectors.getStore() !== this;
      run = { isInner, model: source.label, values: new Map(), records: [] };
      this.#runs.set(name, run);
    }
    return run;
  }
}

/** A slot and where it stands. */
export interface SlotPlace {
  readonly key: CaptureKey;
  readonly position: number;
  readonly slot: CaptureSlot;
}

function byteLengthOf({ data }: Tensor): number {
  if (ArrayBuffer.isView(data)) return data.byteLength;
  return data.reduce((sum, text) => sum + text.length * 2, 0);
}

function overBudget(record: CaptureRecord, bytes: number, budget: number): HooklineError {
  return new HooklineError("CAPTURE_BUDGET", {
    message:
      `cannot capture "${record.name}": its ${bytes} bytes would pass the byte budget of ${budget}`,
    fix: "capture fewer positions or a slice, stream with { to: FILE }, or raise byteBudget",
    details: { module: record.module, key: record.key, bytes, budget },
  });
}
