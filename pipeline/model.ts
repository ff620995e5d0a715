// A model that people hold: its modules, its hooks, its runs. It owns the sessions and closes them. The
// only place where graph, hooks and sessions meet is here and in the files beside it.
//
// Invariant: a run works on the plan and the hooks that stood when it started; what changes during it
// takes effect with the next run.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { GraphModule, ModuleTree } from "../graph/graph_module.ts";
import { type ModuleSelector, selectModules } from "../graph/selector.ts";
import { currentContext, currentStep } from "../hooks/forward_context.ts";
import type { HookLease } from "../hooks/hook_handle.ts";
import { HookRegistry } from "../hooks/hook_registry.ts";
import type { Engine, OptimizationLevel, ValueSpec } from "../sessions/engine.ts";
import { FeedGuard } from "../sessions/feed_guard.ts";
import type { ResolvedProvider } from "../sessions/provider.ts";
import type { TensorMap } from "../tensor/tensor.ts";
import { CompiledPlan, type PlanHost } from "./compiled_plan.ts";
import { demandOf, type ModuleDemand, requireHookable, splitDemand, tapDemand } from "./demand.ts";
import { Execution, type RunModule } from "./execution.ts";
import { explainPlan } from "./explain.ts";
import type { ModelStructure } from "./model_structure.ts";
import { operatorModule, parseOperatorPath, selectWithOperators } from "./operator_module.ts";
import type { Plan } from "./plan.ts";
import { makePlan, type PlanDocument, planDocument } from "./planner.ts";
import { SessionPool } from "./session_pool.ts";
import { spanModule } from "./span.ts";
import { ValueTypes } from "./value_types.ts";

/** How a model is run; every field is decided when it is opened. */
export interface ModelSettings {
  readonly engine: Engine;
  readonly provider: ResolvedProvider;
  readonly optimization: OptimizationLevel;
  /** Threads per session: one number for all, because another number can change bits. */
  readonly threads: number;
  /** Bytes of weights that sessions of plans not in use may keep. */
  readonly idleByteBudget: number;
}

/** Options of {@linkcode Model.run}. */
export interface RunOptions {
  /** Ends the run between two segments; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Names of the outputs that are wanted; all of them when left out. With hooks, nodes that neither
   * these nor a hooked module need do not run: `[]` stops after the last hooked module.
   */
  readonly outputs?: readonly string[];
  /** A plan made by {@linkcode Model.plan} to run instead of the cheapest one for the hooks. */
  readonly plan?: Plan;
}

/** What a plan is to do beside what the hooks need: see {@linkcode Model.plan}. */
export interface PlanOptions {
  /** Modules whose outputs are tapped although no hook asks. */
  readonly tap?: ModuleSelector;
  /** Modules after which the graph is cut although no hook asks. */
  readonly split?: ModuleSelector;
  /** Names of the outputs that are wanted: see {@linkcode RunOptions}. */
  readonly outputs?: readonly string[];
}

/** A plan that is ready, with the hooks that it was made for. */
interface ActivePlan {
  readonly version: number;
  /** The hooks that take part and the wanted outputs as one text; `""` for all and all. */
  readonly outputsKey: string;
  readonly plan: Plan;
  readonly compiled: CompiledPlan;
  readonly ready: Promise<void>;
}

const COMPILED_PLANS_KEPT = 8;

/**
 * An open model. Make one with `openModel`; close it with `await using` or {@linkcode close}.
 *
 * @example
 * ```ts
 * import { openModel, tensor } from "@hookline/hookline";
 * await using model = await openModel("bert.onnx");
 * console.log(model.modules.length, model.explain());
 * ```
 */
