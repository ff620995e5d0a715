// One file for all the models that one plugin is attached to. It is opened with the first of them and
// closed with the last. It knows how many use it, and nothing of what they write.

import { JsonlSink } from "../../mod.ts";
import type { TraceSettings } from "./options.ts";

/** A sink that counts its users. */
export class SharedSink {
  readonly #settings: TraceSettings;
  #sink: JsonlSink | null = null;
  #users = 0;
  #path = "";
  #wasOpened = false;

  /** Opens nothing. */
  constructor(settings: TraceSettings) {
    this.#settings = settings;
  }

  /** The file's path, once it was opened. */
  get path(): string {
    return this.#path;
  }

  /** Where the next flush will write. */
  get byteLength(): number {
    return this.#sink?.byteLength ?? 0;
  }

  /**
   * Begins to use the file.
   *
   * @throws {HooklineError} FILE_WRITE when it cannot be opened.
   */
  acquire(): void {
    if (this.#sink === null) {
      const { output, mode, fsync } = this.#settings;
      // Opened again for another model, it goes on where it ended.
      this.#sink = new JsonlSink(output, { mode: this.#wasOpened ? "append" : mode, fsync });
      this.#wasOpened = true;
      this.#path = this.#sink.path;
    }
    this.#users++;
  }

  /**
   * Ends one use; the last one closes the file.
   *
   * @throws {HooklineError} FILE_WRITE when waiting lines could not be written.
   */
  release(): void {
    this.#users--;
    if (this.#users > 0) return;
    const sink = this.#sink;
    this.#sink = null;
    sink?.close();
  }

  /** Takes a line; after the last release it does nothing, so that a late record breaks no run. */
  write(line: string): void {
    this.#sink?.write(line);
  }

  /** Hands what waits to the system. */
  flush(): void {
    this.#sink?.flush();
  }
}
