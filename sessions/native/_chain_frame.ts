// The memory of one run of a chain: bindings of its sessions to values that stay, made once. What comes in
// is copied, so that whoever owns it may do with it what they like; what only sessions of the chain read
// lies in a few arrays that take turns; what goes out is new with every run.

import { emptyTensorMap, type Tensor, type TensorMap } from "../../tensor/tensor.ts";
import { byteLengthOf, type CallTensor, isCopied } from "./_call_tensor.ts";
import { copyBits } from "./_copy_bits.ts";
import type { NativeHost } from "./_native_host.ts";
import { encodeText, handleIn, outCell } from "./_native_text.ts";
import {
  allocateElements,
  borrowedValue,
  type NativeForm,
  nativeForm,
  type NumericData,
} from "./_tensor_value.ts";

/** What one session of a chain reads and makes. */
export interface ChainPart {
  readonly session: Deno.PointerObject;
  readonly inputs: readonly string[];
  readonly fetches: readonly string[];
}

/** What a frame is made for. */
export interface ChainMemory {
  readonly parts: readonly ChainPart[];
  /** What comes in from outside. */
  readonly given: readonly CallTensor[];
  /** What the parts make. */
  readonly made: readonly CallTensor[];
  /** Which of that goes out. */
  readonly wanted: readonly string[];
}

/** A value that goes out in memory of its own: where it is bound, and its memory in this run. */
interface Outgoing {
  readonly tensor: CallTensor;
  readonly form: NativeForm;
  readonly name: Uint8Array<ArrayBuffer>;
  readonly makers: readonly Deno.PointerObject[];
  readonly readers: readonly Deno.PointerObject[];
  data: NumericData | null;
  value: Deno.PointerObject | null;
}

/** A value with memory that stays. */
interface Kept {
  readonly tensor: CallTensor;
  readonly data: NumericData;
}

/** The memory of one run of a chain at a time. */
export class ChainFrame {
  /** The sessions of the parts, in their order. */
  readonly sessions: readonly Deno.PointerObject[];
  /** Their bindings. */
  readonly bindings: readonly Deno.PointerObject[];
  readonly #host: NativeHost;
  readonly #given: readonly Kept[];
  readonly #copied: readonly Kept[];
  readonly #outgoing: readonly Outgoing[];
  /** Held for native code. */
  readonly #kept = new Set<ArrayBufferView>();
  readonly #owned = new DisposableStack();
  #byteLength = 0;

