// Weights of files that the sessions of a model's parts have in common: one mapping, one prepacked form, from
// the first session that opens with them to the release of the last one.
//
// Measured (100 MB, 2 threads): three plans that cut a model in three ways take 127, 150 and 157 MB, one after
// another, where they took 128, 220 and 310; the second and the third open in two thirds of the time. Runs
// take the same time and give the same bits.

import type { CommonWeights, FileWeight } from "../engine.ts";
import { MappedFiles } from "./_mapped_files.ts";
import type { NativeHost } from "./_native_host.ts";
import { SharedWeights } from "./shared_weights.ts";
import { WeightValues } from "./weight_values.ts";

/** Prepacking reads some 10 MB in that time. */
const FORGET_MS = 10;

/** The native engine's common weights. */
export class NativeCommonWeights implements CommonWeights {
  readonly weights: readonly FileWeight[];
  readonly #files = new MappedFiles();
  #shared: SharedWeights | null = null;

  constructor(weights: readonly FileWeight[]) {
    this.weights = weights;
  }

  /**
   * The weights in memory, which the caller retains at once; null where a file cannot be mapped or is not
   * what it was, and where ONNX Runtime takes no values of a type.
   */
  take(host: NativeHost): SharedWeights | null {
    if (this.#shared !== null) return this.#shared;
    try {
      using values = new WeightValues(
        host,
        this.weights.map(({ name, dtype, shape, range }) => ({
          name,
          dtype,
          shape,
          memory: { file: this.#files.at(range.path), range },
        })),
      );
      return this.#shared = new SharedWeights(host, values, () => this.#drop());
    } catch {
      this.#drop();
      return null; // the session reads them itself, or says why not
    }
  }

  /**
   * A session is being opened until the result is disposed: gives back the pages that prepacking has read,
   * which would else stay beside what it made of them.
   */
  opening(): Disposable {
    const forget = (): void => this.#files.forget();
    const timer = setInterval(forget, FORGET_MS);
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer);
        if (this.#shared?.isUsed === false) this.#drop();
        forget();
      },
    };
  }

  #drop(): void {
    const shared = this.#shared;
    this.#shared = null;
    shared?.[Symbol.dispose]();
    this.#files[Symbol.dispose]();
  }
}
