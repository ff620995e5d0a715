// The values that one session left on its device. Freed and copied in the provider's lane.
//
// Invariant: a value is freed once, by its owner or with its session, whichever comes first, and never
// while a copy of it is under way or waits for its turn.

import { HooklineError } from "../../errors/hookline_error.ts";
import { dtypeInfo, storedByteLength } from "../../tensor/dtype.ts";
import { elementCount, type Tensor } from "../../tensor/tensor.ts";
import { deviceLedger, DeviceTensor } from "../device_tensor.ts";
import type { SessionSettings } from "../engine.ts";
import { sessionRunError } from "../session_errors.ts";
import { deviceLane } from "../device_lane.ts";
import type { NativeHost } from "./_native_host.ts";
import { outCell } from "./_native_text.ts";
import { allocateElements, borrowedValue, nativeForm, readForm } from "./_tensor_value.ts";

/** What copies read and write at this moment. */
const inUse = new Set<readonly unknown[]>();

/** One value. */
interface KeptValue extends Pick<Tensor, "dtype" | "shape"> {
  readonly handle: Deno.PointerObject;
  /** Copies from or to it that are under way or wait for their turn. */
  copies: number;
  isReleased: boolean;
}

/** What values on devices are to ONNX Runtime, until they are released. */
const VALUES = new WeakMap<DeviceTensor, KeptValue>();

/** The values of one session. */
export class KeptValues {
  readonly #host: NativeHost;
  readonly #settings: SessionSettings;
  readonly #live = new Set<DeviceTensor>();
  readonly #reading = new Set<Promise<Tensor>>();

  constructor(host: NativeHost, settings: SessionSettings) {
    this.#host = host;
    this.#settings = settings;
  }

  /** Takes a value that a run left, and makes what its caller gets. */
  keep(handle: Deno.PointerObject): DeviceTensor {
    const { dtype, shape } = readForm(this.#host, handle);
    const value: KeptValue = { handle, dtype, shape, copies: 0, isReleased: false };
    const info = dtypeInfo(dtype);
    const tensor = new DeviceTensor({
      provider: this.#settings.provider,
      dtype,
      shape,
      byteLength: info === undefined ? 0 : storedByteLength(info, elementCount(shape)),
      read: () => {
        const reading = this.#read(value);
        this.#reading.add(reading);
        const done = (): void => void this.#reading.delete(reading);
        reading.then(done, done);
        return reading;
      },
      free: () => {
        this.#live.delete(tensor);
        VALUES.delete(tensor);
        value.isReleased = true;
        this.#freeWhenUnused(value);
      },
    });
    VALUES.set(tensor, value);
    this.#live.add(tensor);
    return tensor;
  }

  /**
   * Does what reads or writes these values, of which none is freed meanwhile, whoever releases it.
   *
   * @throws {HooklineError} SESSION_RELEASED for one that was released.
   */
  async during<Result>(
    tensors: readonly DeviceTensor[],
    work: (handles: readonly Deno.PointerObject[]) => Promise<Result>,
  ): Promise<Result> {
    const values = tensors.map((tensor) => VALUES.get(tensor) ?? gone());
    for (const value of values) value.copies++;
    try {
      return await work(values.map(({ handle }) => handle));
    } finally {
      for (const value of values) {
        value.copies--;
        this.#freeWhenUnused(value);
      }
    }
  }

  /** Releases what nobody released; resolves when no copy is under way any more. */
  async release(): Promise<void> {
    for (const tensor of [...this.#live]) tensor.release();
    await Promise.allSettled([...this.#reading]);
  }

  #freeWhenUnused({ handle, copies, isReleased }: KeptValue): void {
    if (!isReleased || copies > 0) return;
    deviceLane(this.#settings.provider).whenFree(() => this.#host.api.ReleaseValue(handle));
  }

  async #read(value: KeptValue): Promise<Tensor> {
    const { dtype, shape } = value;
    const count = elementCount(shape);
    const data = allocateElements(dtype, count);
    if (count === 0) return { dtype, shape, data: data.slice(0, 0) };
    value.copies++;
    try {
      await this.#copy(value, data);
    } catch (cause) {
      throw sessionRunError(this.#settings, cause);
    } finally {
      value.copies--;
      this.#freeWhenUnused(value);
    }
    deviceLedger.copied("to host");
    return { dtype, shape, data };
  }

  async #copy(
    { handle, dtype, shape }: KeptValue,
    data: ReturnType<typeof allocateElements>,
  ): Promise<void> {
    const { api, background, check, environment } = this.#host;
    const { byteLength } = data;
    const target = borrowedValue(this.#host, nativeForm(dtype, shape), { data, byteLength });
    const [from, to] = [outCell(), outCell()];
    from[0] = Deno.UnsafePointer.value(handle);
    to[0] = Deno.UnsafePointer.value(target);
    const held = [data, from, to];
    inUse.add(held);
    try {
      await deviceLane(this.#settings.provider).through(async () => {
        check(await background.CopyTensors(environment.handle, from, to, null, 1n));
      });
    } finally {
      api.ReleaseValue(target);
      inUse.delete(held);
    }
  }
}

/** True for a value that `provider` left on its device and that is not released. */
export function isUsableOn(provider: string, value: unknown): value is DeviceTensor {
  return value instanceof DeviceTensor && value.provider === provider && VALUES.has(value);
}

/** What a value on a device is to ONNX Runtime. */
export function handleOf(tensor: DeviceTensor): Deno.PointerObject {
  const value = VALUES.get(tensor);
  if (value === undefined) throw new Error("a value on the device was released");
  return value.handle;
}

function gone(): never {
  throw new HooklineError("SESSION_RELEASED", {
    message: "cannot copy to a value on the device: it was released",
    fix: "release it later",
  });
}
