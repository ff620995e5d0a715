/**
 * First-block cache: the first block always runs; when what it adds has hardly changed since the blocks
 * after it last ran, they are skipped and their last effect is added instead.
 *
 * Source: FirstBlockCache of diffusers 0.35 (`hooks/first_block_cache.py`).
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
import { difference, type FloatArray, pairStreams } from "./streams.ts";

export type { CacheStatistics } from "./cache_state.ts";
export type { StepCache, StepCacheOptions } from "./step_cache.ts";
export type { Streams } from "./streams.ts";

const OPTIONS: readonly string[] = [
  "blocks",
  "threshold",
  "streams",
  "maxConsecutiveSkips",
] satisfies (keyof FirstBlockCacheOptions)[];
const NAME = "first-block-cache";

/** Options of {@linkcode firstBlockCache}. */
export interface FirstBlockCacheOptions extends StepCacheOptions {
  /** The blocks in order: siblings that run one after the other, at least two. */
  readonly blocks: ModuleSelector;
  /** Relative change of the first block's effect below which the others are skipped; 0 never skips. */
  readonly threshold: number;
}

/** Remembers what the first block added in this step. */
class FirstBlock extends ModelHook {
  override readonly name = NAME;
  override readonly readsInputs = true;

  constructor(readonly states: StateManager<CacheState>) {
    super();
  }

  override postForward(call: ForwardCall, outputs: TensorMap, inputs: TensorMap | null): void {
    const [output] = call.outputNames;
    const after = outputs[output ?? ""];
    if (inputs === null || output === undefined || after === undefined) return;
    const pairs = pairStreams(call.module.path, inputs, { [output]: after }, undefined);
    const before = inputs[pairs[output] ?? ""];
    if (before !== undefined) this.states.get().incoming = difference(after, before) as FloatArray;
  }
}

/**
 * Makes the cache. One cache a model: two that replace the same blocks are refused.
 *
 * Results are those of the model itself at threshold 0; above it the error grows with the threshold.
 *
 * @throws {HooklineError} OPTION_INVALID for a negative threshold; when attached, OPTION_INVALID for
 * fewer than two blocks, MODULE_SPAN_INVALID when they are not consecutive, HOOK_REPLACE_CONFLICT when
 * another hook replaces them.
 *
 * @example
 * ```ts
 * import { openModel } from "@hookline/hookline";
 * import { firstBlockCache } from "@hookline/hookline/plugins/first-block-cache";
 * await using model = await openModel("bert.onnx");
 * const cache = firstBlockCache({ blocks: "encoder.layer.*", threshold: 0.1 });
 * using _attached = cache.attach(model, { modelName: "bert" }) as Disposable;
 * console.log(model.plan().kind); // split
 * ```
 */
export function firstBlockCache(options: FirstBlockCacheOptions): StepCache {
  requireKnown(options, OPTIONS);
  const threshold = checkedNumber("threshold", options.threshold, 0);
  const states = new StateManager((_context) => new CacheState());
  const policy: SkipPolicy = {
    name: NAME,
    remembersEveryStep: false,
    maySkip: (_state, { change, size }) => threshold > 0 && change / (size + 1e-8) < threshold,
  };
  return {
    name: NAME,
    attach(model: Model): Disposable {
      const [first, ...rest] = model.select(options.blocks).map((module) => module.path);
      if (first === undefined || rest.length === 0) {
        throw new HooklineError("OPTION_INVALID", {
          message: `cannot cache ${rest.length + 1} block of "${model.label}": wanted at least two`,
          fix: "name all blocks of the loop, the first one too",
          details: { option: "blocks" },
        });
      }
      using stack = new DisposableStack();
      const span = new CachedSpan(policy, states, options, false);
      stack.use(spanRegistry(model, rest).register(span, { plugin: NAME }));
      stack.use(model.registry(first).register(new FirstBlock(states), { plugin: NAME }));
      return stack.move();
    },
    reset: (context) => void states.reset(context),
    statistics: () => states.peek()?.statistics ?? null,
  };
}
