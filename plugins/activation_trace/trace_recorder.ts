// One trace of one model: gives calls and records their numbers, writes headers, and turns statistics
// into lines. It knows calls and tensors, not how hooks are registered.
//
// Invariant: a record stands behind the header that it belongs to, and every record of a call reaches the
// file when the call ends, however it ends.

import {
  type ForwardCall,
  HookRegistry,
  type JsonValue,
  type Model,
  type ModuleSelector,
  type Tensor,
  type TensorMap,
  toJson,
} from "../../mod.ts";
import type { LabelledTensor } from "./labels.ts";
import type { TraceSettings } from "./options.ts";
import type { SharedSink } from "./shared_sink.ts";
import { type StatisticValue, TensorStatistics } from "./statistics.ts";

/** What a recorder records for. */
export interface RecorderSubject {
  readonly model: Model;
  /** The model's name in its pipeline. */
  readonly modelName: string;
  /** How many modules are traced. */
  readonly moduleCount: number;
  /** Modules that were chosen and cannot be traced, because they lie inside control flow. */
  readonly untraced: readonly string[];
}

/** The tensors of one side of one call. */
export interface RecordedTensors {
  readonly labelled: readonly LabelledTensor[];
  /** The value names by place. */
  readonly names: readonly string[];
  readonly values: TensorMap;
}

/** A call of the model that is running. */
interface RunningCall {
  /** Which call of the model since the trace was attached. */
  readonly index: number;
  /** Where the header of the call's records stands in the file; null without one. */
  readonly run: number | null;
}

/** Records one model's calls. */
export class TraceRecorder {
  readonly settings: TraceSettings;
  readonly #subject: RecorderSubject;
  readonly #sink: SharedSink;
  readonly #statistics: TensorStatistics;
  /** Weak, so that no tensor lives a moment longer for it. */
  readonly #texts = new WeakMap<Tensor, string>();
  readonly #calls = new Map<number, RunningCall>();
  readonly #noted = new Set<string>();
  #callCount = 0;
  #recordCount = 0;
  #filteredCount = 0;
  #header: { readonly version: number; readonly run: Promise<number> } | null = null;
  #run: { readonly version: number; readonly run: number } | null = null;
  #isOpen = false;

  constructor(settings: TraceSettings, subject: RecorderSubject, sink: SharedSink) {
    this.settings = settings;
    this.#subject = subject;
    this.#sink = sink;
    this.#statistics = new TensorStatistics(settings.stats);
  }

  /** How many records were made. */
  get recordCount(): number {
    return this.#recordCount;
  }

  /** Whether the file is in use. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Begins to use the file: the last step of attaching, so that what is refused makes no file.
   *
   * @throws {HooklineError} FILE_WRITE when it cannot be opened.
   */
  open(): void {
    this.#sink.acquire();
    this.#isOpen = true;
  }

