// Ends a run that computes on another thread when a signal says so. ONNX Runtime looks at a flag in the
// run's options between two nodes; the flag sticks, so every run with a signal has options of its own.

import type { NativeHost } from "./_native_host.ts";
import { encodeText, handleIn, outCell } from "./_native_text.ts";

/** ONNX Runtime's log level for nothing but the end of the process: failures are thrown, not printed. */
const LOG_FATAL = 4;

/** What a device's recording of a run is called by; source: `kOrtRunOptionsConfigCudaGraphAnnotation`. */
const RECORDING_KEY = encodeText("gpu_graph_id");
/** A run that is not recorded. */
export const UNRECORDED = -1;

/**
 * Options of a run whose failure is not printed. `recording` is the number of what the device records of
 * it, for sessions that record.
 */
export function makeRunOptions(
  { api, check }: NativeHost,
  recording: number | null = null,
): Deno.PointerObject {
  const cell = outCell();
  check(api.CreateRunOptions(cell));
  const options = handleIn(cell);
  check(api.RunOptionsSetRunLogSeverityLevel(options, LOG_FATAL));
  if (recording !== null) {
    check(api.AddRunConfigEntry(options, RECORDING_KEY, encodeText(String(recording))));
  }
  return options;
}

/** Run options that a signal ends. */
export class RunCancellation implements Disposable {
  /** The options to run with. */
  readonly options: Deno.PointerObject;
  readonly #host: NativeHost;
  readonly #signal: AbortSignal;
  readonly #terminate: () => void;

  constructor(host: NativeHost, signal: AbortSignal, recording: number | null = null) {
    this.#host = host;
    this.#signal = signal;
    this.options = makeRunOptions(host, recording);
    this.#terminate = () => host.check(host.api.RunOptionsSetTerminate(this.options));
    signal.addEventListener("abort", this.#terminate, { once: true });
  }

  /** Frees the options; the run is over. */
  [Symbol.dispose](): void {
    this.#signal.removeEventListener("abort", this.#terminate);
    this.#host.api.ReleaseRunOptions(this.options);
  }
}
