// How weights that are streamed get to a device ahead of the runs that use them: memory of the process that
// the device reads from, values on the device, and copies from one to the other beside what computes there.
// Only engines implement it and only the pipeline uses it.

import type { DType } from "../tensor/dtype.ts";
import type { DeviceTensor } from "./device_tensor.ts";

/** Memory of the process that copies to the device begin in. Release it once. */
export interface HostStage {
  /** Its bytes. Nobody writes to them during a copy, or touches them after {@linkcode release}. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** True when the system may not move it, so that the device reads it by itself at full speed. */
  readonly isPinned: boolean;
  /** Frees it; no copy reads it now. */
  release(): void;
}

/** A value to be made on the device. */
export interface UploadForm {
  /** Element type. */
  readonly dtype: DType;
  /** Dimension sizes. */
  readonly shape: readonly number[];
}

/** One copy: from a place in a stage into the whole of a value. */
export interface Upload {
  /** Where the value's bytes begin in the stage. */
  readonly byteOffset: number;
  /** The value. */
  readonly to: DeviceTensor;
}

/** Copies to the device of one session. Ends with the session. */
export interface DeviceUploads {
  /**
   * Memory to copy from.
   *
   * @throws {HooklineError} SESSION_RUN when the system gives none.
   */
  stage(byteLength: number): HostStage;
  /**
   * Values on the device, their contents undefined; the caller releases them.
   *
   * @throws {HooklineError} SESSION_RUN when the device has no memory left.
   */
  allocate(forms: readonly UploadForm[]): Promise<readonly DeviceTensor[]>;
  /**
   * Copies. Resolves when all of it is on the device.
   *
   * @throws {HooklineError} SESSION_RUN when the device fails, SESSION_RELEASED for a value that was released.
   */
  copy(from: HostStage, uploads: readonly Upload[]): Promise<void>;
}
