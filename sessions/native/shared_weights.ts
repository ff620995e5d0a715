// Weights that several sessions use from the same memory, and what ONNX Runtime makes of them once for
// all (prepacking). They replace the initializers of the same names in every model that is opened with
// them, and outlive those sessions.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { NativeHost } from "./_native_host.ts";
import { handleIn, outCell } from "./_native_text.ts";
import type { WeightValues } from "./weight_values.ts";

/** Weights and their prepacked forms. Release it once; open sessions keep it until they are released. */
export class SharedWeights implements Disposable {
  /** The weights, which this object keeps. */
  readonly values: WeightValues;
  /** The weights' names. */
  readonly names: ReadonlySet<string>;
  /** OrtPrepackedWeightsContainer. */
  readonly container: Deno.PointerObject;
  readonly #host: NativeHost;
  readonly #whenIdle: () => void;
  #users = 1;
  #isDisposed = false;

  /** Takes hold of `values`; `whenIdle` is called each time that the last session which used them has gone. */
  constructor(host: NativeHost, values: WeightValues, whenIdle: () => void = () => {}) {
    this.#host = host;
    this.#whenIdle = whenIdle;
    this.values = values;
    this.names = new Set(values.sources.map(({ name }) => name));
    const cell = outCell();
    host.check(host.api.CreatePrepackedWeightsContainer(cell));
    this.container = handleIn(cell);
    try {
      values.retain();
    } catch (error) {
      host.api.ReleasePrepackedWeightsContainer(this.container);
      throw error;
    }
  }

  /** Whether a session uses them, or is being opened with them. */
  get isUsed(): boolean {
    return this.#users > (this.#isDisposed ? 0 : 1);
  }

  /**
   * Keeps everything until the matching {@linkcode release}.
   *
   * @throws {HooklineError} SESSION_RELEASED when it was released.
   */
  retain(): void {
    if (this.#isDisposed) {
      throw new HooklineError("SESSION_RELEASED", {
        message: "cannot open a session with shared weights: they were released",
        fix: "make them again, or release them later",
      });
    }
    this.#users++;
  }

  /** Ends one {@linkcode retain}. */
  release(): void {
    this.#users--;
    if (this.#users === 0) {
      this.#host.api.ReleasePrepackedWeightsContainer(this.container);
      this.values.release();
    } else if (this.#users === 1 && !this.#isDisposed) this.#whenIdle(); // may end the owner's hold
  }

  /** Frees everything as soon as no session uses it. */
  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.release();
  }
}
