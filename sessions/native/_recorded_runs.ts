// Runs that a device records once and plays again (CUDA graphs, WebGPU's graph capture): what a run asks of
// the device then costs the processor one call instead of one an operator. A recording reads and writes the
// same addresses each time, so values have places of their own on the device, for feeds of certain dtypes
// and shapes; what comes in is copied there, what goes out from there.
//
// Invariant: a recording is played with the shapes that it was made with; anything else runs as usual.

import { elementCount, emptyTensorMap, type Tensor } from "../../tensor/tensor.ts";
import { deviceLedger, DeviceTensor, type RunValue, type RunValueMap } from "../device_tensor.ts";
import { handleOf, type KeptValues } from "./_kept_values.ts";
import type { NativeHost } from "./_native_host.ts";
import { handleIn, outCell } from "./_native_text.ts";
import { makeRunOptions } from "./_run_cancellation.ts";
import { allocateElements, borrowedValue, nativeForm, type NumericData } from "./_tensor_value.ts";

/** A recording stays with its session to the end, and so does its memory. */
const MOST_RECORDINGS = 8;

/** Dtype and shape of a value. */
type Form = Pick<Tensor, "dtype" | "shape">;

/** What recordings are made of. */
export interface RecordingMeans {
  readonly session: Deno.PointerObject;
  /** OrtMemoryInfo of the device. */
  readonly memory: Deno.PointerObject;
  readonly kept: KeptValues;
  readonly nameOf: (name: string) => Uint8Array<ArrayBuffer>;
}

/** One call. */
export interface RecordedCall {
  readonly feeds: RunValueMap;
  readonly fetches: readonly string[];
  /** Outputs that stay on the device. */
  readonly keep: readonly string[];
}

/** A value's place on the device. */
interface Place {
  readonly name: string;
  readonly form: Form;
  readonly handle: Deno.PointerObject;
}

interface Recording {
  readonly binding: Deno.PointerObject;
  readonly options: Deno.PointerObject;
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
}

/** What native code reads and writes at this moment. */
const inUse = new Set<readonly unknown[]>();

/** The recordings of one session. Its caller is in the device's lane. */
export class RecordedRuns {
  readonly #host: NativeHost;
  readonly #means: RecordingMeans;
  /** Forms of outputs, or the recording, by what was fed and fetched. */
  readonly #known = new Map<string, readonly Form[] | Recording>();
  readonly #owned = new DisposableStack();
  readonly #allocator: Deno.PointerObject;
  #count = 0;

  constructor(host: NativeHost, means: RecordingMeans) {
    this.#host = host;
    this.#means = means;
    const cell = outCell();
    host.check(host.api.CreateAllocator(means.session, means.memory, cell));
    const allocator = this.#allocator = handleIn(cell);
    this.#owned.defer(() => host.api.ReleaseAllocator(allocator));
  }

  /** Plays what was recorded for such a call, or records it; null for a call that runs as usual. */
  async run(call: RecordedCall): Promise<Record<string, RunValue> | null> {
    const key = keyOf(call);
    const known = this.#known.get(key);
    if (known === undefined) return null;
    const recording = "binding" in known ? known : this.#record(call, known);
    this.#known.set(key, recording);
    const { background, check } = this.#host;
    await this.#copyIn(recording, call.feeds);
    const { session } = this.#means;
    check(await background.RunWithBinding(session, recording.options, recording.binding));
    return await this.#copyOut(recording, call.keep);
  }

  /** Learns what came of a call that ran as usual: the next one is recorded. */
  learn(call: RecordedCall, outputs: Readonly<Record<string, RunValue>>): void {
    if (this.#known.size >= MOST_RECORDINGS) return;
    // ONNX Runtime hands an input that is an output on as it is: its place would never be written.
    if (call.fetches.some((name) => Object.hasOwn(call.feeds, name))) return;
    const values = [...Object.values(call.feeds), ...Object.values(outputs)];
    if (values.some(({ dtype, shape }) => dtype === "string" || elementCount(shape) === 0)) return;
    this.#known.set(
      keyOf(call),
      call.fetches.map((name) => formOf(outputs[name] as RunValue)),
    );
  }

  /** Frees everything; nothing runs, and the session is about to go. */
  release(): void {
    this.#known.clear();
    this.#owned.dispose();
  }

