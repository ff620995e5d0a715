// What people hold: hook functions on one model or shard group, their groups, and what they share. It
// keeps the pipeline's hooks equal to the functions that are active: nothing active, nothing registered.
//
// Invariant: a refused change leaves functions, groups and the model's hooks as they were.

import { type GraphModule, Model, type RunOptions, type TensorMap } from "../../mod.ts";
import { fault, listText } from "./_fault.ts";
import type { RegisteredFunction } from "./apply_hook.ts";
import { CaptureStore } from "./capture_store.ts";
import {
  type HookGroupOptions,
  type HookTarget,
  type OutputEditorOptions,
  type RegisterHookOptions,
  requireKnown,
} from "./editor_options.ts";
import { HelperModules } from "./helper_modules.ts";
import { type GroupSelection, HookGroups } from "./hook_groups.ts";
import { checkCapture, checkHookType, HookFunction, type HookType } from "./hook_function.ts";
import { type HookPoint, hookPoints, requireUnpackable } from "./hook_point.ts";
import { ModuleHooks } from "./module_hooks.ts";
import type { ShardGroup } from "./shard_group.ts";

/**
 * Edits what modules compute.
 *
 * @example
 * ```ts
 * import { openModel } from "@hookline/hookline";
 * import { HookFunction, OutputEditor, scale } from "@hookline/hookline/plugins/output-edit";
 * await using model = await openModel("bert.onnx");
 * using editor = new OutputEditor(model);
 * editor.register(new HookFunction("encoder.layer.1", { editingFunction: scale(0.5) }));
 * console.log(editor.wrappedModules, model.plan().kind); // [ "encoder.layer.1" ] split
 * ```
 */
export class OutputEditor implements Disposable, AsyncDisposable {
  /** The context that every hook function sees; the same object for the editor's life. */
  readonly saveCtx: Record<string, unknown>;
  /** Models and functions that hook functions may call, registered before or after them. */
  readonly helpers: HelperModules = new HelperModules();
  /** What hook functions kept. */
  readonly captures: CaptureStore;
  readonly #target: Model | ShardGroup;
  readonly #models: readonly Model[];
  readonly #hooks: ModuleHooks;
  #functions: ReadonlyMap<number, RegisteredFunction> = new Map();
  #groups = new HookGroups();
  #selection: GroupSelection = {};
  #nextId = 0;

