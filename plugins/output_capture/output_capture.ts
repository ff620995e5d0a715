// Captures values inside a model: opens a scope around runs, attaches the hooks that the scope needs,
// and hands back what they saw. It knows keys and hooks, no sessions and no graph.
//
// Invariant: outside a scope no hook takes part. A plain run of the model then has the plan, the session
// and the outputs that it would have without this plugin.

import {
  type HookHandle,
  Model,
  type RunOptions,
  type TensorMap,
  type TensorWriter,
} from "../../mod.ts";
import { captureHook } from "./capture_hook.ts";
import { type CaptureKey, captureKeys } from "./capture_key.ts";
import { type CaptureOptions, checkOptions, declaredLevels, notAModel } from "./capture_options.ts";
import {
  type CaptureFlag,
  type CaptureFlags,
  type WantedPositions,
  wantedPositions,
} from "./capture_request.ts";
import {
  type CapturedRun,
  capturedRun,
  type CaptureResult,
  captureResult,
  type CaptureTuple,
} from "./capture_result.ts";
import { type CaptureTarget, runScope, type ScopeEnd } from "./capture_run.ts";
import { ClassTable } from "./class_table.ts";
import { type SlotPlace, visibleCollectors } from "./collector.ts";

/** Flags of a call: by key, or by `output_` and the key. */
export type CaptureWant<Key extends string> = {
  readonly [Name in Key | `output_${Key}`]?: CaptureFlag | undefined;
};

/** The keys that flags name. */
export type RequestedKey<Key extends string, Want> = {
  [Name in keyof Want & string]: string extends Key
    ? (Name extends `output_${infer Rest}` ? Rest : Name)
    : Name extends Key ? Name
    : Name extends `output_${infer Rest}` ? Rest
    : never;
}[keyof Want & string];

/** Options of one captured call. */
export interface CaptureRunOptions {
  /** Ends the run between two segments. */
  readonly signal?: AbortSignal;
  /** Names of the outputs that are wanted; all by default. */
  readonly outputs?: readonly string[];
  /** Stops after the last captured module: later segments do not run, and there are no outputs. */
  readonly stop?: boolean;
  /** Flags for sub-models, by path; where none are given, those of the call hold for them too. */
  readonly submodels?: Readonly<Record<string, CaptureFlags>>;
  /**
   * A file (`.safetensors` or `.npz`) that values are written to as they appear instead of being held in
   * memory, or an open writer. A file gets its name when the run has succeeded; after a failure it stays
   * at `FILE.partial` and can be recovered.
   */
  readonly to?: string | TensorWriter;
  /** Before every name in the file, for several runs in one writer. */
  readonly prefix?: string;
  /** Whether to hold values in memory beside writing them; default false with `to`. */
  readonly keep?: boolean;
  /** What a failed run does: `"throw"` (default), or `"return"` what was captured, marked partial. */
  readonly onError?: "throw" | "return";
  /** False gives a tuple instead of names; `config.return_dict` decides where this is left out. */
  readonly returnDict?: boolean;
}

/** Options of {@linkcode OutputCapture.collect}. */
export type CollectOptions = Pick<CaptureRunOptions, "submodels" | "to" | "prefix" | "keep">;

const PARTIAL = new WeakMap<object, CaptureResult>();

/**
 * What a failed capture had recorded, by the error that it threw; undefined for any other error.
 *
 * @example
 * ```ts
 * import { partialCaptures } from "@hookline/hookline/plugins/output-capture";
 * console.log(partialCaptures(new Error("another")));
 * ```
 */
export function partialCaptures(error: unknown): CaptureResult | undefined {
  return typeof error === "object" && error !== null ? PARTIAL.get(error) : undefined;
}

/**
 * Captures of one model. Make one with {@linkcode outputCapture}; dispose of it to remove its hooks (a
 * later capture attaches them again).
 */
export class OutputCapture<Key extends string = string> implements Disposable, AsyncDisposable {
  /** The model. */
  readonly model: Model;
  readonly #options: CaptureOptions;
  readonly #keys: readonly CaptureKey[];
  readonly #handles = new Map<CaptureKey, readonly HookHandle[]>();

