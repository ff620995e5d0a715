// The files of one owner that lie in memory, each mapped once.

import { MappedFile } from "./mapped_file.ts";

/** Mapped files by path. */
export class MappedFiles implements Disposable {
  readonly #files = new Map<string, MappedFile>();

  /**
   * The file at a path, mapped on first use.
   *
   * @throws {HooklineError} what {@linkcode MappedFile} throws.
   */
  at(path: string): MappedFile {
    const file = this.#files.get(path) ?? new MappedFile(path);
    this.#files.set(path, file);
    return file;
  }

  /** Gives the pages back; they come again when they are touched. */
  forget(): void {
    for (const file of this.#files.values()) file.forget();
  }

  /** Unmaps each file as soon as nobody retains it. */
  [Symbol.dispose](): void {
    for (const file of this.#files.values()) file[Symbol.dispose]();
    this.#files.clear();
  }
}
