// The `original` that a replacing hook gets, and the watch over how it is used. It does not know what
// original runs. Invariant: after newForward has settled no original of its call is running or can
// start, so a session is never released, nor a hook unwound, under a run that still uses it.

import { HooklineError } from "../errors/hookline_error.ts";
import type { TensorMap } from "../tensor/tensor.ts";
import type { RegisteredHook } from "./admission.ts";
import { callDetails } from "./hook_fault.ts";
import type { ForwardCall } from "./model_hook.ts";
import { mergeResult, type TensorTypes } from "./result_check.ts";

/** What the guard found when it closed. */
export interface ClosedGuard {
  /** HOOK_ORIGINAL_MISUSED when original was called too often or not awaited, else null. */
  readonly misuse: HooklineError | null;
  /** What originals that nobody awaited failed with. */
  readonly failures: readonly unknown[];
}

/** Watches one `newForward`. */
export class OriginalGuard {
  readonly #hook: RegisteredHook;
  readonly #call: ForwardCall;
  readonly #inputs: TensorMap;
  readonly #run: (inputs: TensorMap) => TensorMap | Promise<TensorMap>;
  readonly #own = new Set<unknown>();
  readonly #pending = new Set<Promise<unknown>>();
  #calls = 0;
  #closed = false;
  #misuse: HooklineError | null = null;
  #lastOutputs: TensorMap | null = null;

  /** Watches one `newForward` of `hook`; `run` is what original runs. */
  constructor(
    hook: RegisteredHook,
    { call, inputs, run }: {
      readonly call: ForwardCall;
      readonly inputs: TensorMap;
      readonly run: (inputs: TensorMap) => TensorMap | Promise<TensorMap>;
    },
  ) {
    this.#hook = hook;
    this.#call = call;
    this.#inputs = inputs;
    this.#run = run;
  }

  /** What original last returned: tensors whose types a result must have. */
  get outputTypes(): TensorTypes | null {
    return this.#lastOutputs;
  }

  /** True for an error that is Hookline's or the forward's, not the hook's own. */
  isNotTheHooks(error: unknown): boolean {
    return this.#own.has(error);
  }

  /** The function to hand to `newForward`. */
  readonly original = (inputs?: TensorMap): Promise<TensorMap> => {
    const promise = this.#start(inputs);
    this.#pending.add(promise);
    const done = (): void => {
      this.#pending.delete(promise);
    };
    // Handling the rejection here keeps an unawaited original from ending the process as an
    // unhandled rejection; `close` reports it.
    promise.then(done, done);
    return promise;
  };

  /** Ends the watch when `newForward` has settled; waits for originals that still run. */
  close(): ClosedGuard | Promise<ClosedGuard> {
    this.#closed = true;
    if (this.#pending.size === 0) return { misuse: this.#misuse, failures: [] };
    const misuse = this.#misuse ??
      this.#misused(
        "returned before original() had ended",
        "await original() before newForward returns",
      );
    return Promise.allSettled([...this.#pending]).then((ends) => ({
      misuse,
      failures: ends.flatMap((end) => end.status === "rejected" ? [end.reason as unknown] : [])
        .filter((reason) => reason !== misuse),
    }));
  }

  async #start(inputs: TensorMap | undefined): Promise<TensorMap> {
    if (this.#closed) {
      throw this.#misused(
        "called original() after newForward had returned",
        "call original() inside newForward and await it",
      );
    }
    if (this.#calls >= this.#hook.maxOriginalCalls) {
      this.#misuse ??= this.#misused(
        `called original() more than ${this.#hook.maxOriginalCalls} times`,
        "call original() once, or raise maxOriginalCalls",
      );
      throw this.#misuse;
    }
    this.#calls++;
    try {
      const given = mergeResult(
        {
          hook: this.#hook,
          phase: "newForward",
          call: this.#call,
          what: "original's inputs",
          types: this.#inputs,
        },
        this.#inputs,
        inputs,
      );
      const outputs = await this.#run(given);
      this.#lastOutputs = outputs;
      return outputs;
    } catch (error) {
      this.#own.add(error);
      throw error;
    }
  }

  #misused(fault: string, fix: string): HooklineError {
    const error = new HooklineError("HOOK_ORIGINAL_MISUSED", {
      message: `hook "${this.#hook.name}" ${fault}, on "${this.#call.module.path}"`,
      fix,
      details: callDetails(this.#hook, "newForward", this.#call),
    });
    this.#own.add(error);
    return error;
  }
}
