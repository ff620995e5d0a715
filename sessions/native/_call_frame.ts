// The memory of one call: OrtValues, and every array that ONNX Runtime reads or writes while it runs. A
// frame in use is held by its session, so nothing that native code works on can be collected.
//
// Making values costs more than running a tiny model, so a frame keeps them: small tensors are copied
// into and out of arrays that stay, large ones are used where they lie and get a value for each call.
// Nobody else may have them meanwhile: who computes on another thread gives copies.

import { emptyTensorMap, type Tensor, type TensorMap } from "../../tensor/tensor.ts";
import { byteLengthOf, type CallTensor, isCopied } from "./_call_tensor.ts";
import { copyBits } from "./_copy_bits.ts";
import type { NativeHost } from "./_native_host.ts";
import { encodeText, handleIn, outCell, pointerTo } from "./_native_text.ts";
import {
  allocateElements,
  borrowedValue,
  type NativeForm,
  nativeForm,
  type NumericData,
  readValue,
  stringValue,
} from "./_tensor_value.ts";

/** An array that stays, with the value over it. */
interface Staged {
  readonly data: NumericData;
  readonly handle: Deno.PointerObject;
}

/** The memory of one call at a time. */
export class CallFrame {
  /** C array of the inputs' values. */
  readonly inputs: Deno.PointerValue;
  /** C array of the outputs' values; ONNX Runtime makes those that are null. */
  readonly outputs: Deno.PointerValue;
  /** False when ONNX Runtime makes the outputs, because their shapes are not known. */
  readonly knowsOutputs: boolean;
  readonly #host: NativeHost;
  readonly #given: readonly CallTensor[];
  readonly #fetches: readonly string[];
  readonly #results: readonly CallTensor[] | null;
  readonly #forms: readonly NativeForm[];
  readonly #resultForms: readonly NativeForm[];
  readonly #weightCount: number;
  readonly #stagedInputs: readonly (Staged | null)[];
  readonly #stagedOutputs: readonly (Staged | null)[];
  readonly #inputCells: BigUint64Array<ArrayBuffer>;
  readonly #outputCells: BigUint64Array<ArrayBuffer>;
  /** Values of this call alone. */
  readonly #values: Deno.PointerObject[] = [];
  /** Arrays that ONNX Runtime uses during this call where they lie. */
  readonly #held: ArrayBufferView[] = [];
  readonly #largeOutputs: (NumericData | null)[] = [];
  #binding: Deno.PointerObject | null = null;

  constructor(
    host: NativeHost,
    { given, weightCount, fetches, results }: {
      readonly given: readonly CallTensor[];
      /** Inputs behind the given ones whose values come with each call. */
      readonly weightCount: number;
      readonly fetches: readonly string[];
      readonly results: readonly CallTensor[] | null;
    },
  ) {
    this.#host = host;
    this.#given = given;
    this.#weightCount = weightCount;
    this.#fetches = fetches;
    this.#results = results;
    this.knowsOutputs = results !== null;
    this.#forms = given.map(({ dtype, shape }) => nativeForm(dtype, shape));
    this.#resultForms = (results ?? []).map(({ dtype, shape }) => nativeForm(dtype, shape));
    this.#inputCells = outCell(given.length + weightCount);
    this.#outputCells = outCell(fetches.length);
    this.inputs = pointerTo(this.#inputCells);
    this.outputs = pointerTo(this.#outputCells);
    this.#stagedInputs = given.map((tensor, index) =>
      this.#stage(tensor, this.#forms[index] as NativeForm, this.#inputCells, index)
    );
    this.#stagedOutputs = (results ?? []).map((tensor, index) =>
      this.#stage(tensor, this.#resultForms[index] as NativeForm, this.#outputCells, index)
    );
  }

