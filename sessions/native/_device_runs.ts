// Runs of a session whose provider has a device of its own. Values are bound one by one: those that lie on
// the device already are passed on, others are copied there; outputs come back, or stay when the caller
// wants so. Everything goes through the provider's lane, the freeing of values included.

import { emptyTensorMap, type Tensor } from "../../tensor/tensor.ts";
import { deviceLedger, DeviceTensor, type RunValue, type RunValueMap } from "../device_tensor.ts";
import type { SessionSettings, ValueSpec } from "../engine.ts";
import type { DeviceUploads } from "../device_uploads.ts";
import { cudaRuntime } from "./cuda_runtime.ts";
import { deviceLane } from "../device_lane.ts";
import { NativeUploads } from "./_device_uploads.ts";
import { handleOf, KeptValues } from "./_kept_values.ts";
import type { NativeHost } from "./_native_host.ts";
import { encodeText, handleIn, outCell } from "./_native_text.ts";
import { RecordedRuns } from "./_recorded_runs.ts";
import { RunCancellation, UNRECORDED } from "./_run_cancellation.ts";
import type { ValueSide } from "./_session_metadata.ts";
import { TakenFeeds } from "./_taken_feeds.ts";
import {
  allocateElements,
  borrowedValue,
  nativeForm,
  type NumericData,
  readValue,
  stringValue,
} from "./_tensor_value.ts";

/** `OrtDeviceMemoryType_DEFAULT`: not the host's memory that a device can read. */
const DEVICE_MEMORY = 0;
/** `OrtMemoryInfoDeviceType_CPU`. Source: onnxruntime_c_api.h. */
const CPU = 0;

/** What native code reads and writes at this moment. */
const inUse = new Set<readonly unknown[]>();

/** What a run on a device is made with. */
export interface DeviceCall {
  readonly feeds: RunValueMap;
  readonly fetches: readonly string[];
  /** Outputs among `fetches` that stay on the device. */
  readonly keep: readonly string[];
  /** Weights that are inputs: values in the process's memory, held by the caller. */
  readonly weights: readonly (readonly [string, Deno.PointerObject])[];
  readonly signal: AbortSignal | undefined;
  /** Looks at the feeds once more, after a wait. */
  readonly check: () => void;
}

/** Where an input is read, or an output is made. */
interface Place {
  /** OrtMemoryInfo, which lives as long as the session. */
  readonly memory: Deno.PointerObject;
  readonly isOnDevice: boolean;
}

/** The runs of one session. */
export class DeviceRuns {
  readonly #host: NativeHost;
  readonly #session: Deno.PointerObject;
  readonly #settings: SessionSettings;
  readonly #runOptions: Deno.PointerObject;
  readonly #names: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  readonly #inputs: ReadonlyMap<string, Place>;
  readonly #outputs: ReadonlyMap<string, Place>;
  readonly #kept: KeptValues;
  #uploads: NativeUploads | null = null;
  readonly #recorded: RecordedRuns | null;