export class Model {
  readonly #structure: ModelStructure;
  readonly #settings: ModelSettings;
  readonly #pool: SessionPool;
  readonly #host: PlanHost;
  readonly #guard: FeedGuard;
  readonly #spans = new Map<string, GraphModule>();
  readonly #compiled = new Map<string, CompiledPlan>();
  readonly #registries = new Map<string, HookRegistry>();
  #version = 0;
  #active: ActivePlan | null = null;
  #plans: { readonly version: number; readonly byKey: Map<string, Plan> } = {
    version: 0,
    byKey: new Map(),
  };
  #runCount = 0;
  #closing: Promise<void> | null = null;

  /** Use `openModel`. */
  constructor(structure: ModelStructure, settings: ModelSettings) {
    this.#structure = structure;
    this.#settings = settings;
    this.#pool = new SessionPool(settings.idleByteBudget);
    this.#guard = new FeedGuard(structure.inputs, structure.skeleton.label);
    this.#host = {
      structure,
      engine: settings.engine,
      provider: settings.provider.provider.name,
      optimization: settings.optimization,
      threads: settings.threads,
      pool: this.#pool,
      types: new ValueTypes(structure, settings.engine),
    };
  }

  /** What to call the model in messages: its file name, or `"bytes"`. */
  get label(): string {
    return this.#structure.skeleton.label;
  }

  /** The inputs that must be fed, as the file declares them. */
  get inputs(): readonly ValueSpec[] {
    return this.#structure.inputs;
  }

  /** The outputs, as the file declares them. */
  get outputs(): readonly ValueSpec[] {
    return this.#structure.outputs;
  }

  /** All modules, the root (`""`) first, in execution order. */
  get modules(): readonly GraphModule[] {
    return this.#structure.tree.modules;
  }

  /** The module tree with the counts of what named it. */
  get tree(): ModuleTree {
    return this.#structure.tree;
  }

  /** The execution provider and why it was chosen. */
  get provider(): { readonly name: string; readonly because: string } {
    return {
      name: this.#settings.provider.provider.name,
      because: this.#settings.provider.because,
    };
  }

  /** The engine's name. */
  get engine(): "napi" | "native" {
    return this.#settings.engine.name;
  }

  /** sha256 of the model's structure, in hex: weights are not read. */
  get structureHash(): string {
    return this.#structure.hash;
  }

  /**
   * The modules that a selector names, in execution order: a path, a glob (`encoder.layer.*`), a
   * `/regex/`, `class:BertLayer`, a predicate, or a list of these. `SELECTOR::Softmax` names the
   * Softmax operators inside the modules of `SELECTOR`, each node a call.
   *
   * @throws {HooklineError} HOOK_MATCH_EMPTY when nothing matches, SELECTOR_SYNTAX for a bad pattern.
   */
  select(selector: ModuleSelector): readonly GraphModule[] {
    return selectWithOperators(this.#structure, selector);
  }

  /**
   * The registry of one module's hooks. A span (`h.[1-11]`: consecutive sibling modules) is a module
   * like any other, and so are the operators of a type inside a module (`h.0.attn::Softmax`). Hooks that
   * the module cannot have are refused when they are registered.
   *
   * @throws {HooklineError} MODULE_UNKNOWN with the nearest paths, MODULE_SPAN_INVALID,
   * MODULE_INSIDE_BODY, MODEL_CLOSED.
   */
  registry(path: string): HookRegistry {
    this.#requireOpen();
    const known = this.#registries.get(path);
    if (known !== undefined) return known;
    const module = this.#module(path);
    const registry = HookRegistry.getOrCreate(this, {
      path: module.path,
      className: module.className,
      callCount: module.calls.length,
    }, { admit: (hook) => requireHookable(module, hook) });
    registry.onChange(() => void this.#version++);
    this.#registries.set(path, registry);
    return registry;
  }

  /**
   * The plan that the next run would use: the cheapest that the registered hooks allow, or with
   * `options` one that also taps or cuts at chosen modules. Opens nothing.
   *
   * @throws {HooklineError} HOOK_ORDER_UNKNOWN, MODULE_NOT_CUTTABLE or PLAN_CYCLE when there is none.
   */
  plan(options: PlanOptions = {}): Plan {
    const demands = new Map<string, ModuleDemand>();
    const orderKeys: Record<string, string> = {};
    for (const [path, registry] of this.#hooked()) {
      const order = registry.snapshot();
      if (order.entering.length === 0) continue; // none of its hooks takes part
      demands.set(path, demandOf(this.#module(path), order.entering));
      orderKeys[path] = order.key;
    }
    const extra = (
      selector: ModuleSelector | undefined,
      make: (module: GraphModule) => ModuleDemand,
    ): void => {
      if (selector === undefined) return;
      for (const module of selectModules(this.#structure.tree, selector)) {
        if (module.insideBody !== null || module.calls.length === 0) continue;
        const made = make(module);
        const before = demands.get(module.path);
        demands.set(
          module.path,
          before === undefined ? made : {
            ...before,
            tapsOutputs: true,
            editsOutputs: before.editsOutputs || made.editsOutputs,
            because: [...before.because, ...made.because],
          },
        );
      }
    };
    extra(options.tap, (module) => tapDemand(module, `${module.path} is tapped on request`));
    extra(
      options.split,
      (module) => splitDemand(module, `the graph is cut after ${module.path} on request`),
    );
    const sorted = [...demands.entries()].sort(([left], [right]) =>
      left < right ? -1 : left > right ? 1 : 0
    );
    return makePlan({
      graph: this.#structure.graph,
      demands: sorted.map(([, demand]) => demand),
      structureHash: this.#structure.hash,
      orderKeys,
      ...(options.outputs === undefined ? {} : { outputs: this.#checkedOutputs(options.outputs) }),
    });
  }

  /** The plan of the next run in words: its kind, why every tap and cut is there, engine and provider. */
  explain(options: PlanOptions = {}): string {
    return explainPlan(this.explainDocument(options), {
      engine: this.engine,
      provider: this.provider.because,
    });
  }

  /** The plan of the next run as `hookline explain --json` prints it. */
  explainDocument(options: PlanOptions = {}): PlanDocument {
    return planDocument(this.plan(options), this.#structure.tree.modules);
  }

  /**
   * Runs the model once. Any number of runs may be in flight at once. Without hooks this is one call of
   * ONNX Runtime on the untouched file.
   *
   * Shape: as the model declares; `feeds` holds every input by name, the result every output.
   *
   * @throws {HooklineError} a FEED_ code when the feeds do not fit, a HOOK_ code when a hook fails, a
   * SESSION_ code when ONNX Runtime fails, MODEL_CLOSED; `signal.reason` when aborted.
   */
  run(feeds: TensorMap, options?: RunOptions): Promise<TensorMap> {
    const active = this.#active;
    const isCurrent = active !== null && active.version === this.#version &&
      active.outputsKey === this.#participation();
    if (options === undefined && isCurrent) {
      const session = active.compiled.whole;
      // The guard of the one session is the guard of the model: nothing is checked twice.
      if (session !== null) {
        this.#runCount++;
        return session.run(feeds);
      }
    }
    return this.#run(feeds, options ?? {});
  }

  /**
   * Opens what the next run needs, so that the first run is as fast as the others. A run does the same
   * by itself.
   */
  async prepare(): Promise<void> {
    this.#requireOpen();
    await this.#activate().ready;
  }

  /** Closes the model: waits for the runs in flight, detaches every hook, closes every session. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(feeds: TensorMap, options: RunOptions): Promise<TensorMap> {
    this.#requireOpen();
    options.signal?.throwIfAborted();
    const leases = new Map<string, HookLease>();
    const held: CompiledPlan[] = [];
    try {
      const compiled = await this.#holdPlan(options, leases, held);
      options.signal?.throwIfAborted();
      if (compiled.whole !== null) {
        this.#runCount++;
        const outputs = await compiled.whole.run(feeds, options.outputs);
        options.signal?.throwIfAborted();
        return outputs;
      }
      this.#guard.check(feeds);
      return await new Execution({
        compiled,
        modules: this.#runModules(compiled.plan, leases),
        inputs: this.#structure.graph.inputs,
        runId: this.#runCount++,
        step: currentStep(),
        context: currentContext(),
        signal: options.signal,
      }).run(feeds);
    } finally {
      for (const lease of leases.values()) lease.release();
      for (const compiled of held) await compiled.release();
    }
  }

  /** Takes the plan and the hooks together, before anything is awaited: they belong to one version. */
  async #holdPlan(
    options: RunOptions,
    leases: Map<string, HookLease>,
    held: CompiledPlan[],
  ): Promise<CompiledPlan> {
    const compiled = options.plan === undefined
      ? this.#activate(options.outputs).compiled
      : this.#compile(options.plan);
    for (const path of Object.keys(compiled.plan.order)) {
      const registry = this.#registries.get(path);
      if (registry !== undefined) leases.set(path, registry.acquire());
    }
    await compiled.hold();
    held.push(compiled);
    return compiled;
  }

  #activate(outputs?: readonly string[]): ActivePlan {
    const before = this.#active;
    const version = this.#version;
    const outputsKey = this.#participation() +
      (outputs === undefined ? "" : JSON.stringify(outputs));
    if (before !== null && before.version === version && before.outputsKey === outputsKey) {
      return before;
    }
    const plan = this.#planFor(outputsKey, outputs);
    const compiled = this.#compile(plan);
    const ready = compiled.hold();
    const active: ActivePlan = { version, outputsKey, plan, compiled, ready };
    this.#active = active;
    ready.catch(() => {
      if (this.#active === active) this.#active = null;
    });
    if (before !== null) before.ready.then(() => before.compiled.release(), () => {});
    return active;
  }

  /** The hooks with `takesPart` that take part in a run starting now, as one text. */
  #participation(): string {
    let all = "";
    for (const registry of this.#registries.values()) all += registry.participation;
    return all;
  }

  /** The plan for these outputs; runs that alternate between two of them do not plan anew. */
  #planFor(key: string, outputs: readonly string[] | undefined): Plan {
    if (this.#plans.version !== this.#version) {
      this.#plans = { version: this.#version, byKey: new Map() };
    }
    const { byKey } = this.#plans;
    const plan = byKey.get(key) ?? this.plan(outputs === undefined ? {} : { outputs });
    if (byKey.size >= COMPILED_PLANS_KEPT) byKey.clear();
    byKey.set(key, plan);
    return plan;
  }

  #compile(plan: Plan): CompiledPlan {
    const known = this.#compiled.get(plan.hash);
    const compiled = known ?? new CompiledPlan(plan, this.#host);
    this.#compiled.delete(plan.hash);
    this.#compiled.set(plan.hash, compiled); // last used last
    for (const hash of this.#compiled.keys()) {
      if (this.#compiled.size <= COMPILED_PLANS_KEPT) break;
      this.#compiled.delete(hash);
    }
    return compiled;
  }

  #runModules(plan: Plan, leases: ReadonlyMap<string, HookLease>): ReadonlyMap<string, RunModule> {
    const modules = new Map<string, RunModule>();
    const add = (steps: Plan["steps"]): void => {
      for (const step of steps) {
        if (step.kind === "segment" || modules.has(step.module)) {
          if (step.kind === "module") add(step.steps);
          continue;
        }
        const module = this.#module(step.module);
        const order = leases.get(step.module)?.order ?? null;
        modules.set(step.module, {
          facts: { path: module.path, className: module.className, callCount: module.calls.length },
          calls: module.calls,
          order,
        });
        if (step.kind === "module") add(step.steps);
      }
    };
    add(plan.steps);
    return modules;
  }

  #hooked(): [string, HookRegistry][] {
    return [...this.#registries].filter(([, registry]) => registry.size > 0)
      .sort(([left], [right]) => left < right ? -1 : left > right ? 1 : 0);
  }

  #module(path: string): GraphModule {
    const found = this.#structure.tree.get(path) ?? this.#spans.get(path);
    if (found !== undefined) {
      if (found.insideBody !== null) {
        requireHookable(found, { name: "any hook", access: "observe" });
      }
      return found;
    }
    const operator = parseOperatorPath(this.#structure, path);
    if (operator !== null) {
      const inside = this.#module(operator.module);
      const made = operatorModule(this.#structure, inside, operator.opType);
      this.#spans.set(path, made);
      return made;
    }
    if (/[[*?{]/.test(path)) {
      const span = spanModule(this.#structure, path);
      this.#spans.set(path, span);
      return span;
    }
    const nearest = nearestNames(path, this.#structure.tree.modules.map((module) => module.path));
    throw new HooklineError("MODULE_UNKNOWN", {
      message: `cannot find module "${path}" in "${this.label}"`,
      fix: nearest.length > 0
        ? `did you mean ${nearest.map((name) => `"${name}"`).join(" or ")}?`
        : "list the modules with `hookline inspect`",
      details: { module: path, nearest },
    });
  }

  #checkedOutputs(outputs: readonly string[]): readonly string[] {
    const known = this.#structure.graph.outputs;
    const unknown = outputs.filter((name) => !known.includes(name));
    if (unknown.length === 0) return outputs;
    throw new HooklineError("FETCH_UNKNOWN", {
      message: `cannot run "${this.label}": it has no output ${
        unknown.map((name) => `"${name}"`).join(", ")
      }`,
      fix: `ask for some of ${known.join(", ")}, or hook a module to see values inside the model`,
      details: { outputs: unknown, nearest: nearestNames(unknown[0] ?? "", known) },
    });
  }

  #requireOpen(): void {
    if (this.#closing === null) return;
    throw new HooklineError("MODEL_CLOSED", {
      message: `cannot use "${this.label}": the model was closed`,
      fix: "open it again, or close it later",
      details: { model: this.label },
    });
  }

  async #close(): Promise<void> {
    const active = this.#active;
    this.#active = null;
    this.#version++;
    if (active !== null) await active.ready.then(() => active.compiled.release(), () => {});
    const failures: unknown[] = [];
    for (const registry of this.#registries.values()) {
      await registry.clear().catch((error: unknown) => failures.push(error));
    }
    await this.#pool.close();
    if (failures.length > 0) throw failures[0];
  }
}
