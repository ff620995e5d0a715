/**
 * TeaCache: sums up how much the input of the blocks changes from step to step, rescaled by a polynomial
 * fitted to the model; while the sum stays below a threshold the blocks are skipped and their last effect
 * is added instead.
 *
 * Source: TeaCache (arXiv 2411.19108) as vLLM-Omni implements it: change mean|x−x'| / (mean|x'| + 1e-8),
 * five coefficients, highest power first.
 *
 * @module
 */

import {
  type ForwardCall,
  HooklineError,
  type Model,
  ModelHook,
  type ModuleSelector,
  StateManager,
  type TensorMap,
} from "../../mod.ts";
import { CacheState } from "./cache_state.ts";
import {
  CachedSpan,
  checkedNumber,
  requireKnown,
  type SkipPolicy,
  spanRegistry,
  type StepCache,
  type StepCacheOptions,
} from "./step_cache.ts";
import { type FloatArray, isFloat } from "./streams.ts";

export type { CacheStatistics } from "./cache_state.ts";
export type { StepCache, StepCacheOptions } from "./step_cache.ts";
export type { Streams } from "./streams.ts";

const OPTIONS: readonly string[] = [
  "blocks",
  "threshold",
  "coefficients",
  "signal",
  "streams",
  "maxConsecutiveSkips",
] satisfies (keyof TeaCacheOptions)[];
const NAME = "tea-cache";

/** Options of {@linkcode teaCache}. */
export interface TeaCacheOptions extends StepCacheOptions {
  /** The blocks in order: siblings that run one after the other. */
  readonly blocks: ModuleSelector;
  /** Accumulated relative change below which the blocks are skipped; 0 never skips. */
  readonly threshold: number;
  /** Polynomial that rescales the change, highest power first; the change itself by default. */
  readonly coefficients?: readonly number[];
  /** A module that runs before the blocks and whose output is compared; the blocks' input by default. */
  readonly signal?: string;
}

/** Remembers the output of the module whose change decides. */
class Signal extends ModelHook {
  override readonly name = NAME;

  constructor(readonly states: StateManager<CacheState>) {
    super();
  }

  override postForward(call: ForwardCall, outputs: TensorMap): void {
    const value = outputs[call.outputNames[0] ?? ""];
    if (value !== undefined && isFloat(value)) {
      this.states.get().incoming = (value.data as FloatArray).slice() as FloatArray;
    }
  }
}

/**
 * Makes the cache. One cache a model: two that replace the same blocks are refused.
 *
 * @throws {HooklineError} OPTION_INVALID for a negative threshold or another number of coefficients than
 * five; when attached, MODULE_SPAN_INVALID when the blocks are not consecutive, HOOK_REPLACE_CONFLICT
 * when another hook replaces them.
 *
 * @example
 * ```ts
 * import { openModel } from "@hookline/hookline";
 * import { teaCache } from "@hookline/hookline/plugins/tea-cache";
 * await using model = await openModel("bert.onnx");
 * const cache = teaCache({ blocks: "encoder.layer.*", threshold: 0.2 });
 * using _attached = cache.attach(model, { modelName: "bert" }) as Disposable;
 * console.log(model.plan().kind); // split
 * ```
 */
export function teaCache(options: TeaCacheOptions): StepCache {
  requireKnown(options, OPTIONS);
  const threshold = checkedNumber("threshold", options.threshold, 0);
  const coefficients = options.coefficients ?? [0, 0, 0, 1, 0];
  if (coefficients.length !== 5 || !coefficients.every(Number.isFinite)) {
    throw new HooklineError("OPTION_INVALID", {
      message:
        `cannot make a TeaCache with ${coefficients.length} coefficients: wanted five finite numbers`,
      fix: "give the model's five coefficients, highest power first",
      details: { option: "coefficients" },
    });
  }
  const states = new StateManager((_context) => new CacheState());
  const policy: SkipPolicy = {
    name: NAME,
    remembersEveryStep: true,
    maySkip(state, { change, size }) {
      const relative = change / (size + 1e-8);
      const rescaled = coefficients.reduce(
        (value, coefficient) => value * relative + coefficient,
        0,
      );
      state.accumulated += Math.abs(rescaled);
      return threshold > 0 && state.accumulated < threshold;
    },
  };
  return {
    name: NAME,
    attach(model: Model): Disposable {
      using stack = new DisposableStack();
      const paths = model.select(options.blocks).map((module) => module.path);
      const hook = new CachedSpan(policy, states, options, options.signal === undefined);
      stack.use(spanRegistry(model, paths).register(hook, { plugin: NAME }));
      if (options.signal !== undefined) {
        stack.use(model.registry(options.signal).register(new Signal(states), { plugin: NAME }));
      }
      return stack.move();
    },
    reset: (context) => void states.reset(context),
    statistics: () => states.peek()?.statistics ?? null,
  };
}
