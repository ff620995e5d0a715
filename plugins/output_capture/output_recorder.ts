// What one capture key records: which modules, and which of their values. It knows modules by path and
// class; which value that is in the file, and when it is there, is decided where slots are made.

import { type GraphModule, HooklineError, type Model, type ModuleSelector } from "../../mod.ts";
import type { ClassTable } from "./class_table.ts";
import type { PositionSlice } from "./position_slice.ts";

/** Options of {@linkcode OutputRecorder}. */
export interface OutputRecorderOptions {
  /**
   * The modules: a class name (`"BertLayer"`, derived classes count), or any selector, such as
   * `"encoder.layer.*"`, `"class:*Attention"` or `"encoder.layer.*.attention.self::Softmax"`.
   */
  readonly target?: ModuleSelector;
  /** The end of a module's path, as an alternative to `target`: what matches either is recorded. */
  readonly className?: string;
  /** What the path of a matching module must also contain. */
  readonly layerName?: string;
  /**
   * How `className` and `layerName` are compared: by whole names between dots (default), or as plain
   * text, where `mlp.gate` also finds `mlp.gate_proj`.
   */
  readonly matching?: "segments" | "substring";
  /**
   * Which of several values: its position as the file orders them, the end of its value name, or `"*"`
   * for all of them. Left out, the main one: what the next recorded module reads, else what is computed last. A module with
   * one value gives that one, whatever the position.
   */
  readonly index?: number | string;
  /** Whether the modules' outputs (default) or inputs are recorded. */
  readonly of?: "output" | "input";
  /** Before (`"raw"`) or after (`"final"`, default) other hooks have edited the value. */
  readonly observes?: "raw" | "final";
  /** Positions to keep, such as `{ axis: 1, at: -1 }` for the last token; everything by default. */
  readonly slice?: PositionSlice | readonly PositionSlice[];
  /**
   * Whether the first module's input becomes the first entry, so that N layers give N + 1: default
   * true for the key `hidden_states`, else false. A position or the end of a value name says which
   * input; true finds it.
   */
  readonly firstInput?: boolean | number | string;
}

/**
 * What a capture key records, as transformers' class of this name.
 *
 * @example
 * ```ts
 * import { OutputRecorder } from "@hookline/hookline/plugins/output-capture";
 * const lastToken = new OutputRecorder({ target: "encoder.layer.*", slice: { axis: 1, at: -1 } });
 * console.log(lastToken.of, lastToken.observes); // output final
 * ```
 */
export class OutputRecorder {
  /** The modules, or null when `className` alone says which. */
  readonly target: ModuleSelector | null;
  /** The end of a matching path, or null. */
  readonly className: string | null;
  /** What a matching path contains, or null. */
  readonly layerName: string | null;
  /** How the two above are compared. */
  readonly matching: "segments" | "substring";
  /** Which of several values; null for the main one. */
  readonly index: number | string | null;
  /** Outputs or inputs. */
  readonly of: "output" | "input";
  /** Before or after edits. */
  readonly observes: "raw" | "final";
  /** Positions to keep, one slice after another. */
  readonly slices: readonly PositionSlice[];
  /** Whether and which input becomes the first entry; null where the key decides. */
  readonly firstInput: boolean | number | string | null;

  /**
   * Checks and keeps the options.
   *
   * @throws {HooklineError} OPTION_INVALID when there is neither `target` nor `className`, or the index
   * is no position.
   */
  constructor(options: OutputRecorderOptions) {
    this.target = options.target ?? null;
    this.className = options.className ?? null;
    this.layerName = options.layerName ?? null;
    this.matching = options.matching ?? "segments";
    this.index = options.index ?? null;
    this.of = options.of ?? "output";
    this.observes = options.observes ?? "final";
    this.firstInput = options.firstInput ?? null;
    const { slice = [] } = options;
    this.slices = Object.freeze([...Array.isArray(slice) ? slice : [slice]]);
    if (this.target === null && this.className === null) {
      throw invalidRecorder("it names no modules", 'give a target, such as "encoder.layer.*"');
    }
    if (typeof this.index === "number" && (!Number.isSafeInteger(this.index) || this.index < 0)) {
      throw invalidRecorder(
        `its index is ${this.index}`,
        "give a position from 0, or a value's name",
      );
    }
    const words: readonly (readonly [string, string, readonly string[]])[] = [
      ["matching", this.matching, ["segments", "substring"]],
      ["of", this.of, ["output", "input"]],
      ["observes", this.observes, ["raw", "final"]],
    ];
    for (const [name, found, wanted] of words) {
      if (wanted.includes(found)) continue;
      throw invalidRecorder(
        `its ${name} is "${found}"`,
        `use ${wanted.map((w) => `"${w}"`).join(" or ")}`,
      );
    }
  }
}

