// What a capture is told once: its keys, its classes, its limits. It works out which keys hold where.

import { HooklineError, type Model } from "../../mod.ts";
import type { KeyDeclarations, NestingPolicy } from "./capture_key.ts";
import type { CaptureFlags } from "./capture_request.ts";
import type { KeyDeclaration } from "./capture_slot.ts";
import type { ClassBases, ClassPatches, ClassTable } from "./class_table.ts";
import { presetKeys } from "./presets.ts";

/** Options of {@linkcode outputCapture}. */
export interface CaptureOptions<Key extends string = string> {
  /**
   * What can be captured, by key. Left out: the declarations of the model's class, else `hidden_states`,
   * `attentions` and `cross_attentions` as far as the model's structure shows them.
   */
  readonly keys?: Readonly<Record<Key, KeyDeclaration>>;
  /** Keys by class name: of the model where its root is of the class, of every other such module as a sub-model. */
  readonly declarations?: Readonly<Record<string, KeyDeclarations>>;
  /** Keys of sub-models by path. Inside a sub-model only its own keys match. */
  readonly submodels?: Readonly<Record<string, KeyDeclarations>>;
  /** What classes derive from, which an ONNX file does not record: `{ FastBertLayer: "BertLayer" }`. */
  readonly bases?: ClassBases;
  /** Which classes stand in for which. */
  readonly patches?: ClassPatches;
  /** Flags that hold where a call says nothing, as a model's configuration: `{ output_attentions: true }`. */
  readonly config?: CaptureFlags;
  /**
   * Whether a scope (a sub-model, or a capture inside another one's) hides its captures from those around
   * it (`"shadow"`, default, as transformers does) or gives them to every level (`"stack"`).
   */
  readonly nesting?: NestingPolicy;
  /** Bytes of values that one scope may hold in memory; unlimited by default. */
  readonly byteBudget?: number;
  /** What it means when nothing of a requested key was recorded: `"error"` (default) or `"ignore"`. */
  readonly onEmpty?: "error" | "ignore";
  /**
   * Whether the last hidden state is the model's `vision_hidden_states` or `last_hidden_state` output,
   * where it has one (default true), or the output or module of this name. False keeps what the last
   * layer gave, which may stand before a final norm.
   */
  readonly tieLastHiddenStates?: boolean | string;
}

const OPTIONS: readonly string[] = [
  "keys",
  "declarations",
  "submodels",
  "bases",
  "patches",
  "config",
  "nesting",
  "byteBudget",
  "onEmpty",
  "tieLastHiddenStates",
] satisfies (keyof CaptureOptions)[];

/** The keys that hold in a model. */
export interface DeclaredLevels {
  readonly keys: KeyDeclarations;
  readonly submodels: Readonly<Record<string, KeyDeclarations>>;
}

/** Works out the keys of a model and of its sub-models from what was declared. */
export function declaredLevels(
  model: Model,
  options: CaptureOptions,
  classes: ClassTable,
): DeclaredLevels {
  const { declarations = {}, submodels = {} } = options;
  const ofClass = (module: Model["modules"][number]): KeyDeclarations | undefined => {
    const name = classes.lineage(module).find((one) => Object.hasOwn(declarations, one));
    return name === undefined ? undefined : declarations[name];
  };
  const [root, ...others] = model.modules;
  const found = others.flatMap((module) => {
    const keys = module.insideBody === null ? ofClass(module) : undefined;
    return keys === undefined ? [] : [[module.path, keys] as const];
  });
  return {
    keys: options.keys ?? (root === undefined ? undefined : ofClass(root)) ??
      presetKeys(model, classes),
    submodels: { ...Object.fromEntries(found), ...submodels },
  };
}

/**
 * Checks the options that are no declarations.
 *
 * @throws {HooklineError} OPTION_INVALID.
 */
export function checkOptions(options: CaptureOptions): void {
  const { byteBudget, nesting, onEmpty } = options;
  const invalid = (name: string, found: unknown, wanted: string): HooklineError =>
    new HooklineError("OPTION_INVALID", {
      message: `cannot capture with ${name} ${String(found)}: wanted ${wanted}`,
      fix: `give ${wanted}, or leave ${name} out`,
      details: { option: name },
    });
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) {
    throw new HooklineError("OPTION_INVALID", {
      message: `cannot capture: there is no option "${unknown.slice(0, 80)}"`,
      fix: `use some of ${OPTIONS.join(", ")}`,
      details: { option: unknown.slice(0, 80) },
    });
  }
  if (byteBudget !== undefined && !(typeof byteBudget === "number" && byteBudget >= 0)) {
    throw invalid("byteBudget", byteBudget, "a number of bytes");
  }
  if (nesting !== undefined && !["shadow", "stack"].includes(nesting)) {
    throw invalid("nesting", `"${nesting}"`, '"shadow" or "stack"');
  }
  if (onEmpty !== undefined && !["error", "ignore"].includes(onEmpty)) {
    throw invalid("onEmpty", `"${onEmpty}"`, '"error" or "ignore"');
  }
}

/** OPTION_INVALID for a capture of what is no open model. */
export function notAModel(): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: "cannot capture: what was given is no open model",
    fix: "give what openModel() resolved to",
    details: { option: "model" },
  });
}
