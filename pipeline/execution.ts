// One run of one plan: feeds segments, calls hooks in between, and carries values from step to step. All
// state of a run lies in one object, so that many runs of one model can be in flight at once. It knows
// no ONNX and no engine beyond `EngineSession.run`.
//
// Invariant: every hook call that was entered is left or unwound, exactly once, last entered first.

import { internalError } from "../errors/hookline_error.ts";
import { type Forward, ModuleDispatch } from "../hooks/dispatch.ts";
import type { ForwardCall, ModuleFacts } from "../hooks/model_hook.ts";
import type { HookOrder } from "../hooks/order.ts";
import type { ModuleCall } from "../graph/graph_module.ts";
import { emptyTensorMap, type Tensor, type TensorMap } from "../tensor/tensor.ts";
import type { CompiledPlan } from "./compiled_plan.ts";
import type { EventStep, ModuleStep, PlanStep, SegmentStep } from "./plan.ts";

/** A hooked module as a run needs it. */
export interface RunModule {
  readonly facts: ModuleFacts;
  readonly calls: readonly ModuleCall[];
  /** Its hooks, frozen for this run; null when the plan cuts here without any hook. */
  readonly order: HookOrder | null;
}

/** What one run needs beside its feeds. */
export interface ExecutionContext {
  readonly compiled: CompiledPlan;
  readonly modules: ReadonlyMap<string, RunModule>;
  /** Names of all graph inputs, for segments that hold the whole model. */
  readonly inputs: readonly string[];
  readonly runId: number;
  readonly step: number | null;
  readonly context: string;
  readonly signal: AbortSignal | undefined;
}

type Values = Map<string, Tensor>;

/** One run. */
export class Execution {
  readonly #context: ExecutionContext;
  /** Calls whose hooks were entered and not left, in the order of entering. */
  readonly #open = new Map<string, ModuleDispatch>();
  #feeds: TensorMap = emptyTensorMap();

  constructor(context: ExecutionContext) {
    this.#context = context;
  }

  /**
   * Runs the plan.
   *
   * @throws what a hook or a session threw, after every entered hook was unwound; `signal.reason` when
   * the run was aborted.
   */
  async run(feeds: TensorMap): Promise<TensorMap> {
    const { plan } = this.#context.compiled;
    const values: Values = new Map();
    this.#feeds = feeds;
    for (const name of this.#context.inputs) values.set(name, feeds[name] as Tensor);
    try {
      await this.#steps(plan.steps, values, plan.outputs);
      this.#context.signal?.throwIfAborted();
      return pick(values, plan.outputs);
    } catch (error) {
      throw await this.#unwind(error);
    }
  }

  async #steps(
    steps: readonly PlanStep[],
    values: Values,
    wanted: readonly string[],
  ): Promise<void> {
    const last = lastReads(steps);
    const kept = new Set(wanted);
    for (const [index, step] of steps.entries()) {
      this.#context.signal?.throwIfAborted();
      if (step.kind === "segment") await this.#segment(step, values);
      else if (step.kind === "module") await this.#module(step, values);
      else await this.#event(step, values);
      // A long split holds a few activations, not all.
      for (const name of last[index] ?? []) if (!kept.has(name)) values.delete(name);
    }
  }

  async #segment(segment: SegmentStep, values: Values): Promise<void> {
    const session = this.#context.compiled.session(segment);
    const feeds = segment.isWhole ? this.#wholeFeeds(values) : pick(values, segment.inputs);
    const outputs = await session.run(feeds, segment.outputs);
    for (const name of segment.outputs) values.set(name, outputs[name] as Tensor);
  }

  /** ONNX Runtime wants every input of a whole model, also those that no node uses. */
  #wholeFeeds(values: Values): TensorMap {
    const feeds = emptyTensorMap();
    for (const name of this.#context.inputs) {
      feeds[name] = values.get(name) ?? this.#feeds[name] as Tensor;
    }
    return feeds;
  }

  async #event(step: EventStep, values: Values): Promise<void> {
    const dispatch = step.kind === "enter" ? this.#enter(step) : this.#entered(step);
    if (dispatch === null) return;
    const given = pick(values, step.values);
    if (step.kind === "enter") {
      await dispatch.enter(given);
      return;
    }
    const outputs = await dispatch.leave(given);
    this.#open.delete(callKey(step));
    for (const name of step.values) values.set(name, outputs[name] as Tensor);
  }

  async #module(step: ModuleStep, values: Values): Promise<void> {
    const dispatch = this.#enter(step);
    const inner: Forward = async (inputs) => {
      const own: Values = new Map(Object.entries(inputs));
      await this.#steps(step.steps, own, step.outputs);
      return pick(own, step.outputs);
    };
    let outputs: TensorMap;
    if (dispatch === null) outputs = await inner(pick(values, step.inputs));
    else {
      const inputs = await dispatch.enter(pick(values, step.inputs));
      const computed = dispatch.hasReplacer
        ? await dispatch.replace(inputs, inner)
        : await inner(inputs);
      outputs = await dispatch.leave(computed);
      this.#open.delete(callKey(step));
    }
    for (const name of step.outputs) values.set(name, outputs[name] as Tensor);
  }

  #enter(step: EventStep | ModuleStep): ModuleDispatch | null {
    const { modules, runId, step: stepIndex, context, signal } = this.#context;
    const module = modules.get(step.module);
    const call = module?.calls[step.callIndex];
    if (module === undefined || call === undefined) {
      throw internalError(`the plan names the unknown call ${callKey(step)}`);
    }
    if (module.order === null) return null;
    const forward: ForwardCall = {
      module: module.facts,
      callIndex: step.callIndex,
      inputNames: call.inputs,
      outputNames: call.outputs,
      runId,
      step: stepIndex,
      context,
      signal,
    };
    const dispatch = new ModuleDispatch(module.order, forward);
    this.#open.set(callKey(step), dispatch);
    return dispatch;
  }

  #entered(step: EventStep): ModuleDispatch | null {
    if (this.#context.modules.get(step.module)?.order === null) return null;
    const dispatch = this.#open.get(callKey(step));
    if (dispatch === undefined) {
      throw internalError(`the plan leaves ${callKey(step)} without entering it`);
    }
    return dispatch;
  }

  async #unwind(error: unknown): Promise<unknown> {
    let thrown = error;
    for (const dispatch of [...this.#open.values()].reverse()) {
      thrown = await dispatch.unwind(thrown);
    }
    this.#open.clear();
    return thrown;
  }
}

function callKey(step: { readonly module: string; readonly callIndex: number }): string {
  return `${step.module}#${step.callIndex}`;
}

function pick(values: ReadonlyMap<string, Tensor>, names: readonly string[]): TensorMap {
  const picked = emptyTensorMap();
  for (const name of names) {
    const value = values.get(name);
    if (value === undefined) throw internalError(`value "${name}" was not computed`);
    picked[name] = value;
  }
  return picked;
}

const LAST_READS = new WeakMap<readonly PlanStep[], readonly (readonly string[])[]>();

/** For each step the values that no later step reads. */
function lastReads(steps: readonly PlanStep[]): readonly (readonly string[])[] {
  const known = LAST_READS.get(steps);
  if (known !== undefined) return known;
  const last = new Map<string, number>();
  for (const [index, step] of steps.entries()) {
    const reads = step.kind === "segment" || step.kind === "module" ? step.inputs : step.values;
    for (const name of reads) last.set(name, index);
  }
  const byStep: string[][] = steps.map(() => []);
  for (const [name, index] of last) byStep[index]?.push(name);
  LAST_READS.set(steps, byStep);
  return byStep;
}
