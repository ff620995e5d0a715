// The hooks of one module: who is registered, in which order, and who is on the way out. It does not
// run hooks in a call (dispatch does) and knows no model beyond the object that owns it. Invariant:
// every change is checked in full before anything is touched, so a refused one leaves the registry,
// its order and its version as they were; a running call keeps the frozen order that it acquired.

import { HooklineError } from "../errors/hookline_error.ts";
import { admitHook, type RegisteredHook, type RegisterOptions } from "./admission.ts";
import { insideHook } from "./call_stack.ts";
import { oneError, thrownOutsideCall } from "./hook_fault.ts";
import { HookHandle, HookLease } from "./hook_handle.ts";
import type { ModelHook, ModuleFacts } from "./model_hook.ts";
import { type HookOrder, hookOrder } from "./order.ts";
import {
  attachHook,
  refuseConflict,
  requireComplete,
  takesPartNow,
  unknownHook,
} from "./registration.ts";
import { Removal, RemovalQueue } from "./removal.ts";

/** What an owner adds to a registry. */
export interface RegistryOptions {
  /** The owner's own check of a hook before it is registered: throwing refuses it, with nothing changed. */
  readonly admit?: (hook: ModelHook) => void;
}

/**
 * The registry of one module.
 *
 * @example
 * ```ts
 * import { HookRegistry, ModelHook } from "@hookline/hookline";
 *
 * class Count extends ModelHook {
 *   override readonly name = "count";
 *   calls = 0;
 *   override postForward(): void {
 *     this.calls++;
 *   }
 * }
 * const registry = new HookRegistry({ path: "encoder", className: null, callCount: 1 });
 * {
 *   using handle = registry.register(new Count());
 *   console.log(handle.active, registry.names); // true [ "count" ]
 * }
 * console.log(registry.size); // 0
 * ```
 */
export class HookRegistry {
  // Weak, so that registries live exactly as long as the model that owns them.
  static readonly #byOwner = new WeakMap<object, Map<string, HookRegistry>>();
  static readonly #claims = new WeakMap<object, (path: string) => HookRegistry>();

  /** The module. */
  readonly module: ModuleFacts;
  readonly #queue = new RemovalQueue();
  readonly #listeners = new Set<(registry: HookRegistry) => void>();
  #hooks: ReadonlyMap<string, RegisteredHook> = new Map();
  #order: HookOrder;
  /** Orders of the hooks that take part, by {@linkcode participation}; empty where all always do. */
  readonly #partOrders = new Map<string, HookOrder>();
  #hasConditional = false;
  #version = 0;
  #attaching = false;

  readonly #admit: (hook: ModelHook) => void;

  /** Makes an empty registry that no owner knows; models use `getOrCreate`. */
  constructor(module: ModuleFacts, options: RegistryOptions = {}) {
    this.module = Object.freeze({ ...module });
    this.#admit = options.admit ?? (() => {});
    this.#order = hookOrder([], module.path);
  }

  /**
   * Makes `resolve` the only way in which registries of `owner` come into being: a registry that the
   * owner does not know would hold hooks that never run.
   */
  static claim(owner: object, resolve: (path: string) => HookRegistry): void {
    HookRegistry.#claims.set(owner, resolve);
  }

  /**
   * The owner's registry for this module's path, made empty when there is none. A model makes its own:
   * for it this is the same as `model.registry(path)`, with the same errors.
   */
  static getOrCreate(
    owner: object,
    module: ModuleFacts,
    options: RegistryOptions = {},
  ): HookRegistry {
    const existing = HookRegistry.find(owner, module.path);
    if (existing !== undefined) return existing;
    const resolve = HookRegistry.#claims.get(owner);
    return resolve === undefined
      ? HookRegistry.create(owner, module, options)
      : resolve(module.path);
  }

  /** A new registry of an owner that has none for this path. Owners call it; others `getOrCreate`. */
  static create(owner: object, module: ModuleFacts, options: RegistryOptions = {}): HookRegistry {
    const registry = new HookRegistry(module, options);
    const paths = HookRegistry.#byOwner.get(owner) ?? new Map();
    HookRegistry.#byOwner.set(owner, paths.set(module.path, registry));
    return registry;
  }

  /** The owner's registry for a path, or undefined. */
  static find(owner: object, path: string): HookRegistry | undefined {
    return HookRegistry.#byOwner.get(owner)?.get(path);
  }

