// One run of one plan: feeds segments, calls hooks in between, and carries values from step to step. All
// state of a run lies in one object, so that many runs of one model can be in flight at once. It knows
// no ONNX and no engine beyond what `EngineSession` runs.
//
// Invariant: every hook call that was entered is left or unwound, exactly once, last entered first.

import { internalError } from "../errors/hookline_error.ts";
import { ModuleDispatch } from "../hooks/dispatch.ts";
import type { ForwardCall, HookPhase, ModuleFacts } from "../hooks/model_hook.ts";
import type { HookOrder } from "../hooks/order.ts";
import type { GraphModule, ModuleCall } from "../graph/graph_module.ts";
import { copyTensor, emptyTensorMap, type Tensor, type TensorMap } from "../tensor/tensor.ts";
import type { RunValue, RunValueMap } from "../sessions/device_tensor.ts";
import type { ChainRunOptions } from "../sessions/engine.ts";
import type { CompiledPlan } from "./compiled_plan.ts";
import { DeviceValues, type HookSide } from "./device_values.ts";
import { PrivateTensors } from "./residency/private_tensors.ts";
import type { ResidencyRun } from "./residency/residency_run.ts";
import type { EventStep, ModuleStep, Plan, PlanStep, SegmentStep } from "./plan.ts";
import { type ChainedRow, readsOf, type SegmentRow } from "./segment_rows.ts";

/** A hooked module as a run needs it. */
export interface RunModule {
  readonly facts: ModuleFacts;
  readonly calls: readonly ModuleCall[];
  /** Its hooks, frozen for this run; null when the plan cuts here without any hook. */
  readonly order: HookOrder | null;
}

