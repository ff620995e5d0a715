// A model that people hold: its modules, its hooks, its runs. It owns the sessions and closes them. The
// only place where graph, hooks and sessions meet is here and in the files beside it.
//
// Invariant: a run works on the plan and the hooks that stood when it started; what changes during it
// takes effect with the next run.

import { HooklineError } from "../errors/hookline_error.ts";
import type { GraphModule, ModuleTree } from "../graph/graph_module.ts";
import type { ModuleSelector } from "../graph/selector.ts";
import { currentContext, currentStep } from "../hooks/forward_context.ts";
import { HookRegistry } from "../hooks/hook_registry.ts";
import type { Engine, EngineSession, OptimizationLevel, ValueSpec } from "../sessions/engine.ts";
import { FeedGuard } from "../sessions/feed_guard.ts";
import type { CudaOptions } from "../sessions/providers/cuda_options.ts";
import type { ResolvedProvider } from "../sessions/provider.ts";
import { emptyTensorMap, type TensorMap } from "../tensor/tensor.ts";
import { ActivePlan } from "./active_plan.ts";
import { requireHookable } from "./demand.ts";
import { Execution, runModules } from "./execution.ts";
import { explainPlan } from "./explain.ts";
import type { ModelStructure } from "./model_structure.ts";
import { ModuleFinder } from "./module_finder.ts";
import { selectWithOperators } from "./operator_module.ts";
import type { Plan } from "./plan.ts";
import { PlanMaker, type PlanOptions } from "./plan_maker.ts";
import { type PlanDocument, planDocument } from "./planner.ts";
import { type ModelProvenance, provenanceOf, type ProvenanceOptions } from "./provenance.ts";
import { ModelResidency } from "./residency/model_residency.ts";
import { checkRunOptions } from "./run_options.ts";
import { type HeldRun, RunsInFlight } from "./runs_in_flight.ts";
import { SessionPool } from "./session_pool.ts";
import { ValueTypes } from "./value_types.ts";

/** How a model is run; every field is decided when it is opened. */
export interface ModelSettings {
  readonly engine: Engine;
  /** Why this engine; left out where nobody chose. */
  readonly engineReason?: string;
  readonly provider: ResolvedProvider;
  readonly optimization: OptimizationLevel;
  /** Threads per session: one number for all, because another number can change bits. */
  readonly threads: number;
  /** Bytes of weights that sessions of plans not in use may keep. */
  readonly idleByteBudget: number;
  readonly cuda?: CudaOptions | undefined;
  readonly recordsRuns?: boolean;
}

