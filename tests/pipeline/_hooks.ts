// Hooks made from functions, and one that scales what it sees.

import { type ForwardCall, ModelHook } from "../../hooks/model_hook.ts";
import { emptyTensorMap, float32, type TensorMap } from "../../tensor/tensor.ts";

type Writable<T> = { -readonly [Key in keyof T]?: T[Key] };

/** A hook with these fields and methods. */
export function hook(init: Writable<ModelHook> & { readonly name: string }): ModelHook {
  return new InitializedHook(init);
}

class InitializedHook extends ModelHook {
  override readonly name: string;

  constructor(init: Writable<ModelHook> & { readonly name: string }) {
    super();
    this.name = init.name;
    Object.assign(this, init);
  }
}

/** Float tensors with every element changed. */
export function mapped(tensors: TensorMap, change: (value: number) => number): TensorMap {
  const made = emptyTensorMap();
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    made[name] = float32(shape, (data as Float32Array).map(change));
  }
  return made;
}

/** Edits outputs. */
export function scaleOutputs(name: string, factor: number): ModelHook {
  return hook({
    name,
    access: "edit",
    postForward: (_call, outputs) => mapped(outputs, (value) => value * factor),
  });
}

/** Edits inputs. */
export function scaleInputs(name: string, factor: number): ModelHook {
  return hook({
    name,
    access: "edit",
    preForward: (_call, inputs) => mapped(inputs, (value) => value * factor),
  });
}

/** Notes `name phase module#call` for pre, post and unwind. */
export function logger(
  name: string,
  log: string[],
  init: Writable<ModelHook> = {},
): ModelHook {
  const note = (phase: string, call: ForwardCall): void =>
    void log.push(`${name} ${phase} ${call.module.path}#${call.callIndex}`);
  return hook({
    name,
    preForward: (call) => note("pre", call),
    postForward: (call) => note("post", call),
    onUnwind: (call) => note("unwind", call),
    ...init,
  });
}
