// Which class a module counts as: its own, one that it derives from, or one that a replacement stands
// in for. ONNX files record no inheritance, so the user says it. It knows names alone.

import { type GraphModule, HooklineError } from "../../mod.ts";

/** What a class derives from: `{ FastBertLayer: "BertLayer" }`. */
export type ClassBases = Readonly<Record<string, string>>;

/**
 * Says which classes stand in for which, so that recorders declared for the original still match after
 * an optimiser has swapped classes. A name is looked up exactly first, then as a regular expression.
 *
 * @example
 * ```ts
 * import { ClassPatches } from "@hookline/hookline/plugins/output-capture";
 * const patches = new ClassPatches();
 * patches.register("BertLayer", "FusedBertLayer");
 * console.log(patches.replacementOf("BertLayer")); // FusedBertLayer
 * ```
 */
export class ClassPatches {
  readonly #patches = new Map<string, string>();

  /**
   * Registers a replacement. `original` is a class name, or the text of a regular expression.
   *
   * @throws {HooklineError} OPTION_INVALID when the original has a replacement and `overwrite` is not set.
   */
  register(
    original: string,
    replacement: string,
    options: { readonly overwrite?: boolean } = {},
  ): void {
    if (this.#patches.has(original) && options.overwrite !== true) {
      throw new HooklineError("OPTION_INVALID", {
        message: `cannot replace class "${original}" by "${replacement}": it is replaced by "${
          this.#patches.get(original)
        }" already`,
        fix: "unregister the other one first, or pass { overwrite: true }",
        details: { class: original },
      });
    }
    this.#patches.set(original, replacement);
  }

  /** Forgets one replacement; returns whether there was one. */
  unregister(original: string): boolean {
    return this.#patches.delete(original);
  }

  /** Forgets all replacements. */
  clear(): void {
    this.#patches.clear();
  }

  /** The class that stands in for this one, or the class itself. */
  replacementOf(className: string): string {
    const exact = this.#patches.get(className);
    if (exact !== undefined) return exact;
    for (const [pattern, replacement] of this.#patches) {
      if (isPattern(pattern) && new RegExp(pattern).test(className)) return replacement;
    }
    return className;
  }
}

function isPattern(text: string): boolean {
  return /[^\w.]/.test(text);
}

/** Answers whether a module is of a class. */
export class ClassTable {
  readonly #bases: ClassBases;
  readonly #patches: ClassPatches;

  /** Takes what the user said of classes. */
  constructor(bases: ClassBases = {}, patches: ClassPatches = new ClassPatches()) {
    this.#bases = bases;
    this.#patches = patches;
  }

  /** The module's class, then what it derives from, nearest first; qualified names also by their end. */
  lineage(module: GraphModule): readonly string[] {
    const found = new Set<string>();
    for (let name = module.className; name !== null && !found.has(name);) {
      found.add(name);
      const short = name.slice(name.lastIndexOf(".") + 1);
      found.add(short);
      name = this.#bases[name] ?? this.#bases[short] ?? null;
    }
    return [...found];
  }

  /** Whether the module is of this class, of one derived from it, or of its replacement. */
  isInstance(module: GraphModule, className: string): boolean {
    const lineage = this.lineage(module);
    return lineage.includes(className) || lineage.includes(this.#patches.replacementOf(className));
  }
}
