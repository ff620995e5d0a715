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
  /** OrtPrepackedWeightsContainer. */
  readonly container: Deno.PointerObject;
  readonly #host: NativeHost;
  #users = 1;
  #isDisposed = false;

  /** Takes hold of `values`. */
  constructor(host: NativeHost, values: WeightValues) {
    this.#host = host;
    this.values = values;
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

  /** The values by name, as session options take them. */
  get initializers(): ReadonlyMap<string, Deno.PointerObject> {
    return new Map(
      this.values.sources.map(({ name }) => [name, this.values.handle(name)]),
    );
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
    if (--this.#users > 0) return;
    this.#host.api.ReleasePrepackedWeightsContainer(this.container);
    this.values.release();
  }

  /** Frees everything as soon as no session uses it. */
  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.release();
  }
}
