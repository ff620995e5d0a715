// Makes hooks, calls and tensors for the tests of hooks/, with nothing behind them.

import { admitHook, type RegisteredHook } from "../../hooks/admission.ts";
import { type ForwardCall, ModelHook, type ModuleFacts } from "../../hooks/model_hook.ts";
import { type HookOrder, hookOrder } from "../../hooks/order.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import { float32, type TensorMap } from "../../tensor/tensor.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export type HookInit = Partial<Writable<ModelHook>> & { readonly name: string };

class TestHook extends ModelHook {
  override readonly name: string;
  constructor(init: HookInit) {
    super();
    this.name = init.name;
    Object.assign(this, init);
  }
}

/** A hook from its fields and methods; without methods an observer that does nothing. */
export function hook(init: HookInit): ModelHook {
  const fires = init.preForward ?? init.postForward ?? init.newForward;
  return new TestHook(
    fires === undefined ? { postForward: () => undefined, ...init } : init,
  );
}

export const MODULE: ModuleFacts = Object.freeze({
  path: "encoder.layer.0",
  className: "BertLayer",
  callCount: 1,
});

export function call(init: Partial<ForwardCall> = {}): ForwardCall {
  return {
    module: MODULE,
    callIndex: 0,
    inputNames: ["x"],
    outputNames: ["y"],
    runId: 0,
    step: null,
    context: "default",
    signal: undefined,
    ...init,
  };
}

export function admitted(...hooks: readonly ModelHook[]): RegisteredHook[] {
  return hooks.map((one) => admitHook(one, MODULE.path, { chain: true }));
}

export function order(...hooks: readonly ModelHook[]): HookOrder {
  return hookOrder(admitted(...hooks), MODULE.path);
}

/** A map with one scalar. */
export function x(value: number): TensorMap {
  return { x: float32([1], [value]) };
}

export function y(value: number): TensorMap {
  return { y: float32([1], [value]) };
}

export function valueOf(map: TensorMap, name: "x" | "y"): number {
  return (map[name]?.data as Float32Array | undefined)?.[0] ?? NaN;
}

/** An editing hook that changes both values by `change`, which should not commute with the others'. */
export function editor(
  name: string,
  change: (value: number) => number,
  more: Partial<HookInit> = {},
): ModelHook {
  return hook({
    name,
    access: "edit",
    preForward: (_call, inputs) => x(change(valueOf(inputs, "x"))),
    postForward: (_call, outputs) => y(change(valueOf(outputs, "y"))),
    ...more,
  });
}

/** Writes each phase into `log` as `phase name`. */
export function logger(
  name: string,
  log: string[],
  more: Partial<HookInit> = {},
): ModelHook {
  return hook({
    name,
    access: "edit",
    preForward: () => void log.push(`pre ${name}`),
    postForward: () => void log.push(`post ${name}`),
    onUnwind: () => void log.push(`unwind ${name}`),
    onAttach: () => void log.push(`attach ${name}`),
    onDetach: () => void log.push(`detach ${name}`),
    resetState: () => void log.push(`reset ${name}`),
    ...more,
  });
}

/** A forward that logs itself and gives y = x + 100. */
export function forward(log: string[] = []) {
  return (inputs: TensorMap): TensorMap => {
    log.push("forward");
    return y(valueOf(inputs, "x") + 100);
  };
}

/** A check for assert.throws and assert.rejects: the error's code, and texts its message holds. */
export function coded(code: string, ...texts: readonly string[]) {
  return (error: unknown): boolean => {
    if (!(error instanceof HooklineError)) throw error;
    if (error.code !== code) throw error;
    for (const text of texts) {
      if (!error.message.includes(text)) {
        throw new Error(`"${error.message}" lacks "${text}"`);
      }
    }
    if (error.fix === "") throw new Error("the error has no fix");
    return true;
  };
}

export function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, index) =>
    permutations([...items.slice(0, index), ...items.slice(index + 1)])
      .map((rest) => [item, ...rest])
  );
}
