// Keeps what is registered with the models equal to the functions that are active: one hook a module and
// type, made anew when its list changes, gone when it is empty.

import type { HookHandle, Model } from "../../mod.ts";
import type { RegisteredFunction } from "./apply_hook.ts";
import { moduleEdits, type ModuleEditsInit } from "./module_edits.ts";

interface Slot {
  /** The functions' numbers, as one text. */
  readonly ids: string;
  /** One registration a model. */
  readonly handles: readonly HookHandle[];
}

/** The pipeline's hooks of one editor. */
export class ModuleHooks {
  readonly #models: readonly Model[];
  readonly #init: Omit<ModuleEditsInit, "functions">;
  readonly #slots = new Map<string, Slot>();

  /** No hooks yet. */
  constructor(models: readonly Model[], init: Omit<ModuleEditsInit, "functions">) {
    this.#models = models;
    this.#init = init;
  }

  /**
   * Registers, replaces and removes hooks so that exactly `functions` run.
   *
   * @throws what a registry throws; then sync again with what stood before.
   */
  sync(functions: readonly RegisteredFunction[]): void {
    const wanted = new Map<string, RegisteredFunction[]>();
    for (const one of functions) {
      const key = JSON.stringify([one.hook.moduleName, one.type]);
      wanted.set(key, [...wanted.get(key) ?? [], one]);
    }
    for (const key of new Set([...this.#slots.keys(), ...wanted.keys()])) {
      this.#syncSlot(key, wanted.get(key) ?? []);
    }
  }

  #syncSlot(key: string, functions: readonly RegisteredFunction[]): void {
    const slot = this.#slots.get(key);
    const ids = functions.map(({ id }) => id).join();
    if ((slot?.ids ?? "") === ids) return;
    this.#slots.delete(key);
    const [first] = functions;
    if (first === undefined) {
      release(slot?.handles ?? []);
      return;
    }
    const handles: HookHandle[] = [];
    try {
      for (const model of this.#models) {
        const hook = moduleEdits(first.type, { ...this.#init, functions });
        const registry = model.registry(first.hook.moduleName);
        // Only our own hook may be swapped out: without a slot, a taken name is somebody else's.
        handles.push(
          registry.register(hook, { plugin: "output-edit", replace: slot !== undefined }),
        );
      }
    } catch (error) {
      release([...handles, ...slot?.handles ?? []]);
      throw error;
    }
    this.#slots.set(key, { ids, handles });
  }
}

function release(handles: readonly HookHandle[]): void {
  for (const handle of handles) handle[Symbol.dispose]();
}