/** The OPTION_INVALID error for a recorder. */
export function invalidRecorder(what: string, fix: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot use an output recorder: ${what}`,
    fix,
    details: { option: "keys" },
  });
}

const OPERATOR = /^([^]+)::([A-Za-z_]\w*)$/;

/**
 * The modules that a recorder names, in execution order, those never called left out.
 *
 * @throws {HooklineError} HOOK_MATCH_EMPTY when there are none; SELECTOR_SYNTAX.
 */
export function matchRecorder(
  model: Model,
  recorder: OutputRecorder,
  classes: ClassTable,
): readonly GraphModule[] {
  const found = new Map<string, GraphModule>();
  const { target, className, layerName } = recorder;
  if (target !== null) {
    for (const module of selectTarget(model, target, classes)) found.set(module.path, module);
  }
  if (className !== null) {
    for (const module of model.modules) {
      if (endsWith(module.path, className, recorder.matching)) found.set(module.path, module);
    }
  }
  const kept = [...found.values()].filter((module) =>
    layerName === null || contains(module.path, layerName, recorder.matching)
  );
  const running = kept.filter(({ calls, insideBody }) => calls.length > 0 && insideBody === null);
  if (running.length > 0) return running;
  const shown = [
    ...typeof target === "string" ? [`target "${target}"`] : target === null ? [] : ["its target"],
    ...className === null ? [] : [`className "${className}"`],
    ...layerName === null ? [] : [`layerName "${layerName}"`],
  ].join(", ");
  throw new HooklineError("HOOK_MATCH_EMPTY", {
    message: kept.length === 0
      ? `an output recorder with ${shown} matches none of the model's ${model.modules.length} modules`
      : `an output recorder with ${shown} matches only modules that are never called or lie inside a control-flow body`,
    fix: "list the modules with `hookline inspect`, and name those that compute something",
    details: { pattern: shown, matched: kept.map(({ path }) => path) },
  });
}

function selectTarget(
  model: Model,
  target: ModuleSelector,
  classes: ClassTable,
): readonly GraphModule[] {
  if (typeof target !== "string") return model.select(target);
  const [, base, opType] = OPERATOR.exec(target) ?? [];
  const ofClass = (name: string) => model.modules.filter((one) => classes.isInstance(one, name));
  const whole = ofClass(target);
  if (whole.length > 0) return whole;
  const owners = base === undefined ? [] : ofClass(base);
  if (owners.length === 0) return model.select(target);
  return owners.flatMap(({ path }) => operatorsInside(model, path, opType ?? "") ?? []);
}

/** The operators of a type inside a module, as one module; null when there are none. */
export function operatorsInside(model: Model, path: string, opType: string): GraphModule | null {
  try {
    return model.select(`${path}::${opType}`)[0] ?? null;
  } catch (error) {
    if (error instanceof HooklineError && error.code === "HOOK_MATCH_EMPTY") return null;
    throw error;
  }
}

function endsWith(path: string, end: string, matching: "segments" | "substring"): boolean {
  if (matching === "substring") return `.${path}`.endsWith(end);
  return `.${path}`.endsWith(`.${end}`);
}

function contains(path: string, part: string, matching: "segments" | "substring"): boolean {
  const plain = path.replace(/::\w+$/, "");
  if (matching === "substring") return `.${plain}`.includes(part);
  return `.${plain}.`.includes(`.${part}.`);
}
