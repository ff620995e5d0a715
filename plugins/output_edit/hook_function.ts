// A hook as flex_model has it: a module, what shape its activation has when it is whole, which tensor is
// meant, and the function that edits it. It is a description: registering it decides when it runs, and
// the same description can be written to a file when its function is an edit.

import type { ForwardCall, ModuleFacts, Tensor, TensorMap } from "../../mod.ts";
import { fault } from "./_fault.ts";
import type { Activation } from "./activation.ts";
import { Edit } from "./edits/edit_kind.ts";

/** When a hook keeps the activation: before its edit, after it, both, or not at all. */
export type CaptureWhen = "none" | "pre-edit" | "post-edit" | "both";

/** Another model, or a function from tensors to tensors, that editing functions may call. */
export interface HelperModule {
  /** Runs it. */
  run(feeds: TensorMap): TensorMap | Promise<TensorMap>;
}

/** What an editing function may know and use beside the activation. */
export interface EditScope {
  /** The module. */
  readonly module: ModuleFacts;
  /** The call: run, step, context, signal. */
  readonly call: ForwardCall;
  /** The name of the value that is edited. */
  readonly name: string;
  /** Every output of the module (for `forward_pre` every input) as it stands now. Do not write into it. */
  readonly tensors: TensorMap;
  /** The module's inputs; null when the hook does not read them. Of gathered shards: the first one's. */
  readonly inputs: TensorMap | null;
  /** The editor's one saved context: every hook sees the same object. */
  readonly saveCtx: Record<string, unknown>;
  /** Which shard runs, from 0; null outside a shard group and for a gathered activation. */
  readonly shard: number | null;
  /**
   * A helper module by name.
   *
   * @throws {HooklineError} OPTION_INVALID when none of this name is registered.
   */
  helper(name: string): HelperModule;
}

/**
 * What an editing function returns: the edited tensor; a dictionary from names to tensors, to change
 * several outputs at once; or nothing, which keeps the activation as the function left it.
 */
export type EditResult = Tensor | TensorMap | undefined | void;

/** Edits one activation. The activation is a copy: writing into it is allowed. */
export type EditingFunction = (
  activation: Activation,
  scope: EditScope,
) => EditResult | Promise<EditResult>;

/** Options of {@linkcode HookFunction}. */
export interface HookFunctionOptions {
  /**
   * The shape of the whole activation. In a shard group, shards that differ from it in one dimension
   * are gathered along it; null stands for the size that the shard has. Without shards it is checked.
   */
  readonly expectedShape?: readonly (number | null)[] | null;
  /** What is done: a function, or an edit that can be saved. Left out, the activation is only captured. */
  readonly editingFunction?: EditingFunction | Edit;
  /** Which tensor: its number among the outputs (inputs), negative from the end, or its name. Default 0. */
  readonly unpackIdx?: number | string;
  /** Whether the edited tensor may have other sizes. The number of dimensions stays. Default false. */
  readonly changesShape?: boolean;
  /** Whether the function wants the module's inputs. Default: true for a function, the kind's for an edit. */
  readonly readsInputs?: boolean;
  /** What is kept; the editor's choice when left out. */
  readonly capture?: CaptureWhen;
}

const CAPTURES: readonly string[] = ["none", "pre-edit", "post-edit", "both"];

/**
 * One hook function; register it with an `OutputEditor`, once.
 *
 * @example
 * ```ts
 * import { HookFunction } from "@hookline/hookline/plugins/output-edit";
 * const halve = new HookFunction("encoder.layer.1", {
 *   expectedShape: [null, null, 32],
 *   editingFunction(activation) {
 *     const data = activation.data as Float32Array;
 *     for (let index = 0; index < data.length; index++) data[index] = (data[index] ?? 0) / 2;
 *     return activation;
 *   },
 * });
 * console.log(halve.moduleName, halve.unpackIdx); // encoder.layer.1 0
 * ```
 */
