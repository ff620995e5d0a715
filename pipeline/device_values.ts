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

  /** What the hooks of a module get: copies, unless none of them can be given a tensor. */
  async shownTo(order: HookOrder, values: RunValueMap): Promise<TensorMap> {
    return seesTensors(order) ? await this.toHost(values) : values as TensorMap;
  }

  /**
   * What goes on after hooks have seen `tensors`: where they could only look, the values on the device
   * that the tensors are copies of. A hook that may write may have written into its copy.
   */
  goingOn(order: HookOrder, tensors: TensorMap): RunValueMap {
    if (order.accesses.some((access) => access === "edit" || access === "replace")) return tensors;
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
}

/** False when no hook of the module can be given a tensor. */
export function seesTensors(order: HookOrder): boolean {
  return order.entering.some(({ methods }) =>
    methods.preForward !== null || methods.newForward !== null || methods.postForward !== null
  );
}
