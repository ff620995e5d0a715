// Ends a run that computes on another thread when a signal says so. ONNX Runtime looks at a flag in the
// run's options between two nodes; the flag sticks, so every run with a signal has options of its own.

import type { NativeHost } from "./_native_host.ts";
import { handleIn, outCell } from "./_native_text.ts";

/** ONNX Runtime's log level for nothing but the end of the process: failures are thrown, not printed. */
const LOG_FATAL = 4;

/** Options of a run whose failure is not printed. */
export function makeRunOptions({ api, check }: NativeHost): Deno.PointerObject {
  const cell = outCell();
  check(api.CreateRunOptions(cell));
  const options = handleIn(cell);
  check(api.RunOptionsSetRunLogSeverityLevel(options, LOG_FATAL));
  return options;
}

/** Run options that a signal ends. */
export class RunCancellation implements Disposable {
  /** The options to run with. */
  readonly options: Deno.PointerObject;
  readonly #host: NativeHost;
  readonly #signal: AbortSignal;
  readonly #terminate: () => void;

  constructor(host: NativeHost, signal: AbortSignal) {
    this.#host = host;
    this.#signal = signal;
    this.options = makeRunOptions(host);
    this.#terminate = () => host.check(host.api.RunOptionsSetTerminate(this.options));
    signal.addEventListener("abort", this.#terminate, { once: true });
  }

  /** Frees the options; the run is over. */
  [Symbol.dispose](): void {
    this.#signal.removeEventListener("abort", this.#terminate);
    this.#host.api.ReleaseRunOptions(this.options);
  }
}