  /** Use {@linkcode outputCapture}. */
  constructor(model: Model, options: CaptureOptions<Key> = {}) {
    const told = options as CaptureOptions;
    checkOptions(told);
    if (!(model instanceof Model)) throw notAModel();
    const classes = new ClassTable(told.bases, told.patches);
    this.model = model;
    this.#options = told;
    this.#keys = captureKeys({
      model,
      classes,
      ...declaredLevels(model, told, classes),
      nesting: told.nesting ?? "shadow",
      tie: told.tieLastHiddenStates ?? true,
    });
  }

  /** The names of the model's own keys. */
  get keys(): readonly Key[] {
    return this.#keys.filter(({ level }) => level === "").map(({ name }) => name as Key);
  }

  /** The keys of sub-models, by path. */
  get submodels(): Readonly<Record<string, readonly string[]>> {
    const inner = this.#keys.filter(({ level }) => level !== "");
    return Object.fromEntries(
      [...new Set(inner.map(({ level }) => level))].map((level) => [
        level,
        inner.filter((key) => key.level === level).map(({ name }) => name),
      ]),
    );
  }

  /** Whether hooks are attached: from the first capture of a key on, until disposal. */
  get isInstalled(): boolean {
    return this.#handles.size > 0;
  }

  /**
   * What a key records, position by position: `KEY/MODULE` as files name it, null for a hole.
   *
   * @throws {HooklineError} HOOK_MATCH_EMPTY, SELECTOR_SYNTAX or OPTION_INVALID when the key's
   * declaration does not fit the model.
   */
  positions(key: Key): readonly (string | null)[] {
    const found = this.#keys.find(({ name, level }) => name === key && level === "");
    return found?.slots().map((slot) => slot === null ? null : `${key}/${slot.label}`) ?? [];
  }

  /**
   * Runs the model and captures what is asked for.
   *
   * Values are copies: nothing that happens later to the model's buffers changes them. A key that is
   * declared but not asked for costs nothing. Any number of captures may run at once.
   *
   * @throws {HooklineError} OPTION_INVALID, HOOK_MATCH_EMPTY or SELECTOR_SYNTAX before anything runs;
   * CAPTURE_BUDGET before the bytes held pass the budget; CAPTURE_EMPTY when nothing of a key was
   * recorded; FILE_WRITE; whatever `model.run` throws. What was recorded until then is in
   * {@linkcode partialCaptures} of the error.
   */
  run<const Want extends CaptureWant<Key>>(
    feeds: TensorMap,
    want: Want,
    options: CaptureRunOptions & { readonly returnDict: false },
  ): Promise<CaptureTuple>;
  /** Runs the model and gives the result by name. */
  run<const Want extends CaptureWant<Key>>(
    feeds: TensorMap,
    want?: Want,
    options?: CaptureRunOptions,
  ): Promise<CaptureResult<RequestedKey<Key, Want>>>;
  async run(
    feeds: TensorMap,
    want: CaptureFlags = {},
    options: CaptureRunOptions = {},
  ): Promise<CaptureResult | CaptureTuple> {
    const wanted = this.#wanted(want, options.submodels);
    const { signal, stop = false, outputs = stop && wanted.size > 0 ? [] : undefined } = options;
    const runOptions: RunOptions = {
      ...signal === undefined ? {} : { signal },
      ...outputs === undefined ? {} : { outputs },
    };
    const isPlain = signal === undefined && outputs === undefined;
    const end = await this.#scope(
      wanted,
      options,
      () => isPlain ? this.model.run(feeds) : this.model.run(feeds, runOptions),
    );
    const { outcome } = end;
    const result = captureResult({
      runs: end.collector.runs,
      wanted,
      outputs: outcome.ok ? outcome.value : {},
      outputNames: this.model.outputs.map(({ name }) => name),
      error: outcome.ok ? null : outcome.error,
      isPartial: !outcome.ok,
    });
    if (!outcome.ok && options.onError !== "return") throw failed(outcome.error, result);
    const returnDict = options.returnDict ?? this.#options.config?.["return_dict"];
    return returnDict === false ? result.toTuple() : result;
  }

  /**
   * Runs `fn` in a scope: every run of the model inside it, however deep and after however many awaits,
   * is captured. For loops and pipelines whose code should not change.
   *
   * @returns What `fn` returned, and what each run gave, in the order in which they recorded something.
   * @throws what `fn` throws; otherwise as {@linkcode run}.
   */
  async collect<T>(
    want: CaptureWant<Key>,
    fn: () => T | Promise<T>,
    options: CollectOptions = {},
  ): Promise<{ readonly value: T; readonly runs: readonly CapturedRun[] }> {
    const wanted = this.#wanted(want, options.submodels);
    const { collector, outcome } = await this.#scope(wanted, options, async () => await fn());
    if (outcome.ok) return { value: outcome.value, runs: collector.runs.map(capturedRun) };
    throw failed(
      outcome.error,
      captureResult({
        runs: collector.runs,
        wanted,
        outputs: {},
        outputNames: [],
        error: outcome.error,
        isPartial: true,
      }),
    );
  }

  /** The plan that a captured run would have, in words. Opens nothing. */
  async explain(
    want: CaptureWant<Key>,
    options: { readonly stop?: boolean } = {},
  ): Promise<string> {
    const wanted = this.#wanted(want);
    const { outcome } = await this.#scope(
      wanted,
      {},
      () => Promise.resolve(this.model.explain(options.stop === true ? { outputs: [] } : {})),
      "ignore",
    );
    if (!outcome.ok) throw outcome.error;
    return outcome.value;
  }

  /** Removes the hooks; resolves when no run holds them any more. */
  async dispose(): Promise<void> {
    const handles = [...this.#handles.values()].flat();
    this.#handles.clear();
    for (const handle of handles) await handle.remove();
  }

  /** Removes the hooks with the next run. */
  [Symbol.dispose](): void {
    const handles = [...this.#handles.values()].flat();
    this.#handles.clear();
    for (const handle of handles) handle[Symbol.dispose]();
  }

  /** The same as {@linkcode dispose}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #wanted(
    call: CaptureFlags,
    submodels: Readonly<Record<string, CaptureFlags>> = {},
  ): WantedPositions {
    const { return_dict: _, ...config } = this.#options.config ?? {};
    return wantedPositions(this.#keys, { call, submodels, config });
  }

  #scope<T>(
    wanted: WantedPositions,
    target: CaptureTarget,
    fn: () => Promise<T>,
    onEmpty: "error" | "ignore" = this.#options.onEmpty ?? "error",
  ): Promise<ScopeEnd<T>> {
    for (const key of wanted.keys()) this.#install(key);
    return runScope({
      capture: this,
      model: this.model,
      label: this.model.label,
      wanted,
      nesting: this.#options.nesting ?? "shadow",
      byteBudget: this.#options.byteBudget ?? Infinity,
      onEmpty,
      target: {
        ...target.to === undefined ? {} : { to: target.to },
        ...target.prefix === undefined ? {} : { prefix: target.prefix },
        ...target.keep === undefined ? {} : { keep: target.keep },
      },
    }, () => {
      this.#installForOuter();
      return fn();
    });
  }

  /** Scopes around may want keys that this one does not. */
  #installForOuter(): void {
    const source = { capture: this, model: this.model };
    for (const key of this.#keys) {
      if (visibleCollectors().some((outer) => outer.wantsKey(source, key))) this.#install(key);
    }
  }

  /** Attaches a key's hooks, once; when one is refused, none stays. */
  #install(key: CaptureKey): void {
    if (this.#handles.has(key)) return;
    using attached = new DisposableStack();
    const handles = groupsOf(key).map(({ module, ...hooked }) => {
      const registry = this.model.registry(module);
      const base = hookName(key, hooked);
      let name = base;
      for (let n = 2; registry.has(name); n++) name = `${base}-${n}`;
      const hook = captureHook({ capture: this, model: this.model }, { ...hooked, name });
      return attached.use(registry.register(hook, { plugin: "output-capture" }));
    });
    attached.move();
    this.#handles.set(key, handles);
  }
}

