// Weights of sessions in mapped files: each file is mapped once, each block's weights are values over its
// pages. It knows no plan; when pages are read ahead and dropped is decided elsewhere.

import { internalError } from "../../errors/hookline_error.ts";
import type { EngineSession, FileWeight, MappedWeights } from "../engine.ts";
import { MappedFiles } from "./_mapped_files.ts";
import type { NativeHost } from "./_native_host.ts";
import { NativeSession } from "./native_session.ts";
import { WeightValues } from "./weight_values.ts";

/** The native engine's mapped weights; runs in flight keep what they read. */
export class NativeMappedWeights implements MappedWeights {
  readonly #host: NativeHost;
  readonly #files = new MappedFiles();
  readonly #sets: WeightValues[] = [];

  constructor(host: NativeHost) {
    this.#host = host;
  }

  bind(session: EngineSession, weights: readonly FileWeight[]): Pick<EngineSession, "run"> {
    if (!(session instanceof NativeSession)) throw internalError("a session of another engine");
    const values = new WeightValues(
      this.#host,
      weights.map(({ name, dtype, shape, range }) => ({
        name,
        dtype,
        shape,
        memory: { file: this.#files.at(range.path), range },
      })),
    );
    this.#sets.push(values);
    return {
      run: (feeds, fetches = session.outputs.map(({ name }) => name), options = {}) =>
        session.runWith(values, feeds, { ...options, fetches }),
    };
  }

  [Symbol.dispose](): void {
    for (const values of this.#sets.splice(0)) values[Symbol.dispose]();
    this.#files[Symbol.dispose]();
  }
}
