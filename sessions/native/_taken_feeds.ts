// The feeds of a run that another thread reads, as copies: JavaScript goes on meanwhile, and whoever owns a
// feed may write to it, or give its buffer away to somebody who frees it.

import { BufferPool } from "../../tensor/buffer_pool.ts";
import { emptyTensorMap } from "../../tensor/tensor.ts";
import { DeviceTensor, type RunValue } from "../device_tensor.ts";
import type { NumericData } from "./_tensor_value.ts";

/** The memory of copies between two runs. */
const pool = new BufferPool(64 * 2 ** 20);

/** Copies of feeds that were checked; values on a device are passed on. */
export class TakenFeeds<Value extends RunValue> implements Disposable {
  /** The copies. Numbers are their bytes, whatever kind of array they came in: native code sees no more. */
  readonly feeds: Readonly<Record<string, Value>>;
  readonly #buffers: ArrayBuffer[] = [];

  /** Takes the feeds as they are at this moment. */
  constructor(feeds: Readonly<Record<string, Value>>) {
    const taken: Record<string, RunValue> = emptyTensorMap();
    for (const [name, value] of Object.entries<RunValue>(feeds)) {
      if (value instanceof DeviceTensor) {
        taken[name] = value;
        continue;
      }
      const { dtype, shape } = value;
      const data = dtype === "string"
        ? [...value.data as readonly string[]]
        : this.#copy(value.data as NumericData);
      taken[name] = { dtype, shape: [...shape], data };
    }
    this.feeds = taken as Readonly<Record<string, Value>>;
  }

  /** Gives the memory back; nobody reads it any more. */
  [Symbol.dispose](): void {
    for (const buffer of this.#buffers.splice(0)) pool.give(buffer);
  }

  #copy({ buffer, byteOffset, byteLength }: NumericData): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(pool.take(byteLength));
    this.#buffers.push(copy.buffer);
    // A buffer that was given away has no bytes, and an empty tensor needs none.
    if (byteLength > 0) copy.set(new Uint8Array(buffer, byteOffset, byteLength));
    return copy;
  }
}
