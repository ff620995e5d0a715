// The call tree of one run with every module's inputs and the leaves' outputs, as transformers'
// model_addition_debugger_context writes it, for comparing a port with its original by eye or by diff.

import { AsyncLocalStorage } from "node:async_hooks";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  encodeSafetensors,
  type ForwardCall,
  HooklineError,
  type JsonValue,
  type Model,
  ModelHook,
  type TensorMap,
} from "../../mod.ts";
import { elementsOf, summarize, type TensorSummary } from "./tensor_summary.ts";

/** Options of {@linkcode debugTree}. */
export interface DebugTreeOptions {
  /** A folder for `NAME_debug_tree_FULL_TENSORS.json` and `NAME_debug_tree_SUMMARY.json`; none by default. */
  readonly dir?: string;
  /** What to call the model in file names and paths; its root's class or file name by default. */
  readonly name?: string;
  /** Whether of more than two numbered siblings only the first and the last are kept; default true. */
  readonly prune?: boolean;
  /**
   * How the full tree holds elements: in the JSON (`"inline"`, default), or as `"files"`, one
   * `.safetensors` a tensor with the key `data`.
   */
  readonly values?: "inline" | "files";
}

/** A tensor in the tree; `value` is its elements or the path of its file, and is absent in a summary. */
export type DebugTensor = TensorSummary & { readonly value?: JsonValue };

/** One call of one module. */
export interface DebugNode {
  /** The model's name and the module's path, with `#k` for the k-th further call. */
  readonly module_path: string;
  /** What went in, by value name; absent when nothing did. */
  readonly inputs?: Readonly<Record<string, DebugTensor>>;
  /** What came out of a leaf; other modules' outputs are those of their children. */
  readonly outputs?: Readonly<Record<string, DebugTensor>>;
  /** The calls inside, in execution order. */
  readonly children?: readonly DebugNode[];
}

interface Seen {
  readonly path: string;
  readonly callIndex: number;
  readonly inputs: TensorMap;
  outputs: TensorMap;
}

const scope = new AsyncLocalStorage<Map<string, Seen>>();

class SeeingHook extends ModelHook {
  override readonly name = "output-capture-debug";
  override readonly readsInputs = true;

  override takesPart(): boolean {
    return scope.getStore() !== undefined;
  }

  override preForward({ module, callIndex }: ForwardCall, inputs: TensorMap): void {
    scope.getStore()?.set(`${module.path}#${callIndex}`, {
      path: module.path,
      callIndex,
      inputs,
      outputs: {},
    });
  }

  override postForward({ module, callIndex }: ForwardCall, outputs: TensorMap): void {
    const seen = scope.getStore()?.get(`${module.path}#${callIndex}`);
    if (seen !== undefined) seen.outputs = outputs;
  }
}

/**
 * Runs the model once and gives the tree of its module calls, with shapes and statistics of what went in
 * and came out. With `dir`, writes it as two JSON files: with elements and without.
 *
 * Every module is tapped, so ONNX Runtime may fuse less and last bits may differ: open the model with
 * `optimization: "disabled"` to compare bits.
 *
 * @throws {HooklineError} FILE_WRITE when a file cannot be written; whatever `model.run` throws.
 *
 * @example
 * ```ts
 * import { openModel, randomInputs } from "@hookline/hookline";
 * import { debugTree } from "@hookline/hookline/plugins/output-capture";
 * await using model = await openModel("bert.onnx");
 * const feeds = randomInputs(1, model.inputs, { batch: 1, seq: 4 });
 * const tree = await debugTree(model, feeds, { name: "Bert" });
 * console.log(tree.children?.map((child) => child.module_path));
 * ```
 */
export async function debugTree(
  model: Model,
  feeds: TensorMap,
  options: DebugTreeOptions = {},
): Promise<DebugNode> {
  const { dir, prune = true, values = "inline" } = options;
  const name = options.name ?? model.modules[0]?.className ??
    model.label.replace(/\.onnx$/, "").replaceAll(/[^\w.-]+/g, "_");
  const seen = new Map<string, Seen>();
  {
    using hooks = new DisposableStack();
    for (const { path, calls, insideBody } of model.modules) {
      if (calls.length === 0 || insideBody !== null) continue;
      hooks.use(model.registry(path).register(new SeeingHook()));
    }
    await scope.run(seen, () => model.run(feeds));
  }
  const calls = new TreeOfCalls(model, [...seen.values()], name, prune);
  if (dir === undefined) return calls.tree();
  await guarded(dir, async () => void await mkdir(dir, { recursive: true }));
  let files = 0;
  const full = await calls.withValues(async (value) => {
    if (values === "inline") return elementsOf(value);
    const file = `${name}_debug_tree_${String(files++).padStart(5, "0")}.safetensors`;
    await guarded(dir, () => writeFile(join(dir, file), encodeSafetensors({ data: value })));
    return file;
  });
  const write = (kind: string, tree: DebugNode): Promise<void> =>
    guarded(
      dir,
      () =>
        writeFile(
          join(dir, `${name}_debug_tree_${kind}.json`),
          JSON.stringify(tree, null, 2) + "\n",
        ),
    );
  await write("FULL_TENSORS", full);
  const summary = calls.tree();
  await write("SUMMARY", summary);
  return summary;
}