/** Options of {@linkcode Model.run}. */
export interface RunOptions {
  /**
   * Ends the run between two segments, and with the native engine inside one; the promise rejects with
   * the signal's reason.
   */
  readonly signal?: AbortSignal;
  /**
   * Names of the outputs that are wanted; all of them when left out. With hooks, nodes that neither
   * these nor a hooked module need do not run: `[]` stops after the last hooked module.
   */
  readonly outputs?: readonly string[];
  /** A plan made by {@linkcode Model.plan} to run instead of the cheapest one for the hooks. */
  readonly plan?: Plan;
}

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
  readonly #guard: FeedGuard;
  readonly #finder: ModuleFinder;
  readonly #registries = new Map<string, HookRegistry>();
  readonly #residency: ModelResidency;
  readonly #planner: PlanMaker;
  readonly #active: ActivePlan;
  readonly #runs: RunsInFlight;
  #version = 0;
  #runCount = 0;
  #closing: Promise<void> | null = null;

  /** Use `openModel`. */
  constructor(structure: ModelStructure, settings: ModelSettings) {
    this.#structure = structure;
    this.#settings = settings;
    this.#pool = new SessionPool(settings.idleByteBudget);
    this.#guard = new FeedGuard(structure.inputs, structure.skeleton.label);
    this.#finder = new ModuleFinder(structure);
    this.#runs = new RunsInFlight(structure.skeleton.label);
    const { engine, optimization, threads, cuda, recordsRuns } = settings;
    const provider = settings.provider.provider.name;
    const host = { structure, engine, provider, optimization, threads, cuda, recordsRuns };
    this.#residency = new ModelResidency(host, (path) => this.#finder.get(path));
    this.#planner = new PlanMaker(
      structure,
      this.#finder,
      this.#registries,
      this.#residency,
    );
    this.#active = new ActivePlan({
      ...host,
      residency: this.#residency,
      pool: this.#pool,
      types: new ValueTypes(structure, settings.engine),
    });
    HookRegistry.claim(this, (path) => this.registry(path));
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

  /** Paths of the largest run of neighbours with equal structure; empty when no two are equal. */
  get repeatedBlocks(): readonly string[] {
    return this.#finder.repeatedBlocks;
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

  /** Why this engine was chosen. */
  get engineReason(): string {
    return this.#settings.engineReason ?? "it was given";
  }

  /** sha256 of the model's structure, in hex: weights are not read. */
  get structureHash(): string {
    return this.#structure.hash;
  }

  /**
   * Where the numbers of the next run come from: model, plan, versions, provider. For headers of traces
   * and reports.
   *
   * @throws {HooklineError} ENGINE_UNAVAILABLE without an ONNX Runtime, FILE_READ when the model's file
   * is to be hashed and is gone, and what {@linkcode plan} throws.
   */
  async provenance(options: ProvenanceOptions = {}): Promise<ModelProvenance> {
    const { provider, ...settings } = this.#settings;
    return await provenanceOf({
      ...settings,
      provider: provider.provider.name,
      skeleton: this.#structure.skeleton,
      structureHash: this.#structure.hash,
      plan: this.plan(),
    }, options);
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
    const module = this.#finder.get(path);
    const registry = HookRegistry.create(this, {
      path: module.path,
      className: module.className,
      callCount: module.calls.length,
    }, {
      admit: (hook) => {
        this.#requireOpen();
        requireHookable(module, hook);
      },
    });
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
    return this.#planner.make(options);
  }

  /** The plan of the next run in words: its kind, why every tap and cut is there, engine and provider. */
  explain(options: PlanOptions = {}): string {
    return explainPlan(this.explainDocument(options), {
      engine: this.engine,
      engineReason: this.engineReason,
      provider: this.provider.because,
    });
  }

  /** The plan of the next run as `hookline explain --json` prints it. */
  explainDocument(options: PlanOptions = {}): PlanDocument {
    const { optimization } = this.#settings;
    const fuses = optimization !== "disabled" && optimization !== "basic";
    return planDocument(
      this.plan(options),
      this.#structure.tree.modules,
      fuses ? this.#structure.graph : null,
    );
  }

  /**
   * Runs the model once. Any number of runs may be in flight at once. Without hooks this is one call of
   * ONNX Runtime on the untouched file.
   *
   * Shape: as the model declares; `feeds` holds every input by name, the result every output.
   *
   * Leave the feeds alone until the promise settles: each is read when the run gets there. Writing to one
   * before may change numbers; one transferred before is refused, FEED_DATA (on the napi engine SESSION_RUN).
   *
   * @throws {HooklineError} a FEED_ code when the feeds do not fit, a HOOK_ code when a hook fails, a
   * SESSION_ code when ONNX Runtime fails, MODEL_CLOSED; `signal.reason` when aborted.
   */
  run(feeds: TensorMap, options?: RunOptions): Promise<TensorMap> {
    if (options === undefined) {
      // The guard of the one session is the guard of the model: nothing is checked twice.
      let session: EngineSession | null;
      try {
        session = this.#active.current(this.#version, this.#participation())?.whole ?? null;
      } catch (error) {
        return Promise.reject(error); // a hook's takesPart failed
      }
      if (session !== null) {
        this.#runCount++;
        return session.run(feeds);
      }
    }
    return this.#run(feeds, options ?? {});
  }

  /** Opens what the next run needs, so that it is as fast as the others; a run does so by itself. */
  async prepare(): Promise<void> {
    this.#requireOpen();
    await this.#activate(undefined).ready;
  }

  /** Closes the model: waits for the runs in flight, detaches every hook, closes every session. */
  close(): Promise<void> {
    if (this.#closing !== null) return this.#closing;
    try {
      this.#runs.refuseClosingInside();
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#closing = this.#close();
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(feeds: TensorMap, options: RunOptions): Promise<TensorMap> {
    this.#requireOpen();
    checkRunOptions(options);
    options.signal?.throwIfAborted();
    const runId = this.#runCount++;
    const held = this.#begin(options);
    try {
      const { compiled, leases } = held;
      // Wrong feeds open no session; the whole plan's only session checks by itself.
      const wanted = this.#isAll(compiled.plan.outputs) ? undefined : compiled.plan.outputs;
      const isIdle = compiled.plan.kind === "whole" && wanted?.length === 0;
      if (compiled.plan.kind !== "whole" || isIdle) this.#guard.check(feeds);
      if (isIdle) return emptyTensorMap(); // neither a hook nor an output wants anything
      const session = await held.open();
      options.signal?.throwIfAborted();
      if (session !== null) {
        const outputs = await session.run(feeds, wanted, { signal: options.signal });
        options.signal?.throwIfAborted();
        return outputs;
      }
      return await new Execution({
        compiled,
        modules: runModules(compiled.plan, {
          find: (path) => this.#finder.get(path),
          orderOf: (path) => leases.get(path)?.order ?? null,
        }),
        inputs: this.#structure.graph.inputs,
        runId,
        step: currentStep(),
        context: currentContext(),
        signal: options.signal,
      }).run(feeds);
    } finally {
      await held.end();
    }
  }

  /** Takes the plan and the hooks together, before anything is awaited: they belong to one version. */
  #begin(options: RunOptions): HeldRun {
    const { plan, outputs } = options;
    const { compiled } = plan === undefined ? this.#activate(outputs) : this.#active.activate(
      this.#version,
      `plan ${plan.hash} ${outputs === undefined} ${this.#participation()}`,
      () => this.#planner.requireCurrent(plan, outputs),
    );
    return this.#runs.begin(compiled, this.#registries);
  }

  #isAll(outputs: readonly string[]): boolean {
    const all = this.#structure.graph.outputs;
    return outputs.length === all.length && outputs.every((name, index) => name === all[index]);
  }

  #activate(outputs: readonly string[] | undefined): ReturnType<ActivePlan["activate"]> {
    const key = this.#participation() + (outputs === undefined ? "" : JSON.stringify(outputs));
    return this.#active.activate(
      this.#version,
      key,
      () => this.plan(outputs === undefined ? {} : { outputs }),
    );
  }

  /** The hooks with `takesPart` that take part in a run starting now, as one text. */
  #participation(): string {
    let all = "";
    for (const registry of this.#registries.values()) all += registry.participation;
    return all;
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
    this.#version++;
    const failures: unknown[] = [];
    const attempt = async (action: () => Promise<void>): Promise<void> => {
      await action().catch((error: unknown) => failures.push(error));
    };
    await this.#runs.idle();
    failures.push(...await this.#active.close());
    for (const registry of this.#registries.values()) await attempt(() => registry.clear());
    await attempt(() => this.#pool.close());
    this.#residency[Symbol.dispose]();
    if (failures.length > 1) throw new AggregateError(failures, `closing "${this.label}" failed`);
    if (failures.length > 0) throw failures[0];
  }
}
