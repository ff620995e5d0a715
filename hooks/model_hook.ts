// What a hook is: the base class that plugin authors extend, what a hook may know of its module and
// of the call, and which of its methods exist. It knows nothing of registries, order or sessions.
// Invariant: a method that a hook does not need is absent, not a no-op, so that "implemented" is a
// plain `typeof` check and the planner never cuts a graph for a method that does nothing.

import type { TensorMap } from "../tensor/tensor.ts";
import type { ResidencyRequest } from "./residency_request.ts";

/**
 * What a hook needs of its module, and with it what the run costs: `observe` only reads (a tap),
 * `edit` changes inputs or outputs (a cut), `replace` runs instead of the module (a cut), and
 * `residency` decides where weights lie and sees tensors without changing them.
 */
export type HookAccess = "observe" | "edit" | "replace" | "residency";

/** What a hook may know of the module that it hooks. */
export interface ModuleFacts {
  /** The module's path, such as `encoder.layer.0.attention`. */
  readonly path: string;
  /** The class that exported it, such as `BertSelfAttention`, or null when the file does not say. */
  readonly className: string | null;
  /** How many times one run of the model calls this module. */
  readonly callCount: number;
}

/** One forward call of one module: the same object for every hook of that call. */
export interface ForwardCall {
  /** The module. */
  readonly module: ModuleFacts;
  /** Which call of this module within this run of the model, from 0. */
  readonly callIndex: number;
  /** The names of the module's inputs, in order. */
  readonly inputNames: readonly string[];
  /** The names of the module's outputs, in order. */
  readonly outputNames: readonly string[];
  /** Which run of the model, from 0. */
  readonly runId: number;
  /** The step that `traceStep` set around the run, or null. */
  readonly step: number | null;
  /** The state context that `withContext` set around the run, or `"default"`. */
  readonly context: string;
  /** The caller's signal. Hookline checks it before every hook; a slow hook may watch it too. */
  readonly signal: AbortSignal | undefined;
}

/**
 * The forward that a replacing hook stands in for. Without an argument it gets the inputs that
 * `newForward` got; given a map, the named inputs change. Await it before `newForward` returns.
 */
export type OriginalForward = (inputs?: TensorMap) => Promise<TensorMap>;

/** What `preForward` and `postForward` may return: nothing, or the tensors that change. */
export type PhaseResult =
  | TensorMap
  | undefined
  | void
  | Promise<TensorMap | undefined | void>;

/** The name of a method that Hookline calls on a hook. */
export type HookPhase =
  | "onAttach"
  | "preForward"
  | "newForward"
  | "postForward"
  | "onUnwind"
  | "resetState"
  | "onDetach";

/**
 * A hook on one module: extend it, name it, declare its access, and implement the methods it needs.
 *
 * Tensors that a hook is given are shared with others: never write into their data, return a new
 * tensor instead. Returned maps may be partial; only the tensors that they name change. What a hook
 * throws fails the run as HOOK_THROWN, after every hook that had been entered was unwound.
 *
 * @example
 * ```ts
 * import { float32, type ForwardCall, ModelHook, type TensorMap } from "@hookline/hookline";
 *
 * class Halve extends ModelHook {
 *   override readonly name = "halve";
 *   override readonly access = "edit";
 *   override postForward(_call: ForwardCall, outputs: TensorMap): TensorMap {
 *     return Object.fromEntries(
 *       Object.entries(outputs).map(([name, { shape, data }]) => [
 *         name,
 *         float32(shape, (data as Float32Array).map((value) => value / 2)),
 *       ]),
 *     );
 *   }
 * }
 * console.log(new Halve().access); // edit
 * ```
 */
export abstract class ModelHook {
  /** Unique per module; `^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`. Decides the order among hooks. */
  abstract readonly name: string;
  /** What the hook needs. Checked both ways against the methods it implements. */
  readonly access: HookAccess = "observe";
  /** Names of hooks that stand inside this one: its `preForward` runs before theirs. Absent names are ignored. */
  readonly before: readonly string[] = [];
  /** Names of hooks that stand outside this one: its `preForward` runs after theirs. Absent names are ignored. */
  readonly after: readonly string[] = [];
  /** Names of hooks that must be registered on the module when a run starts. Says nothing about order. */
  readonly requires: readonly string[] = [];
  /** Observers only: whether to see tensors before (`raw`) or after (`final`) all other hooks changed them. */
  readonly observes: "raw" | "final" = "final";
  /**
   * Whether the hook wants its module's inputs. When false, `preForward` gets an empty map and
   * `postForward` gets null, and the planner need not fetch them. Left undefined it means: true when
   * the hook implements `preForward` and is not a residency hook. A replacing hook always reads them.
   */
  readonly readsInputs?: boolean;
  /** Whether the hook may return tensors with other dimension sizes. The rank stays in any case. */
  readonly changesShape: boolean = false;
  /** Whether `onUnwind` also runs when this hook's own `preForward` threw. */
  readonly unwindSelf: boolean = false;
  /** How often one `newForward` may call the original. */
  readonly maxOriginalCalls: number = 1;
  /** Hooks of access `residency` only: where the module's weights are to be. Without it, only cut. */
  readonly residency?: ResidencyRequest;

  /**
   * Whether the hook takes part in the run that is about to start; a hook without it takes part in
   * every run. Asked synchronously, once or more, in the caller's async context. False leaves the hook
   * out of this run as if it were not registered: no tap, no cut, no cost. It must not throw.
   */
  takesPart?(): boolean;

  /** Runs once, synchronously, when the hook is registered. Throwing leaves it unregistered. */
  onAttach?(module: ModuleFacts): void;

  /** Runs once after removal, when no running call holds the hook any more. */
  onDetach?(module: ModuleFacts): void | Promise<void>;

  /** Runs before the forward. An `edit` or `replace` hook may return inputs that change. */
  preForward?(call: ForwardCall, inputs: TensorMap): PhaseResult;

  /** Runs instead of the forward and returns every output. Only for `replace`, which must have it. */
  newForward?(
    call: ForwardCall,
    inputs: TensorMap,
    original: OriginalForward,
  ): TensorMap | Promise<TensorMap>;

  /**
   * Runs after the forward. An `edit` or `replace` hook may return outputs that change. `inputs` are
   * those that the forward was given, after every `preForward` (for a raw observer: before), and
   * null when the hook does not read inputs.
   */
  postForward?(
    call: ForwardCall,
    outputs: TensorMap,
    inputs: TensorMap | null,
  ): PhaseResult;

  /** Runs instead of `postForward`, exactly once, when the call failed after this hook was entered. */
  onUnwind?(call: ForwardCall, error: unknown): void | Promise<void>;

  /** Forgets what the hook gathered over earlier runs; with several modules, for this one. */
  resetState?(module: ModuleFacts): void;
}

// A Record, so that a phase added to the type and forgotten here does not compile.
const PHASES: Readonly<Record<HookPhase, true>> = {
  onAttach: true,
  preForward: true,
  newForward: true,
  postForward: true,
  onUnwind: true,
  resetState: true,
  onDetach: true,
};

/** The methods that a hook implements, in the order of its life. */
export function hookPhases(hook: ModelHook): readonly HookPhase[] {
  return (Object.keys(PHASES) as HookPhase[])
    .filter((phase) => typeof hook[phase] === "function");
}
