// A value that stays in a device's memory between two sessions, and the list of all that there are. Only
// engines make them and only the pipeline passes them on: hooks and plugins never get one. It knows no
// device; the engine that makes one says how it is read and freed.
//
// Invariant: whoever gets one from a run owns it and releases it once; tests read the ledger at zero.

import { HooklineError } from "../errors/hookline_error.ts";
import type { DType } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ProviderName } from "./providers/descriptor.ts";

/** What an engine tells of a value that it leaves on a device. */
export interface DeviceValue {
  /** The provider on whose device it lies. */
  readonly provider: ProviderName;
  /** Element type. */
  readonly dtype: DType;
  /** Dimension sizes. */
  readonly shape: readonly number[];
  /** Bytes that it takes there. */
  readonly byteLength: number;
  /** Copies it into the process's memory. Not called after {@linkcode free}. */
  read(): Promise<Tensor>;
  /** Frees it; called once. */
  free(): void;
}

/** A value on a device. `using` releases it. */
export class DeviceTensor implements Disposable {
  /** The provider on whose device it lies. */
  readonly provider: ProviderName;
  /** Element type. */
  readonly dtype: DType;
  /** Dimension sizes. */
  readonly shape: readonly number[];
  readonly #value: DeviceValue;
  #strikeOff: (() => void) | null;

  /** Takes ownership of an engine's value. */
  constructor(value: DeviceValue) {
    this.provider = value.provider;
    this.dtype = value.dtype;
    this.shape = Object.freeze([...value.shape]);
    this.#value = value;
    this.#strikeOff = deviceLedger.add(value.byteLength);
  }

  /** True from the first call of {@linkcode release} on. */
  get released(): boolean {
    return this.#strikeOff === null;
  }

  /**
   * A copy in the process's memory, a new one with each call.
   *
   * @throws {HooklineError} SESSION_RELEASED after its release, or that of the session that made it;
   * SESSION_RUN when the device fails.
   */
  async read(): Promise<Tensor> {
    if (this.released) {
      throw new HooklineError("SESSION_RELEASED", {
        message: "cannot read a value on the device: it was released",
        fix: "read it before it or its session is released",
        details: { provider: this.provider },
      });
    }
    return await this.#value.read();
  }

  /** Frees it; a second call does nothing. */
  release(): void {
    if (this.#strikeOff === null) return;
    this.#strikeOff();
    this.#strikeOff = null;
    this.#value.free();
  }

  /** The same as {@linkcode release}. */
  [Symbol.dispose](): void {
    this.release();
  }
}

/** A tensor in the process's memory, or a value on a device. */
export type RunValue = Tensor | DeviceTensor;

/** Values by name. */
export type RunValueMap = Readonly<Record<string, RunValue>>;

/** Counts what lies on devices and what was copied from and to them, in the whole process. */
export class DeviceLedger {
  #count = 0;
  #byteLength = 0;
  #toHost = 0;
  #toDevice = 0;

  /** Values on devices that are not released. */
  get count(): number {
    return this.#count;
  }

  /** Their bytes. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Copies from a device into the process's memory so far. */
  get copiesToHost(): number {
    return this.#toHost;
  }

  /** Copies from the process's memory to a device so far, weights not counted. */
  get copiesToDevice(): number {
    return this.#toDevice;
  }

  /** Lists a value; returns what strikes it off, to be called once. */
  add(byteLength: number): () => void {
    this.#count++;
    this.#byteLength += byteLength;
    return () => {
      this.#count--;
      this.#byteLength -= byteLength;
    };
  }

  /** Notes a copy of one value. */
  copied(direction: "to host" | "to device"): void {
    if (direction === "to host") this.#toHost++;
    else this.#toDevice++;
  }
}

/** The ledger of this process. */
export const deviceLedger: DeviceLedger = new DeviceLedger();