  constructor(host: NativeHost, { session, settings, runOptions, inputs, outputs }: {
    readonly session: Deno.PointerObject;
    readonly settings: SessionSettings;
    readonly runOptions: Deno.PointerObject;
    readonly inputs: readonly ValueSpec[];
    readonly outputs: readonly ValueSpec[];
  }) {
    this.#host = host;
    this.#session = session;
    this.#settings = settings;
    this.#runOptions = runOptions;
    this.#kept = new KeptValues(host, settings);
    this.#names = new Map([...inputs, ...outputs].map(({ name }) => [name, encodeText(name)]));
    this.#inputs = placesOf(host, session, { side: "input", specs: inputs });
    this.#outputs = placesOf(host, session, { side: "output", specs: outputs });
    const places = [...this.#inputs.values(), ...this.#outputs.values()];
    const [first] = places;
    const canRecord = settings.recordsRuns === true && places.every(({ isOnDevice }) => isOnDevice);
    this.#recorded = !canRecord || first === undefined ? null : new RecordedRuns(host, {
      session,
      memory: first.memory,
      kept: this.#kept,
      nameOf: (name) => this.#name(name),
    });
  }

  /**
   * Runs the session with feeds that fit.
   *
   * @throws what ONNX Runtime reports; `signal.reason` when it was aborted.
   */
  async run(call: DeviceCall): Promise<Record<string, RunValue>> {
    const { signal } = call;
    const lane = deviceLane(this.#settings.provider);
    // Those of the first in the lane are taken now, though another thread may be on the device.
    using early = lane.isEmpty ? new TakenFeeds(call.feeds) : null;
    return await lane.through(async () => {
      if (early !== null) return await this.#runInLane(call, early.feeds);
      call.check();
      using taken = new TakenFeeds(call.feeds); // all of them now: binding the first one waits
      return await this.#runInLane(call, taken.feeds);
    }, signal);
  }

  /** Copies of weights to the device. */
  get uploads(): DeviceUploads {
    const memory = [...this.#inputs.values()].find(({ isOnDevice }) => isOnDevice)?.memory ?? null;
    const settings = this.#settings;
    return this.#uploads ??= new NativeUploads(this.#host, {
      session: this.#session,
      settings,
      memory,
      kept: this.#kept,
      cuda: settings.provider === "cuda" && memory !== null
        ? cudaRuntime(settings.cuda?.deviceId ?? 0)
        : null,
    });
  }

  /** Frees the values that nobody released, then the session; no run is in flight. */
  async release(): Promise<void> {
    await this.#uploads?.close();
    await this.#kept.release();
    await deviceLane(this.#settings.provider).through(async () => {
      // A value dies with its session's allocator, so whatever waits for a free moment goes first.
      deviceLane(this.#settings.provider).sweep();
      this.#uploads?.freeAllocator();
      this.#recorded?.release();
      await this.#host.background.ReleaseSession(this.#session);
    });
  }

  async #runInLane(
    call: DeviceCall,
    feeds: RunValueMap,
  ): Promise<Record<string, RunValue>> {
    const { weights, fetches, keep, signal } = call;
    const { api, background, check } = this.#host;
    const recorded = weights.length > 0 ? null : this.#recorded;
    const played = await recorded?.run({ feeds, fetches, keep }) ?? null;
    signal?.throwIfAborted();
    if (played !== null) return played;
    using stack = new DisposableStack();
    const held: unknown[] = [];
    inUse.add(held);
    stack.defer(() => inUse.delete(held));
    const cell = outCell();
    check(api.CreateIoBinding(this.#session, cell));
    const binding = handleIn(cell);
    stack.defer(() => api.ReleaseIoBinding(binding));
    for (const [name, value] of Object.entries(feeds)) {
      if (value instanceof DeviceTensor) {
        check(api.BindInput(binding, this.#name(name), handleOf(value)));
      } else await this.#feed(binding, { name, value, held, stack });
    }
    for (const [name, handle] of weights) {
      check(await background.BindInput(binding, this.#name(name), handle));
    }
    for (const name of fetches) this.#bindOutput(binding, name, keep);
    using cancellation = signal === undefined
      ? null
      : new RunCancellation(this.#host, signal, this.#recording);
    const options = cancellation?.options ?? this.#runOptions;
    check(await background.RunWithBinding(this.#session, options, binding));
    signal?.throwIfAborted();
    const outputs = this.#collect(binding, fetches, keep);
    recorded?.learn({ feeds, fetches, keep }, outputs);
    return outputs;
  }

  get #recording(): number | null {
    return this.#settings.recordsRuns === true ? UNRECORDED : null;
  }

  /** Binds a tensor; ONNX Runtime copies it to the device where the graph reads it there. */
  async #feed(binding: Deno.PointerObject, { name, value, held, stack }: {
    readonly name: string;
    readonly value: Tensor;
    readonly held: unknown[];
    readonly stack: DisposableStack;
  }): Promise<void> {
    const { api, background, check } = this.#host;
    const handle = this.#valueOf(value, held);
    stack.defer(() => api.ReleaseValue(handle));
    if (this.#inputs.get(name)?.isOnDevice) deviceLedger.copied("to device");
    check(await background.BindInput(binding, this.#name(name), handle));
  }

  #valueOf(tensor: Tensor, held: unknown[]): Deno.PointerObject {
    if (tensor.dtype === "string") return stringValue(this.#host, tensor);
    const given = tensor.data as NumericData;
    const { byteLength } = given;
    const data = byteLength > 0 ? given : allocateElements(tensor.dtype, 0);
    held.push(data);
    const form = nativeForm(tensor.dtype, tensor.shape);
    return borrowedValue(this.#host, form, { data, byteLength });
  }

  #bindOutput(binding: Deno.PointerObject, name: string, keep: readonly string[]): void {
    const { api, check, environment } = this.#host;
    const place = this.#outputs.get(name);
    const stays = place !== undefined && place.isOnDevice && keep.includes(name);
    const memory = stays ? place.memory : environment.cpuMemory;
    check(api.BindOutputToDevice(binding, this.#name(name), memory));
  }

  #collect(
    binding: Deno.PointerObject,
    fetches: readonly string[],
    keep: readonly string[],
  ): Record<string, RunValue> {
    const { api, check, environment } = this.#host;
    const [list, count] = [outCell(), outCell()];
    check(api.GetBoundOutputValues(binding, environment.allocator, list, count));
    const array = handleIn(list);
    const view = new Deno.UnsafePointerView(array);
    const handles = fetches.map((_, index) => view.getPointer(8 * index) as Deno.PointerObject);
    check(api.AllocatorFree(environment.allocator, array));
    const outputs: Record<string, RunValue> = emptyTensorMap();
    let next = 0;
    try {
      for (; next < fetches.length; next++) {
        const name = fetches[next] as string;
        const handle = handles[next] as Deno.PointerObject;
        const isOnDevice = this.#outputs.get(name)?.isOnDevice ?? false;
        if (isOnDevice && keep.includes(name)) {
          outputs[name] = this.#kept.keep(handle);
          continue;
        }
        outputs[name] = readValue(this.#host, handle);
        if (isOnDevice) deviceLedger.copied("to host");
        api.ReleaseValue(handle);
      }
    } catch (error) {
      for (const handle of handles.slice(next)) api.ReleaseValue(handle);
      for (const value of Object.values(outputs)) {
        if (value instanceof DeviceTensor) value.release();
      }
      throw error;
    }
    return outputs;
  }

  #name(name: string): Uint8Array<ArrayBuffer> {
    const known = this.#names.get(name);
    if (known === undefined) throw new Error(`no value is called "${name}"`);
    return known;
  }
}

function placesOf(
  { api, check }: NativeHost,
  session: Deno.PointerObject,
  { side, specs }: { readonly side: ValueSide; readonly specs: readonly ValueSpec[] },
): ReadonlyMap<string, Place> {
  const cells = outCell(specs.length);
  const count = BigInt(specs.length);
  check(
    side === "input"
      ? api.SessionGetMemoryInfoForInputs(session, cells, count)
      : api.SessionGetMemoryInfoForOutputs(session, cells, count),
  );
  const type = new Int32Array(1);
  return new Map(specs.map(({ name }, index) => {
    const memory = handleIn(cells, index);
    api.MemoryInfoGetDeviceType(memory, type);
    const isOnDevice = type[0] !== CPU && api.MemoryInfoGetDeviceMemType(memory) === DEVICE_MEMORY;
    return [name, { memory, isOnDevice }];
  }));
}