type ValueOf = (value: TensorMap[string]) => Promise<JsonValue>;

/** The calls that were seen, as a tree. */
class TreeOfCalls {
  readonly #model: Model;
  readonly #calls: readonly Seen[];
  readonly #name: string;
  readonly #pruned: ReadonlySet<string>;

  constructor(model: Model, calls: readonly Seen[], name: string, prune: boolean) {
    this.#model = model;
    this.#calls = calls;
    this.#name = name;
    this.#pruned = prune ? middles(model) : new Set();
  }

  tree(): DebugNode {
    return this.#node(this.#root(), (value) => summarize(value));
  }

  /** The tree with the elements of every tensor, made one after another. */
  async withValues(valueOf: ValueOf): Promise<DebugNode> {
    const shown = new Set<TensorMap[string]>();
    this.#node(this.#root(), (value) => {
      shown.add(value);
      return summarize(value);
    });
    const made = new Map<TensorMap[string], JsonValue>();
    for (const value of shown) made.set(value, await valueOf(value));
    return this.#node(this.#root(), (value) => ({
      ...summarize(value),
      value: made.get(value) ?? null,
    }));
  }

  #root(): Seen {
    return this.#calls.find(({ path }) => path === "") ??
      { path: "", callIndex: 0, inputs: {}, outputs: {} };
  }

  #node(seen: Seen, describe: (value: TensorMap[string]) => DebugTensor): DebugNode {
    const { path, callIndex } = seen;
    const children = this.#childrenOf(seen).map((child) => this.#node(child, describe));
    const tensors = (map: TensorMap): Readonly<Record<string, DebugTensor>> =>
      Object.fromEntries(Object.entries(map).map(([key, value]) => [key, describe(value)]));
    const dotted = path === "" ? this.#name : `${this.#name}.${path}`;
    return {
      module_path: callIndex === 0 ? dotted : `${dotted}#${callIndex}`,
      ...Object.keys(seen.inputs).length === 0 ? {} : { inputs: tensors(seen.inputs) },
      ...children.length === 0 ? { outputs: tensors(seen.outputs) } : { children },
    };
  }

  /** The calls whose nearest called module around them is this call. */
  #childrenOf(seen: Seen): readonly Seen[] {
    const nodes = new Set(this.#nodesOf(seen));
    return this.#calls.filter((call) =>
      call.path !== "" && !this.#pruned.has(call.path) && this.#parentOf(call.path) === seen.path &&
      this.#nodesOf(call).every((node) => nodes.has(node))
    ).sort((left, right) => (this.#nodesOf(left)[0] ?? 0) - (this.#nodesOf(right)[0] ?? 0));
  }

  #nodesOf({ path, callIndex }: Seen): readonly number[] {
    return this.#model.tree.get(path)?.calls[callIndex]?.nodes ?? [];
  }

  /** The nearest module around a path that is called itself: containers are passed over. */
  #parentOf(path: string): string {
    let parent = this.#model.tree.get(path)?.parent ?? "";
    while (parent !== "" && this.#model.tree.get(parent)?.calls.length === 0) {
      parent = this.#model.tree.get(parent)?.parent ?? "";
    }
    return parent;
  }
}

/** Of more than two numbered siblings, those between the first and the last. */
function middles(model: Model): ReadonlySet<string> {
  const rows = new Map<string, string[]>();
  for (const { path, calls } of model.modules) {
    const stem = /^(.*?)\d+$/.exec(path)?.[1];
    if (stem !== undefined && calls.length > 0) rows.set(stem, [...rows.get(stem) ?? [], path]);
  }
  return new Set([...rows.values()].flatMap((row) => row.slice(1, -1)));
}

async function guarded(dir: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (cause) {
    throw new HooklineError("FILE_WRITE", {
      message: `cannot write a debug tree to "${dir}": ${
        cause instanceof Error ? cause.message.split("\n")[0] : "it failed"
      }`,
      fix: "check the folder, the free space, and the process's write permission",
      details: { file: dir },
      cause,
    });
  }
}
