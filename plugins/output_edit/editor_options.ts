// What an output editor can be told: its own options, and those of registering hook functions.

import type { ModuleSelector } from "../../mod.ts";
import { fault } from "./_fault.ts";
import type { CaptureOptions } from "./capture_store.ts";
import type { CaptureWhen, HookFunction, HookFunctionOptions, HookType } from "./hook_function.ts";

/** Options of `OutputEditor`. */
export interface OutputEditorOptions extends CaptureOptions {
  /** The name of its hooks; `"output-edit"` when left out. Two editors of one model need two names. */
  readonly name?: string;
  /** What hook functions keep that do not say it themselves; `"none"` when left out. */
  readonly capture?: CaptureWhen;
  /** The shared context to use; a new one when left out. */
  readonly saveCtx?: Record<string, unknown>;
  /** Names of other plugins' hooks that stand inside these. */
  readonly before?: readonly string[];
  /** Names of other plugins' hooks that stand outside these. */
  readonly after?: readonly string[];
}

const OPTIONS: readonly string[] = [
  "name",
  "capture",
  "saveCtx",
  "before",
  "after",
  "between",
  "retention",
] satisfies (keyof OutputEditorOptions)[];

/**
 * Returns when every option of an editor is known.
 *
 * @throws {HooklineError} OPTION_INVALID.
 */
export function requireKnown(options: OutputEditorOptions): void {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown === undefined) return;
  throw fault("OPTION_INVALID", {
    message: `cannot edit outputs: there is no option "${unknown.slice(0, 80)}"`,
    fix: `use some of ${OPTIONS.join(", ")}; the plugin also takes edits, model and setup`,
    details: { option: unknown.slice(0, 80) },
  });
}

/** How a hook function is registered. */
export interface RegisterHookOptions {
  /** `"forward"` (the default) edits outputs, `"forward_pre"` inputs. */
  readonly type?: HookType;
  /** Groups to be in, beside `all`. */
  readonly groups?: readonly string[];
}

/** What a group is made of: one hook function for each module. */
export type HookGroupOptions =
  & HookFunctionOptions
  & { readonly type?: HookType }
  & (
    /** Every called module whose path contains this text. */
    | { readonly contains: string; readonly select?: never }
    /** Every called module that the selector finds. */
    | { readonly select: ModuleSelector; readonly contains?: never }
  );

/** Hook functions: one, several, or all whose module's path contains a text. */
export type HookTarget = HookFunction | string | readonly (HookFunction | string)[];
