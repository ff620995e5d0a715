// The hooks of a capture: one per module and side, for all keys that record there. They only look, and
// take part in a run only where a collector in its async context wants something of them.

import { type ForwardCall, type Model, ModelHook, type TensorMap } from "../../mod.ts";
import { type Collector, type SlotPlace, visibleCollectors } from "./collector.ts";

/** What the hooks of one capture share. */
export interface CaptureIdentity {
  readonly capture: object;
  readonly model: Model;
}

/** Places of one module that one hook fills: one side, one moment. */
export interface HookedPlaces {
  /** The hook's name. */
  readonly name: string;
  readonly of: "output" | "input";
  readonly observes: "raw" | "final";
  readonly places: readonly SlotPlace[];
}

/** The hook that fills these places. */
export function captureHook(identity: CaptureIdentity, hooked: HookedPlaces): ModelHook {
  return hooked.of === "output"
    ? new OutputHook(identity, hooked)
    : new InputHook(identity, hooked);
}

class PlacesHook extends ModelHook {
  override readonly name: string;
  override readonly access = "observe";
  override readonly observes: "raw" | "final";
  readonly #identity: CaptureIdentity;
  readonly #places: readonly SlotPlace[];

  constructor(identity: CaptureIdentity, { name, observes, places }: HookedPlaces) {
    super();
    this.name = name;
    this.observes = observes;
    this.#identity = identity;
    this.#places = places;
  }

  override takesPart(): boolean {
    const visible = visibleCollectors();
    return visible.length > 0 &&
      this.#places.some((place) =>
        visible.some((collector) => collector.wants(this.#identity, place))
      );
  }

  protected record(call: ForwardCall, values: TensorMap): void | Promise<void> {
    const visible = visibleCollectors();
    if (visible.length === 0) return;
    const writing: Promise<void>[] = [];
    for (const place of this.#places) {
      const value = values[place.slot.value];
      if (place.slot.callIndex !== call.callIndex || value === undefined) continue;
      for (const collector of visible) {
        const put = this.#put(collector, call, place, value);
        if (put !== undefined) writing.push(put);
      }
    }
    if (writing.length > 0) return Promise.all(writing).then(() => {});
  }

  #put(
    collector: Collector,
    call: ForwardCall,
    place: SlotPlace,
    value: TensorMap[string],
  ): Promise<void> | undefined {
    const { capture, model } = this.#identity;
    if (!collector.wants(this.#identity, place)) return undefined;
    const source = { capture, model, label: model.label, runId: call.runId };
    return collector.put(source, place, value) ?? undefined;
  }
}

class OutputHook extends PlacesHook {
  override postForward(call: ForwardCall, outputs: TensorMap): void | Promise<void> {
    return this.record(call, outputs);
  }
}

class InputHook extends PlacesHook {
  override preForward(call: ForwardCall, inputs: TensorMap): void | Promise<void> {
    return this.record(call, inputs);
  }
}
