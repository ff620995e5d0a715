// Copies of weights to the device of one session, ahead of its runs. With CUDA they begin in memory that
// the system may not move and go over a stream of their own, so that they cost the runs beside them
// nothing; elsewhere ONNX Runtime copies, and takes its turn in the provider's lane.
//
// Invariant: no value, and no stage, is freed while a copy reads or writes it.

import { internalError } from "../../errors/hookline_error.ts";
import { dtypeInfo, storedByteLength } from "../../tensor/dtype.ts";
import { elementCount } from "../../tensor/tensor.ts";
import type { DeviceTensor } from "../device_tensor.ts";
import type { DeviceUploads, HostStage, Upload, UploadForm } from "../device_uploads.ts";
import type { SessionSettings } from "../engine.ts";
import { sessionReleasedError, sessionRunError } from "../session_errors.ts";
import type { CudaRuntime, CudaStream } from "./cuda_runtime.ts";
import { deviceLane } from "../device_lane.ts";
import type { KeptValues } from "./_kept_values.ts";
import type { NativeHost } from "./_native_host.ts";
import { handleIn, outCell, pointerTo } from "./_native_text.ts";
import { nativeForm, valueAt } from "./_tensor_value.ts";

/** What copies to a device are made with. */
export interface UploadMeans {
  readonly session: Deno.PointerObject;
  readonly settings: SessionSettings;
  /** OrtMemoryInfo of the device; null where the graph reads nothing there, and copies stay in the process. */
  readonly memory: Deno.PointerObject | null;
  readonly kept: KeptValues;
  /** NVIDIA's runtime; null elsewhere. */
  readonly cuda: CudaRuntime | null;
}

/** Memory that a stage was given. */
interface StageMemory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly pinned: Deno.PointerObject | null;
}

/** Copies to one device. */
export class NativeUploads implements DeviceUploads {
  readonly #host: NativeHost;
  readonly #means: UploadMeans;
  readonly #stages = new Map<HostStage, StageMemory>();
  readonly #copying = new Set<Promise<void>>();
  #allocator: Deno.PointerObject | null = null;
  #stream: CudaStream | null = null;
  #isReleased = false;

  constructor(host: NativeHost, means: UploadMeans) {
    this.#host = host;
    this.#means = means;
  }