  /** Begins a call: numbers it and, when the hooks have changed since the last header, writes a new one. */
  begin(call: ForwardCall): Promise<void> | undefined {
    const index = this.#callCount++;
    if (!this.settings.header) {
      this.#calls.set(call.runId, { index, run: null });
      return undefined;
    }
    const version = hooksVersion(this.#subject.model);
    if (this.#run?.version === version) {
      this.#calls.set(call.runId, { index, run: this.#run.run });
      return undefined;
    }
    if (this.#header?.version !== version) {
      this.#header = { version, run: this.#writeHeader() };
    }
    return this.#header.run.then((run) => {
      this.#run = { version, run };
      this.#calls.set(call.runId, { index, run });
    });
  }

  /** Makes the records of a module's inputs or outputs. */
  record(call: ForwardCall, { labelled, names, values }: RecordedTensors): void {
    const { steps } = this.settings;
    if (steps !== null && (call.step === null || !steps.has(call.step))) {
      this.#filteredCount++;
      return;
    }
    const running = this.#calls.get(call.runId);
    if (running === undefined) return; // the trace was attached while the call ran
    // Unique for every forward of this module: a module that one call runs twice counts two.
    const callNumber = running.index * call.module.callCount + call.callIndex;
    const tail = `,"context":${JSON.stringify(call.context)}` +
      (running.run === null ? "}" : `,"run":${running.run}}`);
    for (const { index, label } of labelled) {
      const value = values[names[index] as string];
      if (value === undefined) continue;
      const head = `{"module":${JSON.stringify(call.module.path)},"tensor":${
        JSON.stringify(label)
      },"step":${call.step}`;
      if (!this.#statistics.accepts(value)) {
        this.#note(call.module.path, label, `${value.dtype} elements have no statistics`);
        continue;
      }
      const numbers = this.#numbersOf(value);
      this.#sink.write(
        `${head}${numbers},"call":${callNumber},"seq":${this.#recordCount++}${tail}`,
      );
    }
  }

  /** The statistics as text. A block and the last module in it have one tensor: it is read once. */
  #numbersOf(value: Tensor): string {
    const known = this.#texts.get(value);
    if (known !== undefined) return known;
    let text = "";
    const found = this.#statistics.compute(value);
    for (let at = 0; at < found.length; at++) {
      text += `,"${this.settings.stats[at]}":${valueText(found[at] as StatisticValue)}`;
    }
    this.#texts.set(value, text);
    return text;
  }

  /**
   * Ends a call: what was recorded reaches the file.
   *
   * @throws {HooklineError} FILE_WRITE when it does not.
   */
  end(call: ForwardCall): void {
    this.#calls.delete(call.runId);
    this.#sink.flush();
  }

  /**
   * Ends the trace. A second time it does nothing.
   *
   * @throws {HooklineError} FILE_WRITE when waiting lines could not be written.
   */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      if (this.#recordCount === 0 && this.#filteredCount > 0) this.#tellEmpty();
    } finally {
      this.#sink.release();
    }
  }

  /** A filter that keeps nothing looks like a model that computes nothing; so it is said. */
  #tellEmpty(): void {
    const steps = [...this.settings.steps ?? []].join(",");
    const message =
      `no record: the step filter "${steps}" kept none of ${this.#filteredCount} module calls; ` +
      "steps are those that traceStep sets";
    this.#sink.write(JSON.stringify({ type: "note", message }));
    console.warn(`hookline: ${this.#sink.path}: ${message}`);
  }

  #note(module: string, tensor: string, message: string): void {
    const key = `${module}\n${tensor}`;
    if (this.#noted.has(key)) return;
    this.#noted.add(key);
    this.#sink.write(JSON.stringify({ type: "note", module, tensor, message }));
  }

  async #writeHeader(): Promise<number> {
    const { model, modelName, moduleCount, untraced } = this.#subject;
    const { stats, steps, selector, inputs, fileHash } = this.settings;
    const provenance = await model.provenance({ fileHash });
    // Written at once, so that `byteLength` is where it stands even when several traces share the file.
    this.#sink.flush();
    const run = this.#sink.byteLength;
    this.#sink.write(JSON.stringify(toJson({
      type: "header",
      format: "hookline-trace",
      formatVersion: 1,
      run,
      name: modelName,
      ...provenance,
      modules: moduleCount,
      untraced,
      layers: selector === null ? null : selectorText(selector),
      stats,
      steps: steps === null ? null : [...steps],
      inputs,
    })));
    this.#sink.flush();
    return run;
  }
}

/** Changes when any hook of the model comes or goes: then another plan may run. */
function hooksVersion(model: Model): number {
  let version = 0;
  for (const registry of HookRegistry.all(model)) version += registry.version;
  return version;
}

function selectorText(selector: ModuleSelector): JsonValue {
  if (typeof selector === "string") return selector;
  return typeof selector === "function" ? "(a function)" : selector.map(selectorText);
}

function valueText(value: StatisticValue): string {
  if (typeof value === "number") {
    // `+ 0` makes 0 of -0, as JSON.stringify has it.
    return Number.isFinite(value) ? String(value + 0) : `"${value}"`;
  }
  return JSON.stringify(value);
}
