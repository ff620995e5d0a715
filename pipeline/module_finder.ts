// Finds what hooks can be registered on by its path: a module of the tree, a span of siblings, or the
// operators of a type inside a module. Spans and operators are made when they are first asked for.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import { equalBlocks, largestRun } from "../graph/equal_blocks.ts";
import type { GraphModule } from "../graph/graph_module.ts";
import { requireHookable } from "./demand.ts";
import type { ModelStructure } from "./model_structure.ts";
import { operatorModule, parseOperatorPath } from "./operator_module.ts";
import { spanModule } from "./span.ts";

/** The hookable modules of one model. */
export class ModuleFinder {
  readonly #structure: ModelStructure;
  readonly #made = new Map<string, GraphModule>();
  #repeatedBlocks: readonly string[] | null = null;

  constructor(structure: ModelStructure) {
    this.#structure = structure;
  }

  /**
   * The module of a path.
   *
   * @throws {HooklineError} MODULE_UNKNOWN with the nearest paths, MODULE_SPAN_INVALID,
   * MODULE_INSIDE_BODY, HOOK_MATCH_EMPTY.
   */
  get(path: string): GraphModule {
    const found = this.#structure.tree.get(path) ?? this.#made.get(path);
    if (found !== undefined) {
      if (found.insideBody !== null) {
        requireHookable(found, { name: "any hook", access: "observe" });
      }
      return found;
    }
    const made = this.#make(path);
    if (made === null) throw this.#unknown(path);
    this.#made.set(path, made);
    return made;
  }

  /** Paths of the largest run of equal neighbours; empty when no two are equal. */
  get repeatedBlocks(): readonly string[] {
    const { tree, graph } = this.#structure;
    return this.#repeatedBlocks ??= largestRun(tree, equalBlocks(tree, graph))?.paths ?? [];
  }

  #make(path: string): GraphModule | null {
    const operator = parseOperatorPath(this.#structure, path);
    if (operator !== null) {
      return operatorModule(this.#structure, this.get(operator.module), operator.opType);
    }
    return /[[*?{]/.test(path) ? spanModule(this.#structure, path) : null;
  }

  #unknown(path: string): HooklineError {
    const { tree, skeleton } = this.#structure;
    const nearest = nearestNames(path, tree.modules.map((module) => module.path));
    return new HooklineError("MODULE_UNKNOWN", {
      message: `cannot find module "${path}" in "${skeleton.label}"`,
      fix: nearest.length > 0
        ? `did you mean ${nearest.map((name) => `"${name}"`).join(" or ")}?`
        : "list the modules with `hookline inspect`",
      details: { module: path, nearest },
    });
  }
}
