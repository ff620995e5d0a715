// The mechanism of both caches: a hook that replaces a span of blocks, runs it when a policy says so, and
// otherwise adds what the span added last time. It knows no particular policy. Invariant: a skipped step
// applies the residual exactly once, however many blocks the span has.

import {
  type ForwardCall,
  HooklineError,
  type HookRegistry,
  type Model,
  ModelHook,
  type OriginalForward,
  type Plugin,
  type StateManager,
  type Tensor,
  type TensorMap,
} from "../../mod.ts";
import type { CacheState, CacheStatistics, Residual } from "./cache_state.ts";
import {
  difference,
  type FloatArray,
  meanChange,
  pairStreams,
  type Streams,
  sum,
} from "./streams.ts";

/** Decides from the change of a signal. */
export interface SkipPolicy {
  /** The name of the plugin and its hooks. */
  readonly name: string;
  /** True when this step may be skipped; may keep its own sums in the state. */
  maySkip(state: CacheState, change: { readonly change: number; readonly size: number }): boolean;
  /** Whether the step's signal is remembered also when the span is skipped. */
  readonly remembersEveryStep: boolean;
}

/** A step cache on a model: a plugin whose memory can be read and reset. */
export interface StepCache extends Plugin {
  /** Forgets what was remembered, in one context or in all: call it between generations. */
  reset(context?: string): void;
  /** What was decided in the current context since the last reset; null before the first step. */
  statistics(): CacheStatistics | null;
}

/** What both caches share. */
export interface StepCacheOptions {
  /** Which input each output of the span continues; needed only where shapes leave it open. */
  readonly streams?: Streams;
  /** At most this many skips in a row; no limit by default. */
  readonly maxConsecutiveSkips?: number;
}

/** The hook that stands for the span. */
export class CachedSpan extends ModelHook {
  override readonly name: string;
  override readonly access = "replace";

  /** Makes the hook; `signalOf` gives the step's signal from the span's inputs, or null for `incoming`. */
  constructor(
    readonly policy: SkipPolicy,
    readonly states: StateManager<CacheState>,
    readonly options: StepCacheOptions,
    readonly usesOwnInput: boolean,
  ) {
    super();
    this.name = policy.name;
  }

  override async newForward(
    call: ForwardCall,
    inputs: TensorMap,
    original: OriginalForward,
  ): Promise<TensorMap> {
    const state = this.states.get();
    state.beginStep(call.step);
    const { residuals } = state;
    const signal = this.#signal(call, inputs, state);
    const change = state.signal === null || signal === null || state.signal.length !== signal.length
      ? { change: NaN, size: NaN }
      : meanChange(signal, state.signal);
    const relative = change.change / (change.size + 1e-8);
    const isComparable = residuals !== null && !Number.isNaN(relative) &&
      continues(residuals, inputs);
    const skip = isComparable &&
      state.consecutiveSkips < (this.options.maxConsecutiveSkips ?? Infinity) &&
      this.policy.maySkip(state, change);
    if (!skip || this.policy.remembersEveryStep) state.signal = signal;
    state.count(relative, skip);
    if (skip) return withResiduals(residuals, inputs);
    const outputs = await original();
    state.accumulated = 0;
    state.residuals = residualsOf(call, { inputs, outputs, streams: this.options.streams });
    return outputs;
  }

  override resetState(): void {
    this.states.reset();
  }

  #signal(call: ForwardCall, inputs: TensorMap, state: CacheState): FloatArray | null {
    if (!this.usesOwnInput) {
      const incoming = state.incoming;
      state.incoming = null;
      return incoming;
    }
    const name = Object.values(this.options.streams ?? {})[0] ?? call.inputNames[0];
    return name === undefined ? null : inputs[name]?.data as FloatArray;
  }
}

/** True when the remembered residuals can be added to these inputs: a changed size begins anew. */
function continues(residuals: readonly Residual[], inputs: TensorMap): boolean {
  return residuals.every(({ input, values }) => inputs[input]?.data.length === values.length);
}

function withResiduals(residuals: readonly Residual[], inputs: TensorMap): TensorMap {
  return Object.fromEntries(
    residuals.map(({ output, input, values }) => [output, sum(inputs[input] as Tensor, values)]),
  );
}

function residualsOf(
  call: ForwardCall,
  { inputs, outputs, streams }: {
    readonly inputs: TensorMap;
    readonly outputs: TensorMap;
    readonly streams: Streams | undefined;
  },
): readonly Residual[] {
  const pairs = pairStreams(call.module.path, inputs, outputs, streams);
  return Object.entries(pairs).map(([output, input]) => ({
    output,
    input,
    values: difference(outputs[output] as Tensor, inputs[input] as Tensor),
  }));
}

/** Refuses options that are not `known`. */
export function requireKnown(options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot make a step cache: there is no option "${unknown.slice(0, 80)}"`,
    fix: `use some of ${known.join(", ")}`,
    details: { option: unknown.slice(0, 80) },
  });
}

/** A number option within its range, or the error that names it. */
export function checkedNumber(name: string, value: number, least: number): number {
  if (Number.isFinite(value) && value >= least) return value;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot make a step cache with ${name} ${value}: wanted a number of at least ${least}`,
    fix: `give ${name} a number of at least ${least}; 0 computes every step`,
    details: { option: name },
  });
}

/** The registry of consecutive sibling modules as one. */
export function spanRegistry(model: Model, paths: readonly string[]): HookRegistry {
  const [only] = paths;
  if (paths.length === 1 && only !== undefined) return model.registry(only);
  const parent = (only ?? "").split(".").slice(0, -1).join(".");
  const names = paths.map((path) =>
    (path.split(".").at(-1) ?? "").replace(/[\\{},*?[\]]/g, "\\$&")
  );
  return model.registry(`${parent === "" ? "" : `${parent}.`}{${names.join(",")}}`);
}
