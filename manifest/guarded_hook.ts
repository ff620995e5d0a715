// A plugin's hook, at any level of isolation, as a ModelHook: what it sees, what it returns and what it
// uses pass through here. It decides by the effective rights alone and knows no worker and no file.
// Invariant: the plugin never gets a tensor that others hold, and nothing that it returns is used before
// its right to return it was checked. Names, dtypes and shapes of results are checked by dispatch.

import { HooklineError } from "../errors/hookline_error.ts";
import {
  type ForwardCall,
  type HookAccess,
  ModelHook,
  type ModuleFacts,
  type OriginalForward,
  type PhaseResult,
} from "../hooks/model_hook.ts";
import { isThenable } from "../hooks/call_stack.ts";
import { emptyTensorMap, type TensorMap } from "../tensor/tensor.ts";
import { ActivationView, type ViewSpec } from "./activation_view.ts";
import type { Audit } from "./audit.ts";
import { KIND_ACCESS } from "./declared_hooks.ts";
import type { PluginManifest } from "./plugin_manifest.ts";
import type { PluginCall, PluginHook, PluginPhase } from "./plugin_module.ts";

/** What a plugin used, summed over all of its hooks. */
export interface PluginTally {
  /** Calls of its methods. */
  calls: number;
  /** Time in them, in milliseconds. */
  elapsedMs: number;
  /** Attempts that were denied. */
  denied: number;
  /** Modules whose hook was left out after it broke its budget. */
  readonly detached: Set<string>;
}

/** What a guard stands around. */
export interface GuardSpec extends ViewSpec {
  readonly manifest: PluginManifest;
  readonly hook: PluginHook;
  readonly tally: PluginTally;
  readonly audit: Audit;
  /** A clock in milliseconds; `performance.now` by default. */
  readonly now?: () => number;
}

/** A tally of nothing. */
export function newTally(): PluginTally {
  return { calls: 0, elapsedMs: 0, denied: 0, detached: new Set() };
}

/** The hook to register for one module. Methods that the plugin's hook lacks are absent. */
export function guardHook(spec: GuardSpec): ModelHook {
  return new GuardedHook(spec);
}

class GuardedHook extends ModelHook {
  override readonly name: string;
  override readonly access: HookAccess;
  override readonly before: readonly string[];
  override readonly after: readonly string[];
  override readonly observes: "raw" | "final";
  override readonly changesShape: boolean;
  declare readonly readsInputs?: boolean;
  readonly #spec: GuardSpec;
  readonly #view: ActivationView;
  readonly #now: () => number;
  readonly #module: string;
  /** What an asynchronous resetState threw; the next call throws it. */
  #resetFailure: { readonly error: unknown } | null = null;