/** The modules that a plan names, as a run needs them. */
export function runModules(
  plan: Plan,
  { find, orderOf }: {
    readonly find: (path: string) => GraphModule;
    /** The hooks that the run holds for a module. */
    readonly orderOf: (path: string) => HookOrder | null;
  },
): ReadonlyMap<string, RunModule> {
  const modules = new Map<string, RunModule>();
  const add = (steps: readonly PlanStep[]): void => {
    for (const step of steps) {
      if (step.kind === "segment") continue;
      if (!modules.has(step.module)) {
        const { path, className, calls } = find(step.module);
        const facts = { path, className, callCount: calls.length };
        modules.set(path, { facts, calls, order: orderOf(path) });
      }
      if (step.kind === "module") add(step.steps);
    }
  };
  add(plan.steps);
  return modules;
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

/** What one region of a run holds: its values, and its calls that were entered and not left, in order. */
interface RegionState {
  readonly values: Map<string, RunValue>;
  /** What came in from outside, which is not the region's to release. */
  readonly given: RunValueMap;
  readonly open: Map<string, ModuleDispatch>;
}

/** Methods of hooks that are not called within a run. */
const BESIDE_RUNS: ReadonlySet<HookPhase> = new Set(["onAttach", "resetState", "onDetach"]);

/** One run. */
export class Execution {
  readonly #context: ExecutionContext;
  #feeds: TensorMap = emptyTensorMap();
  /** Segments that run without coming back, by the first of them. */
  #rows: ReadonlyMap<PlanStep, ChainedRow> = new Map();
  /** This run's way through the streamed modules; null when all weights stay. */
  #residency: ResidencyRun | null = null;
  /** What nobody but sessions saw, where memory is short; null elsewhere. */
  #private: PrivateTensors | null = null;
  /** What stays on a device between segments; null where there is none. */
  #device: DeviceValues | null = null;

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
    const { compiled, inputs, modules } = this.#context;
    const { steps, outputs } = compiled.plan;
    this.#feeds = feeds;
    this.#rows = compiled.rowsBeside(compiled.residency === null ? [] : seenModules(modules));
    if (compiled.residency !== null) {
      this.#residency = compiled.residency.begin();
      this.#private = new PrivateTensors();
    }
    if (compiled.hasDevice) this.#device = new DeviceValues();
    let made: Record<string, Tensor>;
    try {
      const values = await this.#region(steps, pickFeeds(feeds, inputs), outputs);
      made = await this.#device?.toHost(values) ?? values as TensorMap;
    } finally {
      this.#device?.end();
      await this.#residency?.end();
    }
    for (const name of outputs) {
      // An output that is an input: results share no memory with feeds.
      if (inputs.includes(name)) made[name] = copyTensor(made[name] as Tensor);
    }
    return made;
  }

  /**
   * Runs a region's steps. A region that fails unwinds its own calls before anybody outside hears of it:
   * a replacing hook may catch the failure of its original and go on.
   */
  async #region(
    steps: readonly PlanStep[],
    given: RunValueMap,
    wanted: readonly string[],
  ): Promise<Record<string, RunValue>> {
    const region: RegionState = { values: new Map(Object.entries(given)), given, open: new Map() };
    const last = lastReads(steps);
    const kept = new Set(wanted);
    try {
      for (let index = 0; index < steps.length;) {
        this.#context.signal?.throwIfAborted();
        const count = await this.#steps(steps[index] as PlanStep, region);
        // A long split holds a few activations, not all.
        for (const end = index + count; index < end; index++) {
          for (const name of last[index] ?? []) {
            if (kept.has(name)) continue;
            this.#drop(name, region);
            region.values.delete(name);
          }
        }
      }
      this.#context.signal?.throwIfAborted();
      return pick(region.values, wanted);
    } catch (error) {
      throw await unwound(region, error);
    }
  }

  /** Runs a step, or the row of segments that begins with it. Resolves to how many steps that were. */
  async #steps(step: PlanStep, region: RegionState): Promise<number> {
    const chained = this.#rows.get(step);
    if (chained !== undefined) {
      await this.#row(chained, region);
      return chained.row.segments.length;
    }
    if (step.kind === "segment") await this.#segment(step, region);
    else if (step.kind === "module") await this.#module(step, region);
    else await this.#event(step, region);
    return 1;
  }

  async #row({ row, chain }: ChainedRow, { values }: RegionState): Promise<void> {
    const { signal } = this.#context;
    const feeds = pick(values, row.inputs) as TensorMap;
    const outputs = await chain.run(feeds, { signal, ...this.#weightsOf(row) });
    for (const name of row.outputs) values.set(name, outputs[name] as RunValue);
    this.#private?.made(Object.values(outputs));
  }

  /** How the weights of a row's streamed modules come and go; nothing where all of them stay. */
  #weightsOf({ modules }: SegmentRow): Pick<ChainRunOptions, "around" | "before"> {
    const residency = this.#residency;
    if (residency === null) return {};
    const moduleAt = (index: number): string | null => modules[index] ?? null;
    return {
      around: (index, run) => {
        const module = moduleAt(index);
        return module === null ? run() : residency.around(module, run);
      },
      before: (index) => residency.pass(moduleAt(index)),
    };
  }

  async #segment(segment: SegmentStep, { values }: RegionState): Promise<void> {
    const { compiled, signal } = this.#context;
    const session = compiled.session(segment);
    const feeds = segment.isWhole ? this.#wholeFeeds(values) : pick(values, segment.inputs);
    const fetches = segment.outputs;
    const outputs = this.#device === null
      ? await session.run(feeds as TensorMap, fetches, { signal })
      : await this.#device.run(session, { feeds, fetches, keep: compiled.keeps(segment), signal });
    for (const name of fetches) values.set(name, outputs[name] as RunValue);
    this.#private?.made(Object.values(outputs as TensorMap));
  }

  /** Nothing reads a value of the region any more. */
  #drop(name: string, { values, given }: RegionState): void {
    if (name in given) return;
    const value = values.get(name);
    this.#private?.drop(value as Tensor | undefined);
    this.#device?.drop(value);
  }

  /** ONNX Runtime wants every input of a whole model, also those that no node uses. */
  #wholeFeeds(values: ReadonlyMap<string, RunValue>): RunValueMap {
    const feeds: Record<string, RunValue> = emptyTensorMap();
    for (const name of this.#context.inputs) {
      feeds[name] = values.get(name) ?? this.#feeds[name] as Tensor;
    }
    return feeds;
  }

  async #event(step: EventStep, region: RegionState): Promise<void> {
    const dispatch = step.kind === "enter" ? this.#enter(step, region) : entered(step, region);
    if (dispatch === null) return;
    const hooks = sideOf(dispatch, step.kind === "enter" ? "inputs" : "outputs");
    const given = await this.#shown(hooks, pick(region.values, step.values));
    if (step.kind === "enter") {
      await dispatch.enter(given);
      return;
    }
    const outputs = this.#goingOn(hooks, await dispatch.leave(given));
    region.open.delete(callKey(step));
    for (const name of step.values) {
      const before = region.values.get(name);
      if (before !== outputs[name] && !(name in region.given)) this.#device?.drop(before);
      region.values.set(name, outputs[name] as RunValue);
    }
  }

  async #module(step: ModuleStep, region: RegionState): Promise<void> {
    const dispatch = this.#enter(step, region);
    const inner = this.#forwardOf(step);
    let outputs: RunValueMap;
    if (dispatch === null) outputs = await inner(pick(region.values, step.inputs));
    else {
      const given = sideOf(dispatch, "inputs");
      const entered = await dispatch.enter(
        await this.#shown(given, pick(region.values, step.inputs)),
      );
      const inputs = this.#goingOn(given, entered);
      const computed = dispatch.hasReplacer
        ? await dispatch.replace(
          entered,
          async (tensors) => await this.#handedOver(await inner(tensors)),
        )
        : await inner(inputs);
      const made = sideOf(dispatch, "outputs");
      outputs = this.#goingOn(made, await dispatch.leave(await this.#shown(made, computed)));
      region.open.delete(callKey(step));
      for (const name of step.outputs) {
        const isOwn = computed[name] !== outputs[name] && !(name in region.given);
        if (isOwn) this.#device?.drop(computed[name]);
      }
    }
    for (const name of step.outputs) region.values.set(name, outputs[name] as RunValue);
  }

  /** Values as hooks get them. */
  #shown(hooks: HookSide, values: RunValueMap): TensorMap | Promise<TensorMap> {
    this.#private?.shown(values as TensorMap, hooks.order);
    return this.#device?.shownTo(hooks, values) ?? values as TensorMap;
  }

  /** Values as they go on after hooks. */
  #goingOn(hooks: HookSide, tensors: TensorMap): RunValueMap {
    return this.#device?.goingOn(hooks, tensors) ?? tensors;
  }

  /** What a replacing hook's original gives it: nobody else reads these values. */
  async #handedOver(values: RunValueMap): Promise<TensorMap> {
    if (this.#device === null) return values as TensorMap;
    const tensors = await this.#device.toHost(values);
    for (const value of Object.values(values)) this.#device.drop(value);
    return tensors;
  }

  /** What a module computes, its weights brought near where they are streamed. */
  #forwardOf(step: ModuleStep): (inputs: RunValueMap) => Promise<RunValueMap> {
    const forward = (inputs: RunValueMap): Promise<RunValueMap> =>
      this.#region(step.steps, inputs, step.outputs);
    const residency = this.#residency;
    if (residency === null || this.#context.compiled.residency?.isStreamed(step) !== true) {
      return forward;
    }
    return (inputs) => residency.around(step.module, () => forward(inputs));
  }

  /** The dispatch of a call that begins; null where the plan cuts without any hook. */
  #enter(step: EventStep | ModuleStep, region: RegionState): ModuleDispatch | null {
    const { compiled, modules, runId, step: stepIndex, context, signal } = this.#context;
    const module = modules.get(step.module);
    const call = module?.calls[step.callIndex];
    if (module === undefined || call === undefined) {
      throw internalError(`the plan names the unknown call ${callKey(step)}`);
    }
    if (module.order === null) return null;
    // Frozen, the names too: all hooks of the call read the one object.
    const forward: ForwardCall = Object.freeze({
      module: Object.freeze(module.facts),
      callIndex: step.callIndex,
      inputNames: Object.freeze(call.inputs),
      outputNames: Object.freeze(call.outputs),
      runId,
      step: stepIndex,
      context,
      signal,
    });
    const types = step.kind === "module" ? compiled.outputTypes(step) : undefined;
    const dispatch = new ModuleDispatch(
      module.order,
      forward,
      types === undefined ? {} : { outputTypes: types },
    );
    region.open.set(callKey(step), dispatch);
    return dispatch;
  }
}

