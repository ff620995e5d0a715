// The hooks that the pipeline sees: one a module and type, which runs the active hook functions of one
// editor in the order in which they were registered, as PyTorch does. Each is made anew when that list
// changes, so that a run in flight keeps the list that it started with.

import {
  type ForwardCall,
  type HookAccess,
  ModelHook,
  type Tensor,
  type TensorMap,
} from "../../mod.ts";
import { applyHook, type EditShared, type RegisteredFunction } from "./apply_hook.ts";
import type { HookType } from "./hook_function.ts";
import { noTensor } from "./hook_point.ts";
import { unpackName } from "./unpack_tensors.ts";

/** What a module's hook is made from. */
export interface ModuleEditsInit {
  /** The editor's name. */
  readonly name: string;
  /** The active functions of the module, in order. */
  readonly functions: readonly RegisteredFunction[];
  /** What the editor's hooks share. */
  readonly shared: EditShared;
  /** Names of hooks that stand inside. */
  readonly before: readonly string[];
  /** Names of hooks that stand outside. */
  readonly after: readonly string[];
}

abstract class ModuleEdits extends ModelHook {
  override readonly name: string;
  override readonly access: HookAccess;
  override readonly before: readonly string[];
  override readonly after: readonly string[];
  override readonly readsInputs: boolean;
  override readonly changesShape: boolean;
  readonly #functions: readonly RegisteredFunction[];
  readonly #shared: EditShared;

  constructor(init: ModuleEditsInit, { suffix, isPre }: { suffix: string; isPre: boolean }) {
    super();
    const hooks = init.functions.map(({ hook }) => hook);
    this.name = `${init.name}${suffix}`;
    // A function that only captures costs a tap, not a cut.
    this.access = hooks.some((hook) => hook.edits) ? "edit" : "observe";
    this.before = init.before;
    this.after = init.after;
    this.readsInputs = isPre || hooks.some((hook) => hook.readsInputs);
    this.changesShape = this.access === "edit" && hooks.some((hook) => hook.changesShape);
    this.#functions = init.functions;
    this.#shared = init.shared;
  }

  protected async runFunctions(
    call: ForwardCall,
    names: readonly string[],
    { tensors, inputs }: { readonly tensors: TensorMap; readonly inputs: TensorMap | null },
  ): Promise<TensorMap | undefined> {
    let current = tensors;
    const changed: Record<string, Tensor> = Object.create(null);
    for (const registered of this.#functions) {
      const { hook } = registered;
      const name = unpackName(names, hook.unpackIdx);
      if (name === null) {
        // A name may be of another call of the module; a number is of every one.
        if (typeof hook.unpackIdx === "string" && call.module.callCount > 1) continue;
        throw noTensor(call.module.path, { names, unpackIdx: hook.unpackIdx });
      }
      const site = {
        call,
        name,
        tensors: current,
        inputs: registered.type === "forward_pre" ? current : hook.readsInputs ? inputs : null,
        shared: this.#shared,
      };
      const result = await applyHook(registered, site);
      if (Object.keys(result).length === 0) continue;
      Object.assign(changed, result);
      current = Object.freeze(Object.assign(Object.create(null), current, result));
    }
    return Object.keys(changed).length === 0 ? undefined : changed;
  }
}

/** Runs a module's `forward` functions. */
export class OutputEdits extends ModuleEdits {
  /** Makes the hook. */
  constructor(init: ModuleEditsInit) {
    super(init, { suffix: "", isPre: false });
  }

  override postForward(
    call: ForwardCall,
    outputs: TensorMap,
    inputs: TensorMap | null,
  ): Promise<TensorMap | undefined> {
    return this.runFunctions(call, call.outputNames, { tensors: outputs, inputs });
  }
}

/** Runs a module's `forward_pre` functions. */
export class InputEdits extends ModuleEdits {
  /** Makes the hook. */
  constructor(init: ModuleEditsInit) {
    super(init, { suffix: ".pre", isPre: true });
  }

  override preForward(call: ForwardCall, inputs: TensorMap): Promise<TensorMap | undefined> {
    return this.runFunctions(call, call.inputNames, { tensors: inputs, inputs });
  }
}

/** The hook of a type. */
export function moduleEdits(type: HookType, init: ModuleEditsInit): ModelHook {
  return type === "forward" ? new OutputEdits(init) : new InputEdits(init);
}