export class HookFunction {
  /** The module's path. */
  readonly moduleName: string;
  /** The shape of the whole activation, or null. */
  readonly expectedShape: readonly (number | null)[] | null;
  /** The editing function, or null. */
  readonly editingFunction: EditingFunction | null;
  /** The edit that can be saved, or null. */
  readonly edit: Edit | null;
  /** Which tensor. */
  readonly unpackIdx: number | string;
  /** Whether sizes may change. */
  readonly changesShape: boolean;
  /** Whether the inputs are read. */
  readonly readsInputs: boolean;
  /** What is kept, or null for the editor's choice. */
  readonly capture: CaptureWhen | null;

  /**
   * Makes a hook function.
   *
   * @throws {HooklineError} OPTION_INVALID when an option is of another form.
   */
  constructor(moduleName: string, options: HookFunctionOptions = {}) {
    const { expectedShape = null, editingFunction, unpackIdx = 0, capture = null } = options;
    const isSize = (size: number | null) =>
      size === null || (Number.isSafeInteger(size) && size >= 0);
    if (expectedShape !== null && !expectedShape.every(isSize)) {
      throw refuse(moduleName, "expectedShape", "a list of sizes and nulls");
    }
    if (typeof unpackIdx !== "string" && !Number.isSafeInteger(unpackIdx)) {
      throw refuse(moduleName, "unpackIdx", "a whole number or a name");
    }
    if (capture !== null) checkCapture(capture);
    this.moduleName = moduleName;
    this.expectedShape = expectedShape === null ? null : Object.freeze([...expectedShape]);
    this.edit = editingFunction instanceof Edit ? editingFunction : null;
    this.editingFunction = typeof editingFunction === "function" ? editingFunction : null;
    if (editingFunction !== undefined && this.edit === null && this.editingFunction === null) {
      throw refuse(moduleName, "editingFunction", "a function, or an edit such as scale(0.5)");
    }
    this.unpackIdx = unpackIdx;
    this.changesShape = options.changesShape === true;
    this.readsInputs = options.readsInputs ??
      (this.edit?.readsInputs ?? this.editingFunction !== null);
    this.capture = capture;
    Object.freeze(this);
  }

  /** Whether it may change something; otherwise it only captures. */
  get edits(): boolean {
    return this.edit !== null || this.editingFunction !== null;
  }
}

function refuse(moduleName: string, option: string, wanted: string): Error {
  return fault("OPTION_INVALID", {
    message: `cannot make a hook function for "${moduleName}": its ${option} is of another form`,
    fix: `give ${option} as ${wanted}`,
    details: { module: moduleName, option },
  });
}

/**
 * Checks what is to be kept.
 *
 * @throws {HooklineError} OPTION_INVALID for another value, which the message names.
 */
export function checkCapture(capture: CaptureWhen): CaptureWhen {
  if (CAPTURES.includes(capture)) return capture;
  throw fault("OPTION_INVALID", {
    message: `cannot capture "${String(capture)}": there is no such moment`,
    fix: `use one of ${CAPTURES.join(", ")}`,
    details: { capture: String(capture) },
  });
}

/** When a hook function runs: on a module's outputs or on its inputs. */
export type HookType = "forward" | "forward_pre";

const GRADIENTS: readonly string[] = ["full_backward", "full_backward_pre", "tensor"];

/**
 * Checks a hook type.
 *
 * @throws {HooklineError} HOOK_UNSUPPORTED for the three types that edit gradients; OPTION_INVALID for
 * any other value, which the message names.
 */
export function checkHookType(type: unknown): HookType {
  if (type === "forward" || type === "forward_pre") return type;
  const shown = typeof type === "string" ? `"${type}"` : String(type);
  if (typeof type === "string" && GRADIENTS.includes(type)) {
    throw fault("HOOK_UNSUPPORTED", {
      message:
        `cannot register a hook of type ${shown}: an ONNX model runs forward only, so it has ` +
        "no gradients to edit",
      fix: 'use "forward" or "forward_pre", or edit the gradients in the training framework',
      details: { type },
    });
  }
  throw fault("OPTION_INVALID", {
    message: `cannot register a hook of type ${shown}: there is no such type`,
    fix: 'use "forward" for outputs or "forward_pre" for inputs',
    details: { type: shown },
  });
}