  constructor(host: NativeHost, { parts, given, made, wanted }: ChainMemory) {
    this.#host = host;
    const { api, check } = host;
    using failing = new DisposableStack();
    failing.defer(() => this.dispose());
    this.sessions = parts.map(({ session }) => session);
    this.bindings = parts.map(({ session }) => {
      const cell = outCell();
      check(api.CreateIoBinding(session, cell));
      const binding = handleIn(cell);
      this.#owned.defer(() => api.ReleaseIoBinding(binding));
      return binding;
    });
    const inputsOf = (name: string) => this.#bindingsOf(parts, ({ inputs }) => inputs, name);
    const fetchesOf = (name: string) => this.#bindingsOf(parts, ({ fetches }) => fetches, name);
    const keep = (tensor: CallTensor, data: NumericData): Kept => {
      const { name } = tensor;
      this.#bind(tensor, data, { makers: fetchesOf(name), readers: inputsOf(name) });
      return { tensor, data };
    };
    const keepNew = (tensor: CallTensor): Kept =>
      keep(tensor, allocateElements(tensor.dtype, tensor.length));
    const out = made.filter(({ name }) => wanted.includes(name));
    this.#given = given.map(keepNew);
    this.#copied = out.filter(isCopied).map(keepNew);
    for (const [tensor, data] of sharedArrays(parts, made, wanted)) keep(tensor, data);
    this.#outgoing = out.filter((tensor) => !isCopied(tensor)).map((tensor) => ({
      tensor,
      form: nativeForm(tensor.dtype, tensor.shape),
      name: encodeText(tensor.name),
      makers: fetchesOf(tensor.name),
      readers: inputsOf(tensor.name),
      data: null,
      value: null,
    }));
    failing.move();
  }

  /** Takes the feeds, which fit, and makes memory for what goes out. */
  begin(feeds: TensorMap): void {
    for (const { tensor, data } of this.#given) {
      copyBits((feeds[tensor.name] as Tensor).data as NumericData, data);
    }
    const { api, check } = this.#host;
    for (const outgoing of this.#outgoing) {
      const { tensor, form, name, makers, readers } = outgoing;
      const data = outgoing.data = allocateElements(tensor.dtype, tensor.length);
      const byteLength = byteLengthOf(tensor);
      const value = outgoing.value = borrowedValue(this.#host, form, { data, byteLength });
      for (const binding of makers) check(api.BindOutput(binding, name, value));
      for (const binding of readers) check(api.BindInput(binding, name, value));
    }
  }

  /** The feeds as they were taken, in memory of the frame's own. */
  get feeds(): TensorMap {
    const feeds = emptyTensorMap();
    for (const { tensor: { name, dtype, shape, length }, data } of this.#given) {
      feeds[name] = { dtype, shape, data: data.subarray(0, length) };
    }
    return feeds;
  }

  /** What goes out, after a run that succeeded; it belongs to the caller. */
  collect(): TensorMap {
    const outputs = emptyTensorMap();
    for (const { tensor: { name, dtype, shape, length }, data } of this.#copied) {
      outputs[name] = { dtype, shape, data: data.slice(0, length) };
    }
    for (const { tensor: { name, dtype, shape }, data } of this.#outgoing) {
      outputs[name] = { dtype, shape, data: data as NumericData };
    }
    return outputs;
  }

  /** Bytes that it keeps between runs. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Gives back what the run alone used, whether it succeeded or not. */
  end(): void {
    for (const outgoing of this.#outgoing) {
      if (outgoing.value !== null) this.#host.api.ReleaseValue(outgoing.value);
      outgoing.value = null;
      outgoing.data = null;
    }
  }

  /** Frees everything; the frame is not in use. */
  dispose(): void {
    this.#owned.dispose();
  }

  #bind(
    tensor: CallTensor,
    data: NumericData,
    { makers, readers }: Pick<Outgoing, "makers" | "readers">,
  ): void {
    const { api, check } = this.#host;
    const { name, dtype, shape } = tensor;
    const byteLength = byteLengthOf(tensor);
    const value = borrowedValue(this.#host, nativeForm(dtype, shape), { data, byteLength });
    this.#owned.defer(() => api.ReleaseValue(value));
    if (!this.#kept.has(data)) this.#byteLength += data.byteLength;
    this.#kept.add(data);
    const text = encodeText(name);
    for (const binding of makers) check(api.BindOutput(binding, text, value));
    for (const binding of readers) check(api.BindInput(binding, text, value));
  }

  #bindingsOf(
    parts: readonly ChainPart[],
    side: (part: ChainPart) => readonly string[],
    name: string,
  ): Deno.PointerObject[] {
    return this.bindings.filter((_, index) => side(parts[index] as ChainPart).includes(name));
  }
}

/**
 * Memory for the values that stay inside the chain. A value takes the array of an equally long one that no
 * part reads any more: a chain of equal blocks needs two or three, however many blocks there are.
 */
function* sharedArrays(
  parts: readonly ChainPart[],
  made: readonly CallTensor[],
  wanted: readonly string[],
): Generator<readonly [CallTensor, NumericData]> {
  const free = new Map<string, NumericData[]>();
  const living = new Map<string, { readonly kind: string; readonly data: NumericData }>();
  for (const [index, { inputs, fetches }] of parts.entries()) {
    for (const tensor of made) {
      const { name, dtype, length } = tensor;
      if (!fetches.includes(name) || wanted.includes(name)) continue;
      const kind = `${dtype} ${length}`;
      const data = free.get(kind)?.pop() ?? allocateElements(dtype, length);
      living.set(name, { kind, data });
      yield [tensor, data];
    }
    const later = new Set(parts.slice(index + 1).flatMap((part) => part.inputs));
    for (const name of [...inputs, ...fetches]) {
      const last = living.get(name);
      if (last === undefined || later.has(name)) continue;
      living.delete(name);
      free.set(last.kind, [...free.get(last.kind) ?? [], last.data]);
    }
  }
}