/**
 * Prepares to capture values of a model: hidden states, attention weights, or whatever modules and
 * operators compute. Attaches nothing until something is asked for.
 *
 * @throws {HooklineError} OPTION_INVALID when an option or a sub-model's path is wrong.
 *
 * @example
 * ```ts
 * import { openModel, randomInputs } from "@hookline/hookline";
 * import { outputCapture } from "@hookline/hookline/plugins/output-capture";
 * await using model = await openModel("bert.onnx");
 * const feeds = randomInputs(1, model.inputs, { batch: 1, seq: 4 });
 * const { captures } = await outputCapture(model).run(feeds, { hidden_states: true });
 * console.log(captures.hidden_states.length); // 4: the embeddings and three layers
 * ```
 */
export function outputCapture<Key extends string = string>(
  model: Model,
  options: CaptureOptions<Key> = {},
): OutputCapture<Key> {
  return new OutputCapture(model, options);
}

function failed(error: unknown, result: CaptureResult): unknown {
  if (typeof error === "object" && error !== null) PARTIAL.set(error, result);
  return error;
}

interface HookGroup {
  readonly module: string;
  readonly of: "output" | "input";
  readonly observes: "raw" | "final";
  readonly places: SlotPlace[];
}

/** A key's places by the hook that fills them. */
function groupsOf(key: CaptureKey): readonly HookGroup[] {
  const groups = new Map<string, HookGroup>();
  key.slots().forEach((slot, position) => {
    if (slot === null) return;
    const { module, of, observes } = slot;
    const id = `${of} ${observes} ${module}`;
    const group = groups.get(id) ?? { module, of, observes, places: [] };
    group.places.push({ key, position, slot });
    groups.set(id, group);
  });
  return [...groups.values()];
}

function hookName(
  { name }: CaptureKey,
  { of, observes }: { readonly of: string; readonly observes: string },
): string {
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9_-]+/g, "-").slice(0, 32);
  const side = `${of === "input" ? ".in" : ""}${observes === "raw" ? ".raw" : ""}`;
  return `output-capture.${plain}${side}`.replace(/[._-]+$/, "");
}
