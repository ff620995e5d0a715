// The values of one run that stay on a device between its segments. Hooks never get one: what they see is
// a copy, and what they return goes up again. It knows no engine beyond `EngineSession.runOnDevice`.
//
// Invariant: every value is released when its last reader has run, and at the latest with its run,
// however that ends.

import type { HookOrder } from "../hooks/order.ts";
import { DeviceTensor, type RunValue, type RunValueMap } from "../sessions/device_tensor.ts";
import { emptyTensorMap, type Tensor, type TensorMap } from "../tensor/tensor.ts";
import type { RunnableSession } from "./residency/weight_stream.ts";

/** One execution of a segment. */
export interface SegmentRun {
  readonly feeds: RunValueMap;
  readonly fetches: readonly string[];
  /** Outputs that a later segment reads. */
  readonly keep: readonly string[];
  readonly signal: AbortSignal | undefined;
}

/** The hooks of a module, before its forward or behind it. */
export interface HookSide {
  readonly order: HookOrder;
  readonly side: "inputs" | "outputs";
}

/** The values of one run on a device. */
export class DeviceValues {
  /** Those that are not released, with the copy that a hook or an output asked for. */
  readonly #held = new Map<DeviceTensor, Promise<Tensor> | null>();
  readonly #originals = new WeakMap<Tensor, DeviceTensor>();

  /** Runs a segment; what stays on the device belongs to this run. */
  async run(session: RunnableSession, call: SegmentRun): Promise<RunValueMap> {
    const { feeds, fetches, keep, signal } = call;
    if (session.runOnDevice === undefined) {
      return await session.run(await this.toHost(feeds), fetches, { signal });
    }
    const outputs = await session.runOnDevice(feeds, fetches, { keep, signal });
    for (const value of Object.values(outputs)) {
      if (value instanceof DeviceTensor) this.#held.set(value, null);
    }
    return outputs;
  }

  /** Values as tensors: those on the device are copied, once for the whole run. */
  async toHost(values: RunValueMap): Promise<TensorMap> {
    const tensors = emptyTensorMap();
    for (const [name, value] of Object.entries(values)) {
      tensors[name] = value instanceof DeviceTensor ? await this.#copyOf(value) : value;
    }
    return tensors;
  }

  /** Inputs or outputs of a module as its hooks get them: copies, unless none of them looks at these. */
  async shownTo({ order, side }: HookSide, values: RunValueMap): Promise<TensorMap> {
    const isSeen = side === "inputs"
      ? order.readsInputs || order.replacers.length > 0
      : order.leaving.some(({ methods }) => methods.postForward !== null);
    return isSeen ? await this.toHost(values) : values as TensorMap;
  }

  /**
   * What goes on after hooks have had `tensors`: where they could only look, the values on the device that
   * the tensors are copies of. A hook that may write may have written into its copy.
   */
  goingOn(hooks: HookSide, tensors: TensorMap): RunValueMap {
    if (mayWrite(hooks)) {
      for (const tensor of Object.values(tensors)) this.#forget(tensor);
      return tensors;
    }
    const values: Record<string, RunValue> = emptyTensorMap();
    for (const [name, tensor] of Object.entries(tensors)) {
      const original = this.#originals.get(tensor);
      values[name] = original === undefined || original.released ? tensor : original;
    }
    return values;
  }

  /** Nothing reads this value any more. */
  drop(value: RunValue | undefined): void {
    if (!(value instanceof DeviceTensor) || !this.#held.delete(value)) return;
    value.release();
  }

  /** Releases what is left. */
  end(): void {
    for (const value of this.#held.keys()) value.release();
    this.#held.clear();
  }

  async #copyOf(value: DeviceTensor): Promise<Tensor> {
    const known = this.#held.get(value);
    if (known != null) return await known;
    const reading = value.read();
    this.#held.set(value, reading);
    const tensor = await reading;
    this.#originals.set(tensor, value);
    return tensor;
  }

  /** A tensor is no longer the copy of what it was read from. */
  #forget(tensor: Tensor): void {
    const original = this.#originals.get(tensor);
    if (original === undefined) return;
    this.#originals.delete(tensor);
    if (this.#held.has(original)) this.#held.set(original, null);
  }
}

function mayWrite({ order, side }: HookSide): boolean {
  if (side === "inputs" && order.replacers.length > 0) return true;
  return order.entering.some(({ access, methods }) =>
    (access === "edit" || access === "replace") &&
    (side === "inputs" ? methods.preForward : methods.postForward) !== null
  );
}