  #record({ feeds, fetches }: RecordedCall, forms: readonly Form[]): Recording {
    const { api, check } = this.#host;
    const { session, nameOf } = this.#means;
    const cell = outCell();
    check(api.CreateIoBinding(session, cell));
    const binding = handleIn(cell);
    this.#owned.defer(() => api.ReleaseIoBinding(binding));
    const options = makeRunOptions(this.#host, this.#count++);
    this.#owned.defer(() => api.ReleaseRunOptions(options));
    const inputs = Object.entries(feeds).map(([name, value]) => this.#place(name, formOf(value)));
    const outputs = fetches.map((name, index) => this.#place(name, forms[index] as Form));
    for (const { name, handle } of inputs) check(api.BindInput(binding, nameOf(name), handle));
    for (const { name, handle } of outputs) check(api.BindOutput(binding, nameOf(name), handle));
    return { binding, options, inputs, outputs };
  }

  #place(name: string, form: Form): Place {
    const handle = this.#allocated(form);
    this.#owned.defer(() => this.#host.api.ReleaseValue(handle));
    return { name, form, handle };
  }

  #allocated({ dtype, shape }: Form): Deno.PointerObject {
    const { api, check } = this.#host;
    const { dims, rank, onnxType } = nativeForm(dtype, shape);
    const cell = outCell();
    check(api.CreateTensorAsOrtValue(this.#allocator, dims, rank, onnxType, cell));
    return handleIn(cell);
  }

  /** ONNX Runtime copies between one pair of memories at a time. */
  async #copyIn({ inputs }: Recording, feeds: RunValueMap): Promise<void> {
    using stack = new DisposableStack();
    const held: unknown[] = [];
    const [near, far]: (readonly [Deno.PointerObject, Deno.PointerObject])[][] = [[], []];
    for (const { name, form, handle } of inputs) {
      const value = feeds[name] as RunValue;
      if (value instanceof DeviceTensor) far?.push([handleOf(value), handle]);
      else {
        const data = value.data as NumericData;
        near?.push([this.#borrowed(form, data, stack), handle]);
        held.push(data);
        deviceLedger.copied("to device");
      }
    }
    await this.#copy(near ?? [], held);
    await this.#copy(far ?? [], []);
  }

  async #copyOut(
    { outputs }: Recording,
    keep: readonly string[],
  ): Promise<Record<string, RunValue>> {
    using stack = new DisposableStack();
    const made: Record<string, RunValue> = emptyTensorMap();
    const held: unknown[] = [];
    const [near, far]: (readonly [Deno.PointerObject, Deno.PointerObject])[][] = [[], []];
    for (const { name, form, handle } of outputs) {
      if (keep.includes(name)) {
        const copy = this.#allocated(form);
        made[name] = this.#means.kept.keep(copy); // freed with the session if the copy fails
        far?.push([handle, copy]);
        continue;
      }
      const data = allocateElements(form.dtype, elementCount(form.shape));
      near?.push([handle, this.#borrowed(form, data, stack)]);
      held.push(data);
      made[name] = { ...form, data };
      deviceLedger.copied("to host");
    }
    await this.#copy(near ?? [], held);
    await this.#copy(far ?? [], []);
    return made;
  }

  #borrowed(form: Form, data: NumericData, stack: DisposableStack): Deno.PointerObject {
    const { byteLength } = data;
    const handle = borrowedValue(this.#host, nativeForm(form.dtype, form.shape), {
      data,
      byteLength,
    });
    stack.defer(() => this.#host.api.ReleaseValue(handle));
    return handle;
  }

  async #copy(
    pairs: readonly (readonly [Deno.PointerObject, Deno.PointerObject])[],
    data: readonly unknown[],
  ): Promise<void> {
    if (pairs.length === 0) return;
    const { background, check, environment } = this.#host;
    const [from, to] = [outCell(pairs.length), outCell(pairs.length)];
    for (const [index, [source, target]] of pairs.entries()) {
      from[index] = Deno.UnsafePointer.value(source);
      to[index] = Deno.UnsafePointer.value(target);
    }
    const held = [from, to, data];
    inUse.add(held);
    try {
      check(await background.CopyTensors(environment.handle, from, to, null, BigInt(pairs.length)));
    } finally {
      inUse.delete(held);
    }
  }
}

function formOf({ dtype, shape }: RunValue): Form {
  return { dtype, shape };
}

function keyOf({ feeds, fetches }: RecordedCall): string {
  const fed = Object.entries(feeds).map(([name, { dtype, shape }]) => [name, dtype, ...shape]);
  return JSON.stringify([fed, fetches]);
}