  stage(byteLength: number): HostStage {
    this.#requireOpen();
    const memory = this.#stageMemory(Math.max(1, byteLength));
    const stage: HostStage = {
      bytes: memory.bytes.subarray(0, byteLength),
      isPinned: memory.pinned !== null,
      release: () => {
        if (!this.#stages.delete(stage)) return;
        if (memory.pinned === null) memory.bytes.buffer.transfer(0); // now, not when collected
        else this.#means.cuda?.free(memory.pinned);
      },
    };
    this.#stages.set(stage, memory);
    return stage;
  }

  async allocate(forms: readonly UploadForm[]): Promise<readonly DeviceTensor[]> {
    this.#requireOpen();
    const made: DeviceTensor[] = [];
    try {
      await deviceLane(this.#means.settings.provider).through(async () => {
        for (const form of forms) made.push(this.#allocated(form));
        await Promise.resolve();
      });
    } catch (cause) {
      for (const tensor of made) tensor.release();
      throw sessionRunError(this.#means.settings, cause);
    }
    return made;
  }

  async copy(from: HostStage, uploads: readonly Upload[]): Promise<void> {
    this.#requireOpen();
    const memory = this.#stages.get(from);
    if (memory === undefined) throw internalError("a stage was released");
    for (const { byteOffset, to } of uploads) {
      if (byteOffset + byteLengthOf(to) > from.bytes.byteLength) {
        throw internalError(`a value of ${byteLengthOf(to)} bytes reaches beyond its stage`);
      }
    }
    const copying = this.#means.kept.during(
      uploads.map(({ to }) => to),
      async (handles) => {
        try {
          const { bytes, pinned } = memory;
          if (this.#means.memory === null) this.#copyInProcess(bytes, uploads, handles);
          else if (pinned === null) await this.#copyByRuntime(bytes, uploads, handles);
          else await this.#copyOnStream(bytes, uploads, handles);
        } catch (cause) {
          throw sessionRunError(this.#means.settings, cause);
        }
      },
    );
    this.#copying.add(copying);
    try {
      await copying;
    } finally {
      this.#copying.delete(copying);
    }
  }

  /** Begins no copy any more, and frees what copies began in once none is under way. */
  async close(): Promise<void> {
    this.#isReleased = true;
    await Promise.allSettled([...this.#copying]);
    for (const stage of [...this.#stages.keys()]) stage.release();
    this.#stream?.close();
    this.#stream = null;
  }

  /** Frees what values were made by: after the values, before the session. The caller is in the lane. */
  freeAllocator(): void {
    if (this.#allocator !== null) this.#host.api.ReleaseAllocator(this.#allocator);
    this.#allocator = null;
  }

  #requireOpen(): void {
    if (this.#isReleased) throw sessionReleasedError(this.#means.settings);
  }

  #stageMemory(byteLength: number): StageMemory {
    const { cuda, settings } = this.#means;
    try {
      if (cuda === null) {
        return { bytes: new Uint8Array(new ArrayBuffer(byteLength)), pinned: null };
      }
      const pinned = cuda.pinnedMemory(byteLength);
      const buffer = Deno.UnsafePointerView.getArrayBuffer(pinned, byteLength);
      return { bytes: new Uint8Array(buffer), pinned };
    } catch (cause) {
      throw sessionRunError(settings, cause);
    }
  }

  #allocated({ dtype, shape }: UploadForm): DeviceTensor {
    const { api, check, environment } = this.#host;
    const { session, memory, kept } = this.#means;
    const cell = outCell();
    if (this.#allocator === null && memory !== null) {
      check(api.CreateAllocator(session, memory, cell));
      this.#allocator = handleIn(cell);
    }
    const { dims, rank, onnxType } = nativeForm(dtype, shape);
    const allocator = this.#allocator ?? environment.allocator;
    check(api.CreateTensorAsOrtValue(allocator, dims, rank, onnxType, cell));
    return kept.keep(handleIn(cell));
  }

  /** ONNX Runtime copies from device to device, never within the process. */
  #copyInProcess(
    bytes: Uint8Array<ArrayBuffer>,
    uploads: readonly Upload[],
    handles: readonly Deno.PointerObject[],
  ): void {
    for (const [index, { byteOffset, to }] of uploads.entries()) {
      const byteLength = byteLengthOf(to);
      if (byteLength === 0) continue;
      const place = dataOf(this.#host, handles[index] as Deno.PointerObject);
      new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(place, byteLength))
        .set(bytes.subarray(byteOffset, byteOffset + byteLength));
    }
  }

  async #copyByRuntime(
    bytes: Uint8Array<ArrayBuffer>,
    uploads: readonly Upload[],
    handles: readonly Deno.PointerObject[],
  ): Promise<void> {
    const { api, background, check, environment } = this.#host;
    const [from, to] = [outCell(uploads.length), outCell(uploads.length)];
    const sources: Deno.PointerObject[] = [];
    const held = [bytes, from, to];
    inUse.add(held);
    try {
      for (const [index, { byteOffset, to: target }] of uploads.entries()) {
        const byteLength = byteLengthOf(target);
        const form = nativeForm(target.dtype, target.shape);
        const place = pointerTo(bytes.subarray(byteOffset, byteOffset + byteLength));
        const source = valueAt(this.#host, form, place, byteLength);
        sources.push(source);
        from[index] = Deno.UnsafePointer.value(source);
        to[index] = Deno.UnsafePointer.value(handles[index] as Deno.PointerObject);
      }
      await deviceLane(this.#means.settings.provider).through(async () => {
        const count = BigInt(uploads.length);
        check(await background.CopyTensors(environment.handle, from, to, null, count));
      });
    } finally {
      for (const source of sources) api.ReleaseValue(source);
      inUse.delete(held);
    }
  }

  async #copyOnStream(
    bytes: Uint8Array<ArrayBuffer>,
    uploads: readonly Upload[],
    handles: readonly Deno.PointerObject[],
  ): Promise<void> {
    const stream = this.#stream ??= (this.#means.cuda as CudaRuntime).openStream();
    try {
      for (const [index, { byteOffset, to }] of uploads.entries()) {
        const byteLength = byteLengthOf(to);
        if (byteLength === 0) continue;
        const from = pointerTo(bytes.subarray(byteOffset, byteOffset + byteLength));
        const place = dataOf(this.#host, handles[index] as Deno.PointerObject);
        stream.queue({ from: from as Deno.PointerObject, to: place, byteLength });
      }
    } finally {
      await stream.settled(); // also what was queued before one failed
    }
  }
}

/** What copies read and write at this moment. */
const inUse = new Set<readonly unknown[]>();

/** Where a value's elements lie: an address of the device, if it lies there. */
function dataOf({ api, check }: NativeHost, handle: Deno.PointerObject): Deno.PointerObject {
  const cell = outCell();
  check(api.GetTensorMutableData(handle, cell));
  return handleIn(cell);
}

function byteLengthOf({ dtype, shape }: UploadForm): number {
  const info = dtypeInfo(dtype);
  if (info === undefined) throw internalError(`weights of ${dtype} cannot be copied`);
  return storedByteLength(info, elementCount(shape));
}