  /**
   * An OrtIoBinding of all values to the session's names, which runs quicker than their lists; null when
   * some values change from call to call.
   */
  binding(session: Deno.PointerObject): Deno.PointerObject | null {
    if (this.#binding !== null) return this.#binding;
    const staged = [...this.#stagedInputs, ...this.#stagedOutputs];
    if (!this.knowsOutputs || this.#weightCount > 0 || staged.includes(null)) return null;
    return this.#binding = this.#bind(session);
  }

  /**
   * Takes the feeds, which fit. Large ones are borrowed until {@linkcode end}: they may neither be given
   * away nor shrink before. The caller holds the weights.
   */
  begin(feeds: TensorMap, weights: BigUint64Array<ArrayBuffer> | null): void {
    const given = this.#given;
    if (weights !== null) this.#inputCells.set(weights, given.length);
    for (let index = 0; index < given.length; index++) {
      const { name } = given[index] as CallTensor;
      const tensor = feeds[name] as Tensor;
      const staged = this.#stagedInputs[index];
      if (staged != null) copyBits(tensor.data as NumericData, staged.data);
      else this.#inputCells[index] = this.#own(this.#valueOf(tensor, index));
    }
    for (let index = 0; index < this.#fetches.length; index++) {
      if (this.#stagedOutputs[index] != null) continue;
      const known = this.#results?.[index];
      this.#largeOutputs[index] = null;
      this.#outputCells[index] = 0n;
      if (known === undefined || known.dtype === "string") continue;
      const data = allocateElements(known.dtype, known.length);
      this.#largeOutputs[index] = data;
      const form = this.#resultForms[index] as NativeForm;
      this.#outputCells[index] = this.#own(
        borrowedValue(this.#host, form, { data, byteLength: data.byteLength }),
      );
    }
  }

  /** The outputs of a run that succeeded, in memory that belongs to the caller. */
  collect(): TensorMap {
    const outputs = emptyTensorMap();
    for (let index = 0; index < this.#fetches.length; index++) {
      outputs[this.#fetches[index] as string] = this.#output(index);
    }
    return outputs;
  }

  /** Gives back what the call used, whether it succeeded or not. */
  end(): void {
    const { api } = this.#host;
    for (let index = 0; index < this.#fetches.length; index++) {
      if (this.#stagedOutputs[index] != null) continue;
      const made = this.#outputCells[index] as bigint;
      if (made !== 0n && this.#largeOutputs[index] == null) {
        api.ReleaseValue(Deno.UnsafePointer.create(made));
      }
      // Also of a value that goes with `values`: where the next begin() fails, end() would take it for made.
      this.#outputCells[index] = 0n;
    }
    for (const value of this.#values) api.ReleaseValue(value);
    this.#values.length = 0;
    this.#held.length = 0;
    this.#largeOutputs.length = 0;
  }

  /** Frees the values that stay; the frame is not in use. */
  dispose(): void {
    if (this.#binding !== null) this.#host.api.ReleaseIoBinding(this.#binding);
    for (const staged of [...this.#stagedInputs, ...this.#stagedOutputs]) {
      if (staged !== null) this.#host.api.ReleaseValue(staged.handle);
    }
  }

  #bind(session: Deno.PointerObject): Deno.PointerObject {
    const { api, check } = this.#host;
    const cell = outCell();
    check(api.CreateIoBinding(session, cell));
    const binding = handleIn(cell);
    try {
      this.#given.forEach(({ name }, index) => {
        check(api.BindInput(binding, encodeText(name), handleIn(this.#inputCells, index)));
      });
      this.#fetches.forEach((name, index) => {
        check(api.BindOutput(binding, encodeText(name), handleIn(this.#outputCells, index)));
      });
    } catch (error) {
      api.ReleaseIoBinding(binding);
      throw error;
    }
    return binding;
  }

  #output(index: number): Tensor {
    const known = this.#results?.[index];
    if (known !== undefined) {
      const { dtype, shape, length } = known;
      const staged = this.#stagedOutputs[index];
      if (staged != null) return { dtype, shape, data: staged.data.slice(0, length) };
      const data = this.#largeOutputs[index];
      if (data != null) return { dtype, shape, data };
    }
    return readValue(this.#host, handleIn(this.#outputCells, index));
  }

  #stage(
    tensor: CallTensor,
    form: NativeForm,
    cells: BigUint64Array<ArrayBuffer>,
    index: number,
  ): Staged | null {
    if (!isCopied(tensor)) return null;
    const data = allocateElements(tensor.dtype, tensor.length);
    const byteLength = byteLengthOf(tensor);
    const handle = borrowedValue(this.#host, form, { data, byteLength });
    cells[index] = Deno.UnsafePointer.value(handle);
    return { data, handle };
  }

  #valueOf(tensor: Tensor, index: number): Deno.PointerObject {
    if (tensor.dtype === "string") return stringValue(this.#host, tensor);
    const data = tensor.data as NumericData;
    this.#held.push(data);
    const form = this.#forms[index] as NativeForm;
    return borrowedValue(this.#host, form, { data, byteLength: data.byteLength });
  }

  #own(value: Deno.PointerObject): bigint {
    this.#values.push(value);
    return Deno.UnsafePointer.value(value);
  }
}
