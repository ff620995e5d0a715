// What editing functions may call beside their own code: other models, or functions from tensors to
// tensors. It owns neither: a model that is a helper is closed where it was opened.

import type { TensorMap } from "../../mod.ts";
import { fault, listText } from "./_fault.ts";
import type { HelperModule } from "./hook_function.ts";

/** The helper modules of one editor, by name. */
export class HelperModules {
  readonly #helpers = new Map<string, HelperModule>();

  /** Their names, sorted. */
  get names(): readonly string[] {
    return [...this.#helpers.keys()].sort();
  }

  /**
   * Registers a model, or a function from tensors to tensors.
   *
   * @throws {HooklineError} OPTION_INVALID when the name is taken.
   */
  register(
    name: string,
    helper: HelperModule | ((feeds: TensorMap) => TensorMap | Promise<TensorMap>),
  ): void {
    if (this.#helpers.has(name)) {
      throw fault("OPTION_INVALID", {
        message: `cannot register the helper "${name}": the name is taken`,
        fix: "remove the other one first, or choose another name",
        details: { helper: name },
      });
    }
    this.#helpers.set(name, typeof helper === "function" ? { run: helper } : helper);
  }

  /**
   * The helper of a name.
   *
   * @throws {HooklineError} OPTION_INVALID when there is none.
   */
  get(name: string): HelperModule {
    const found = this.#helpers.get(name);
    if (found !== undefined) return found;
    throw fault("OPTION_INVALID", {
      message: `cannot find the helper "${name}"`,
      fix: `register it, or use one of: ${listText(this.names)}`,
      details: { helper: name },
    });
  }

  /**
   * Removes a helper; the model that it may be stays open.
   *
   * @throws {HooklineError} OPTION_INVALID when there is none.
   */
  remove(name: string): void {
    this.get(name);
    this.#helpers.delete(name);
  }
}