  /** All registries of an owner, by path. */
  static all(owner: object): readonly HookRegistry[] {
    return [...HookRegistry.#byOwner.get(owner)?.values() ?? []]
      .sort((left, right) => left.module.path < right.module.path ? -1 : 1);
  }

  /** Counts the changes; a plan made at one version holds until the next. */
  get version(): number {
    return this.#version;
  }

  /** How many hooks are registered. */
  get size(): number {
    return this.#hooks.size;
  }

  /** The names of the hooks, sorted. */
  get names(): readonly string[] {
    return [...this.#hooks.keys()].sort();
  }

  /** How many calls hold the hooks at this moment. */
  get runningCalls(): number {
    return this.#queue.runningCalls;
  }

  /** Whether a hook of this name is registered. */
  has(name: string): boolean {
    return this.#hooks.has(name);
  }

  /** The hook of this name, or undefined. */
  get(name: string): ModelHook | undefined {
    return this.#hooks.get(name)?.hook;
  }

  /**
   * Registers a hook from the next call on and runs its `onAttach`. When anything is refused, nothing
   * has changed and `onAttach` was not called; when `onAttach` throws, the hook is not registered.
   *
   * @throws {HooklineError} HOOK_NAME_INVALID, HOOK_ACCESS or OPTION_INVALID for the hook by itself;
   * HOOK_NAME_DUPLICATE when the name is taken and `replace` was not given; HOOK_UNKNOWN when
   * `replace` names an absent hook; HOOK_REPLACE_CONFLICT for a second replacing hook unless all of
   * them chain; HOOK_ORDER_CYCLE when its edges close a circle; HOOK_ATTACH when `onAttach` failed.
   */
  register(hook: ModelHook, options: RegisterOptions = {}): HookHandle {
    this.#refuseWhileAttaching();
    const added = admitHook(hook, this.module.path, options);
    this.#admit(hook);
    const replaced = this.#findReplaced(added.name, options.replace ?? false);
    const hooks = new Map(this.#hooks);
    if (replaced !== undefined) hooks.delete(replaced.name);
    refuseConflict(added, [...hooks.values()], this.module);
    hooks.set(added.name, added);
    const order = hookOrder([...hooks.values()], this.module.path);
    this.#attaching = true;
    try {
      attachHook(added, this.module);
    } finally {
      this.#attaching = false;
    }
    this.#commit(hooks, order, replaced === undefined ? [] : [replaced]);
    return this.#handle(added);
  }

  /**
   * Removes a hook from the next call on. Resolves when no running call holds it any more and its
   * `onDetach` has ended. Awaited by a hook while it runs, it resolves at once, because the run that
   * must end first may be the hook's own; `onDetach` then runs when that run ends.
   *
   * @throws {HooklineError} HOOK_UNKNOWN when there is no such hook; HOOK_THROWN when `onDetach` failed.
   */
  async remove(name: string): Promise<void> {
    await this.#awaitRemoval(this.#take(this.#known(name)));
  }

  /** Removes all hooks, each as `remove` does. */
  async clear(): Promise<void> {
    this.#refuseWhileAttaching();
    if (this.#hooks.size === 0) return;
    const removals = this.#commit(
      new Map(),
      hookOrder([], this.module.path),
      this.#sorted(),
    );
    const failures: unknown[] = [];
    for (const removal of removals) {
      await this.#awaitRemoval(removal)
        .catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw oneError(failures, "to detach");
  }

  /**
   * Calls `resetState` of every hook, by name, and keeps the hooks. (vLLM-Omni's `reset` also empties
   * the registry; here that is `clear`, because forgetting a state and ending a hook are two wishes.)
   *
   * @throws {HooklineError} HOOK_THROWN when one failed, an AggregateError when several did; the
   * others were reset.
   */
  reset(): void {
    const failures: unknown[] = [];
    for (const hook of this.#sorted()) {
      try {
        hook.methods.resetState?.(this.module);
      } catch (cause) {
        failures.push(
          thrownOutsideCall(hook, "resetState", { module: this.module, cause }),
        );
      }
    }
    if (failures.length > 0) throw oneError(failures, "to reset");
  }

  /**
   * Calls `resetState` of one hook.
   *
   * @throws {HooklineError} HOOK_UNKNOWN when there is no such hook; HOOK_THROWN when it failed.
   */
  resetHook(name: string): void {
    const hook = this.#known(name);
    try {
      hook.methods.resetState?.(this.module);
    } catch (cause) {
      throw thrownOutsideCall(hook, "resetState", {
        module: this.module,
        cause,
      });
    }
  }

  /**
   * The order that a call starting now works on; the same object until the registry changes.
   *
   * @throws {HooklineError} HOOK_ORDER_UNKNOWN when a hook requires an absent one. Asked here and not
   * at registration, so that the order of registering does not matter.
   */
  snapshot(): HookOrder {
    const order = this.#orderNow();
    requireComplete(order);
    return order;
  }

  /**
   * Names of the hooks with `takesPart` that would take part in a run that starts now, as one text;
   * `""` when no hook has it. Two runs with equal version and equal participation share a plan.
   */
  get participation(): string {
    if (!this.#hasConditional) return "";
    const names = this.#sorted().filter((hook) =>
      hook.takesPart !== null && takesPartNow(hook, this.module)
    );
    return `${this.module.path}:${names.map((hook) => hook.name).join(",")};`;
  }

  /** The snapshot with a hold on it: take one when a call starts, release it when the call has ended. */
  acquire(): HookLease {
    const order = this.snapshot();
    this.#queue.hold(order);
    return new HookLease(order, () => this.#queue.letGo(order));
  }

  /**
   * Tells `listener` after every change, in the order of subscribing; returns the function that ends
   * it. A listener must not throw: the change is made already.
   */
  onChange(listener: (registry: HookRegistry) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The order in words, one line a hook with the reason for its place, then edges without effect. */
  explain(): readonly string[] {
    let place = 0;
    return this.#order.lines.map((line) => {
      const head = line.place === "ignored" || line.place === "missing"
        ? line.place
        : `${++place}. ${line.place}`;
      return `${head} "${line.name}": ${line.because}`;
    });
  }

  /**
   * Resolves when every removed hook has been detached. Not for use inside a hook.
   *
   * @throws what `onDetach` failed with where nobody awaited it: after `using`, or after a replacement.
   */
  settled(): Promise<void> {
    return this.#queue.settled();
  }

  #orderNow(): HookOrder {
    const key = this.participation;
    if (key === "") return this.#order;
    const known = this.#partOrders.get(key);
    if (known !== undefined) return known;
    const hooks = this.#sorted().filter((hook) => takesPartNow(hook, this.module));
    const order = hookOrder(hooks, this.module.path);
    this.#partOrders.set(key, order);
    return order;
  }

  #sorted(): RegisteredHook[] {
    return this.names.flatMap((name) => this.#hooks.get(name) ?? []);
  }

  #known(name: string): RegisteredHook {
    const hook = this.#hooks.get(name);
    if (hook !== undefined) return hook;
    throw unknownHook(name, this.names, this.module);
  }

  #refuseWhileAttaching(): void {
    if (!this.#attaching) return;
    throw new HooklineError("HOOK_ATTACH", {
      message: `cannot change the hooks of "${this.module.path}" from inside an onAttach`,
      fix: "register or remove the other hook after register() has returned",
      details: { module: this.module.path },
    });
  }

  #findReplaced(
    name: string,
    replace: boolean | string,
  ): RegisteredHook | undefined {
    if (replace === false) return undefined;
    return replace === true ? this.#hooks.get(name) : this.#known(replace);
  }

  /** The one place that changes the registry. */
  #commit(
    hooks: ReadonlyMap<string, RegisteredHook>,
    order: HookOrder,
    leaving: readonly RegisteredHook[],
  ): Removal[] {
    this.#hooks = hooks;
    this.#order = order;
    this.#partOrders.clear();
    this.#hasConditional = [...hooks.values()].some((hook) => hook.takesPart !== null);
    this.#version++;
    const removals = leaving.map((hook) => new Removal(hook, this.module));
    for (const removal of removals) this.#queue.add(removal);
    for (const listener of [...this.#listeners]) listener(this);
    return removals;
  }

  #take(hook: RegisteredHook): Removal {
    this.#refuseWhileAttaching();
    const hooks = new Map(this.#hooks);
    hooks.delete(hook.name);
    const order = hookOrder([...hooks.values()], this.module.path);
    const [removal] = this.#commit(hooks, order, [hook]);
    return removal ?? new Removal(hook, this.module);
  }

  /** Waits for the end of a removal, unless the run that must end first may be the one we are in. */
  async #awaitRemoval(removal: Removal): Promise<void> {
    if (!removal.done && insideHook()) return;
    await removal.wait();
  }

  #handle(added: RegisteredHook): HookHandle {
    let removal: Removal | null = null;
    const isActive = (): boolean => this.#hooks.get(added.name) === added;
    const start = (): Removal | null => removal ??= isActive() ? this.#take(added) : null;
    return new HookHandle(added.hook, {
      name: added.name,
      isActive,
      remove: async () => {
        const started = start();
        if (started !== null) await this.#awaitRemoval(started);
      },
      removeNow: () => {
        const failure = start()?.takeFailure() ?? null;
        if (failure !== null) throw failure.error;
      },
    });
  }
}