  /**
   * Makes an editor without hooks; the model is as it was.
   *
   * @throws {HooklineError} OPTION_INVALID for an unknown option value.
   */
  constructor(target: Model | ShardGroup, options: OutputEditorOptions = {}) {
    requireKnown(options);
    this.#target = target;
    this.#models = target instanceof Model ? [target] : target.shards;
    this.saveCtx = options.saveCtx ?? {};
    this.captures = new CaptureStore(options);
    this.#hooks = new ModuleHooks(this.#models, {
      name: options.name ?? "output-edit",
      before: options.before ?? [],
      after: options.after ?? [],
      shared: {
        saveCtx: this.saveCtx,
        helper: (name) => this.helpers.get(name),
        captures: this.captures,
        capture: checkCapture(options.capture ?? "none"),
        group: target instanceof Model ? null : target,
      },
    });
  }

  /** The registered hook functions in the order in which those of one module run. */
  get hooks(): readonly HookFunction[] {
    return [...this.#functions.values()].map(({ hook }) => hook);
  }

  /** The hook functions with type and groups, in order. */
  get registrations(): readonly (RegisteredFunction & { readonly groups: readonly string[] })[] {
    return [...this.#functions.values()].map((one) => ({
      ...one,
      groups: this.#groups.of(one.id),
    }));
  }

  /** The names of the groups, `all` first. */
  get groups(): readonly string[] {
    return this.#groups.names;
  }

  /** The groups that are switched off. */
  get groupsOff(): readonly string[] {
    return this.#groups.off;
  }

  /** The selection that runs use. */
  get selection(): GroupSelection {
    return this.#selection;
  }

  /** Paths of the modules that have hook functions, active or not. */
  get wrappedModules(): readonly string[] {
    return [...new Set(this.hooks.map(({ moduleName }) => moduleName))].sort();
  }

  /** Paths of all modules. */
  get moduleNames(): readonly string[] {
    return this.#modules.map(({ path }) => path);
  }

  /**
   * Registers a hook function from the next run on.
   *
   * @returns a handle that removes it; `using` does so at the end of the block.
   * @throws {HooklineError} HOOK_NAME_DUPLICATE when it is registered already; HOOK_UNSUPPORTED for a
   * gradient type; MODULE_UNKNOWN, MODULE_NOT_CUTTABLE; OPTION_INVALID for an unknown type or an
   * `unpackIdx` that the module does not have. Then it can be registered again, once mended.
   */
  register(hook: HookFunction, options: RegisterHookOptions = {}): Disposable {
    this.registerAll([{ hook, ...options }]);
    const id = this.#idOf(hook);
    return {
      // A registration made later is not this handle's to end.
      [Symbol.dispose]: () => {
        if (this.#idOf(hook) === id) this.remove(hook);
      },
    };
  }

  /** Registers several hook functions, all or none, and switches groups off. */
  registerAll(
    entries: readonly (RegisterHookOptions & { readonly hook: HookFunction })[],
    { off = [] }: { readonly off?: readonly string[] } = {},
  ): void {
    this.#change(() => {
      for (const { hook, type = "forward", groups = [] } of entries) {
        const checked = checkHookType(type);
        this.#check(hook, checked);
        const id = this.#nextId++;
        this.#functions = new Map([...this.#functions, [id, { id, hook, type: checked }]]);
        this.#groups.add([id], groups);
      }
      for (const group of off) this.#groups.switch(group, false);
    });
  }

  /** Removes a hook function from the next run on; one that is not registered is left alone. */
  remove(hook: HookFunction): void {
    const id = this.#idOf(hook);
    if (id === undefined) return;
    this.#change(() => {
      this.#functions = new Map([...this.#functions].filter(([key]) => key !== id));
      this.#groups.forget([id]);
    });
  }

  /**
   * Makes a hook function for each module that matches and puts them into a group. Containers that are
   * never called are left out: nothing could run there.
   *
   * @throws {HooklineError} HOOK_MATCH_EMPTY when nothing matches, and what {@linkcode register} throws.
   */
  createHookGroup(name: string, options: HookGroupOptions): readonly HookFunction[] {
    const { contains, select, type = "forward", ...rest } = options;
    const found = contains === undefined
      ? this.#first.select(select ?? [])
      : this.#containing(contains);
    const called = found.filter(({ calls }) => calls.length > 0);
    if (called.length === 0) {
      throw fault("HOOK_MATCH_EMPTY", {
        message: `cannot make the hook group "${name}": ${
          contains === undefined ? "the selector finds" : `"${contains}" is part of`
        } ${found.length === 0 ? "no module's path" : "containers only, which are never called"}`,
        fix: "list the modules with `hookline inspect`, or editor.moduleNames",
        details: { group: name, pattern: contains ?? null },
      });
    }
    const hooks = called.map(({ path }) => new HookFunction(path, rest));
    this.registerAll(hooks.map((hook) => ({ hook, type, groups: [name] })));
    return hooks;
  }

  /** Puts hook functions into groups beside those that they are in. */
  updateHookGroups(target: HookTarget, groups: string | readonly string[]): void {
    const ids = this.#resolve(target);
    this.#change(() => this.#groups.add(ids, [groups].flat()));
  }

  /** Takes hook functions out of groups; an emptied group vanishes. */
  removeHookGroups(target: HookTarget, groups: string | readonly string[]): void {
    const ids = this.#resolve(target);
    this.#change(() => this.#groups.take(ids, [groups].flat()));
  }

  /** The groups of a hook function. */
  groupsOf(hook: HookFunction): readonly string[] {
    return this.#groups.of(this.#requireId(hook));
  }

  /** The hook functions of a group, in order. */
  hooksOf(group: string): readonly HookFunction[] {
    return this.#groups.members(group).flatMap((id) => this.#functions.get(id)?.hook ?? []);
  }

  /** Switches a group off: its hook functions do not run, whatever else they are in. */
  switchOff(group: string): void {
    this.#change(() => this.#groups.switch(group, false));
  }

  /** Switches a group on again; its hook functions run in their old order. */
  switchOn(group: string): void {
    this.#change(() => this.#groups.switch(group, true));
  }

  /**
   * From now on runs use the hook functions of these groups, or of all others; without groups all. The
   * selection that stood comes back when the result is disposed.
   */
  select(selection: GroupSelection = {}): Disposable {
    this.#groups.require(selection);
    const before = this.#selection;
    this.#change(() => void (this.#selection = selection));
    return { [Symbol.dispose]: () => this.#change(() => void (this.#selection = before)) };
  }

  /**
   * Runs the model or shard group once, on request with the hook functions of some groups only. A run
   * of the model itself uses the editor's hooks just as well; only the choice of groups is missing there.
   */
  run(feeds: TensorMap, options: RunOptions & GroupSelection = {}): Promise<TensorMap> {
    const { groups, complement, ...rest } = options;
    if (groups === undefined && complement === undefined) return this.#target.run(feeds, rest);
    const selection = {
      ...(groups === undefined ? {} : { groups }),
      ...(complement === undefined ? {} : { complement }),
    };
    this.#groups.require(selection);
    const before = this.#selection;
    this.#change(() => void (this.#selection = selection));
    try {
      // A run takes its hooks before it first waits, so other runs never see this choice.
      return this.#target.run(feeds, rest);
    } finally {
      this.#change(() => void (this.#selection = before));
    }
  }

  /** Empties the saved context; the object stays the same. */
  clearSaveCtx(): void {
    for (const key of Reflect.ownKeys(this.saveCtx)) Reflect.deleteProperty(this.saveCtx, key);
  }

  /** Where hooks can be and which there are, with their groups, in the model's order. */
  hookPoints(): readonly HookPoint[] {
    return hookPoints(this.#modules, {
      functions: [...this.#functions.values()],
      groups: this.#groups,
      active: this.#groups.active(this.#selection),
    });
  }

  /** Takes every hook function off, active or not. The model is as it was; helpers, context and captures stay. */
  restore(): void {
    this.#change(() => {
      this.#functions = new Map();
      this.#groups = new HookGroups();
      this.#selection = {};
    });
  }

  /** The same as {@linkcode restore}. */
  [Symbol.dispose](): void {
    this.restore();
  }

  /** The same as {@linkcode restore}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
    this.restore();
  }

  get #first(): Model {
    return this.#models[0] as Model;
  }

  get #modules(): readonly GraphModule[] {
    return this.#first.modules;
  }

  #idOf(hook: HookFunction): number | undefined {
    return [...this.#functions].find(([, one]) => one.hook === hook)?.[0];
  }

  #requireId(hook: HookFunction): number {
    const id = this.#idOf(hook);
    if (id !== undefined) return id;
    throw fault("HOOK_UNKNOWN", {
      message: `cannot find the hook function of "${hook.moduleName}": it is not registered here`,
      fix: "register it first",
      details: { module: hook.moduleName },
    });
  }

  #resolve(target: HookTarget): readonly number[] {
    const parts = typeof target === "string" || target instanceof HookFunction ? [target] : target;
    const ids = parts.flatMap((part) => {
      if (part instanceof HookFunction) return [this.#requireId(part)];
      const found = [...this.#functions.values()]
        .filter(({ hook }) => part !== "" && hook.moduleName.includes(part));
      if (found.length === 0) {
        throw fault("HOOK_MATCH_EMPTY", {
          message: `"${part}" is part of no hooked module's path`,
          fix: `hooked are: ${listText(this.wrappedModules)}`,
          details: { pattern: part },
        });
      }
      return found.map(({ id }) => id);
    });
    return [...new Set(ids)];
  }

  #containing(text: string): readonly GraphModule[] {
    return text === "" ? [] : this.#modules.filter(({ path }) => path.includes(text));
  }

  #check(hook: HookFunction, type: HookType): void {
    if (this.#idOf(hook) !== undefined) {
      throw fault("HOOK_NAME_DUPLICATE", {
        message:
          `cannot register the hook function of "${hook.moduleName}": it is registered already`,
        fix: "make a second HookFunction, or remove this one first",
        details: { module: hook.moduleName },
      });
    }
    for (const model of this.#models) model.registry(hook.moduleName); // MODULE_UNKNOWN, with near names
    requireUnpackable(this.#modules.find(({ path }) => path === hook.moduleName), hook, type);
  }

  /** Makes a change; when the model's hooks refuse it, everything is as it was. */
  #change(change: () => void): void {
    const before = {
      functions: this.#functions,
      groups: new HookGroups(this.#groups),
      selection: this.#selection,
    };
    try {
      change();
      this.#sync();
    } catch (error) {
      this.#functions = before.functions;
      this.#groups = before.groups;
      this.#selection = before.selection;
      this.#sync();
      throw error;
    }
  }

  /** Makes the model's hooks what the active functions want. */
  #sync(): void {
    const active = this.#groups.active(this.#selection);
    this.#hooks.sync([...this.#functions.values()].filter(({ id }) => active.has(id)));
  }
}