/** The modules of which a hook has something to do in the run. */
function seenModules(modules: ReadonlyMap<string, RunModule>): readonly string[] {
  return [...modules].flatMap(([path, { order }]) => {
    if (order === null) return [];
    const isSeen = order.missing.length > 0 ||
      order.entering.some(({ phases }) => phases.some((phase) => !BESIDE_RUNS.has(phase)));
    return isSeen ? [path] : [];
  });
}

function sideOf({ order }: ModuleDispatch, side: HookSide["side"]): HookSide {
  return { order, side };
}

function entered(step: EventStep, region: RegionState): ModuleDispatch {
  const dispatch = region.open.get(callKey(step));
  if (dispatch === undefined) {
    throw internalError(`the plan leaves ${callKey(step)} without entering it`);
  }
  return dispatch;
}

/** The error to throw after every call that is open in the region was unwound, last entered first. */
async function unwound(region: RegionState, error: unknown): Promise<unknown> {
  let thrown = error;
  for (const dispatch of [...region.open.values()].reverse()) {
    thrown = await dispatch.unwind(thrown);
  }
  region.open.clear();
  return thrown;
}

function pickFeeds(feeds: TensorMap, names: readonly string[]): TensorMap {
  const picked = emptyTensorMap();
  for (const name of names) picked[name] = feeds[name] as Tensor;
  return picked;
}

function callKey(step: { readonly module: string; readonly callIndex: number }): string {
  return `${step.module}#${step.callIndex}`;
}

function pick(
  values: ReadonlyMap<string, RunValue>,
  names: readonly string[],
): Record<string, RunValue> {
  const picked: Record<string, RunValue> = emptyTensorMap();
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
    for (const name of readsOf(step)) last.set(name, index);
  }
  const byStep: string[][] = steps.map(() => []);
  for (const [name, index] of last) byStep[index]?.push(name);
  LAST_READS.set(steps, byStep);
  return byStep;
}