  constructor(spec: GuardSpec) {
    super();
    const { manifest, rights, hook } = spec;
    this.name = manifest.name;
    this.access = KIND_ACCESS[manifest.kind];
    this.before = manifest.order.before;
    this.after = manifest.order.after;
    this.observes = manifest.hooks.includes("observe:raw") ? "raw" : "final";
    this.changesShape = rights.writeActivations && rights.changesShape;
    if (rights.readActivations === "none") this.readsInputs = false;
    this.#spec = spec;
    this.#view = new ActivationView(spec);
    this.#now = spec.now ?? (() => performance.now());
    this.#module = spec.module.path;
    if (hook.preForward !== undefined) this.preForward = (...args) => this.#pre(...args);
    if (hook.newForward !== undefined) this.newForward = (...args) => this.#replace(...args);
    if (hook.postForward !== undefined) this.postForward = (...args) => this.#post(...args);
    if (hook.onUnwind !== undefined) this.onUnwind = (...args) => this.#unwind(...args);
    if (hook.resetState !== undefined) this.resetState = (module) => this.#reset(module);
    // Only an observer can be left out without anybody's numbers changing.
    if (manifest.kind === "observer") {
      this.takesPart = () => !spec.tally.detached.has(this.#module);
    }
  }

  #pre(call: ForwardCall, inputs: TensorMap): PhaseResult {
    const seen = this.#view.of(inputs, "inputs");
    const given = this.#call(call, { inputs });
    return this.#timed("preForward", {
      run: () => this.#spec.hook.preForward?.(given, seen),
      accept: (result) => this.#accept(result, [[inputs, seen]]),
    });
  }

  #post(call: ForwardCall, outputs: TensorMap, inputs: TensorMap | null): PhaseResult {
    const seen = this.#view.of(outputs, "outputs");
    const seenInputs = inputs === null ? null : this.#view.of(inputs, "inputs");
    const given = this.#call(call, { outputs, ...(inputs === null ? {} : { inputs }) });
    const views: [TensorMap, TensorMap][] = [[outputs, seen]];
    if (inputs !== null && seenInputs !== null) views.push([inputs, seenInputs]);
    return this.#timed("postForward", {
      run: () => this.#spec.hook.postForward?.(given, seen, seenInputs),
      accept: (result) => this.#accept(result, views),
    });
  }

  #replace(
    call: ForwardCall,
    inputs: TensorMap,
    original: OriginalForward,
  ): TensorMap | Promise<TensorMap> {
    let [originalCalls, originalMs] = [0, 0];
    let computed: TensorMap = emptyTensorMap();
    const guardedOriginal: OriginalForward = async (changed) => {
      originalCalls++;
      const start = this.#now();
      try {
        computed = await (changed === undefined ? original() : original(changed));
      } finally {
        originalMs += this.#now() - start;
      }
      return this.#view.of(computed, "outputs");
    };
    const given = this.#call(call, { inputs });
    return this.#timed<TensorMap>("newForward", {
      run: () =>
        this.#spec.hook.newForward?.(given, this.#view.of(inputs, "inputs"), guardedOriginal),
      accept: (result) => {
        if (originalCalls === 0 && !this.#spec.rights.skipForward) {
          throw this.#deny("skip-forward", "HOOK_PERMISSION_DENIED", "left the forward out");
        }
        this.#view.allow(originalCalls === 0 ? "skip-forward" : "replace-forward");
        // Anything else is refused by the check that every result passes.
        if (typeof result !== "object" || result === null) return result as TensorMap;
        // What the plugin may not see it cannot return: the original's own values stand in.
        return Object.assign(emptyTensorMap(), this.#view.hidden(computed, "outputs"), result);
      },
      notItsMs: () => originalMs,
    });
  }

  #unwind(call: ForwardCall, error: unknown): void | Promise<void> {
    return this.#timed("onUnwind", {
      run: () => this.#spec.hook.onUnwind?.(this.#call(call, {}), error),
      accept: () => {},
    });
  }

  #reset(module: ModuleFacts): void {
    const done = this.#spec.hook.resetState?.(module);
    // The registry's reset is synchronous: what fails later is thrown by the next call.
    if (isThenable(done)) {
      Promise.resolve(done).catch((error) => {
        this.#resetFailure = { error };
      });
    }
  }

  #call(
    call: ForwardCall,
    tensors: { readonly inputs?: TensorMap; readonly outputs?: TensorMap },
  ): PluginCall {
    return Object.freeze({
      module: this.#spec.module,
      callIndex: call.callIndex,
      inputNames: call.inputNames,
      outputNames: call.outputNames,
      runId: call.runId,
      step: call.step,
      context: call.context,
      tensors: this.#view.facts(tensors),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
  }

  /** What a plugin returned, or the reason why it may not return anything. */
  #accept(
    result: unknown,
    views: readonly (readonly [TensorMap, TensorMap])[],
  ): TensorMap | undefined {
    const { rights } = this.#spec;
    const mayWrite = rights.writeActivations && this.access !== "observe" &&
      this.access !== "residency";
    if (!mayWrite) {
      for (const [original, seen] of views) {
        for (const name of this.#view.writtenInto(original, seen)) {
          this.#spec.tally.denied++;
          this.#view.record("write-activations", { value: name, decision: "deny" });
        }
      }
    }
    if (result === undefined) return undefined;
    if (!mayWrite) throw this.#deny("write-activations", "HOOK_WRITE_DENIED", "returned tensors");
    this.#view.allow("write-activations");
    return result as TensorMap;
  }

  #timed<Result>(
    phase: PluginPhase,
    { run, accept, notItsMs = () => 0 }: {
      readonly run: () => unknown;
      readonly accept: (result: unknown) => Result;
      readonly notItsMs?: () => number;
    },
  ): Result | Promise<Result> {
    const failed = this.#resetFailure;
    this.#resetFailure = null;
    if (failed !== null) throw failed.error;
    const start = this.#now();
    const finish = (result: unknown): Result => {
      this.#spend(phase, this.#now() - start - notItsMs());
      return accept(result);
    };
    const fail = (error: unknown): Result => {
      // An observer whose worker or process was ended for its budget is left out from now on.
      const isBudget = error instanceof HooklineError && error.code === "HOOK_BUDGET";
      if (!isBudget || this.access !== "observe") throw error;
      this.#spec.tally.denied++;
      this.#spec.tally.detached.add(this.#module);
      return undefined as Result;
    };
    let result: unknown;
    try {
      result = run();
    } catch (error) {
      return fail(error);
    }
    return isThenable(result) ? Promise.resolve(result).then(finish, fail) : finish(result);
  }

  /** Counts a call's time; one beyond the budget ends an observer's part and fails everybody else's call. */
  #spend(phase: PluginPhase, elapsedMs: number): void {
    const { tally, manifest } = this.#spec;
    tally.calls++;
    tally.elapsedMs += elapsedMs;
    const limit = manifest.budgets.msPerCall;
    if (limit === undefined || elapsedMs <= limit) return;
    tally.denied++;
    this.#view.record("budget", {
      value: `msPerCall ${limit}: ${phase} took ${elapsedMs.toFixed(1)}`,
      decision: "deny",
    });
    if (manifest.kind === "observer") {
      tally.detached.add(this.#module);
      return;
    }
    throw new HooklineError("HOOK_BUDGET", {
      message: `cannot use ${phase} of ${manifest.name} on "${this.#module}": it took ` +
        `${elapsedMs.toFixed(1)} ms, its manifest allows ${limit}`,
      fix: "raise budgets.msPerCall in the manifest, or make the hook faster",
      details: { plugin: manifest.name, module: this.#module, budget: "msPerCall", limit },
    });
  }

  #deny(
    permission: string,
    code: "HOOK_WRITE_DENIED" | "HOOK_PERMISSION_DENIED",
    what: string,
  ): HooklineError {
    const { manifest, rights, tally } = this.#spec;
    tally.denied++;
    this.#view.record(permission, { value: null, decision: "deny" });
    const granted = rights.because.map((right) => right.permission);
    return new HooklineError(code, {
      message: `cannot let ${manifest.name} go on at "${this.#module}": it ${what} without ` +
        `${permission}; it holds ${granted.join("; ") || "nothing"}`,
      fix:
        `ask for ${permission} in the manifest and run \`hookline plugin grant\`, or mend the plugin`,
      details: { plugin: manifest.name, module: this.#module, permission, granted },
    });
  }
}
