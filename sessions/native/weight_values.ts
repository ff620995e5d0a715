// The weights of one block as OrtValues over memory that lies elsewhere: in a mapped file, or in an array.
// Made once, used for many runs of one session, so that streaming a block costs no copy and no call.

import { HooklineError } from "../../errors/hookline_error.ts";
import { type DType, dtypeInfo, storedByteLength } from "../../tensor/dtype.ts";
import { elementCount } from "../../tensor/tensor.ts";
import type { FilePart, MappedFile } from "./mapped_file.ts";
import type { NativeHost } from "./_native_host.ts";
import { outCell, pointerTo } from "./_native_text.ts";
import { nativeForm, valueAt } from "./_tensor_value.ts";

/** One weight and where its bytes lie. */
export interface WeightSource {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Its bytes as `raw_data` has them, little-endian. An array is borrowed and must not be transferred. */
  readonly memory: Uint8Array<ArrayBuffer> | {
    readonly file: MappedFile;
    readonly range: FilePart;
  };
}

interface WeightValue {
  readonly source: WeightSource;
  readonly handle: Deno.PointerObject;
}

/** Sets that runs read at this moment: an array among them must not be collected. */
const inUse = new Set<WeightValues>();

/** A set of weights. Release it once; runs in flight keep it until they end. */
export class WeightValues implements Disposable {
  /** The weights in the order in which they were given. */
  readonly sources: readonly WeightSource[];
  readonly #host: NativeHost;
  readonly #values = new Map<string, WeightValue>();
  readonly #files = new Set<MappedFile>();
  #users = 0;
  #isDisposed = false;
  #isFreed = false;

  /**
   * Makes the values.
   *
   * @throws {HooklineError} FEED_DATA when a weight's bytes do not fit its dtype and shape, when its dtype
   * cannot be borrowed (strings), or when a name comes twice; what {@linkcode MappedFile.pointer} throws.
   */
  constructor(host: NativeHost, sources: readonly WeightSource[]) {
    this.#host = host;
    this.sources = [...sources];
    try {
      for (const source of sources) this.#add(source);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The values of names, as the C API takes them; the set is held by the caller. */
  addresses(names: readonly string[]): BigUint64Array<ArrayBuffer> {
    const cells = outCell(names.length).subarray(0, names.length); // cells are never none
    names.forEach((name, index) => {
      cells[index] = Deno.UnsafePointer.value(this.handle(name));
    });
    return cells;
  }

  /** The value of one weight. */
  handle(name: string): Deno.PointerObject {
    const value = this.#values.get(name);
    if (value === undefined) throw missing(name, [...this.#values.keys()]);
    return value.handle;
  }

  /** True from disposal on. */
  get released(): boolean {
    return this.#isDisposed;
  }

  /**
   * Keeps the values until the matching {@linkcode release}.
   *
   * @throws {HooklineError} SESSION_RELEASED when they were released.
   */
  retain(): void {
    if (this.#isDisposed) {
      throw new HooklineError("SESSION_RELEASED", {
        message: "cannot use a set of weights: it was released",
        fix: "make it again, or release it later",
        details: { weights: this.sources.slice(0, 3).map(({ name }) => name) },
      });
    }
    this.#users++;
    inUse.add(this);
  }

  /** Ends one {@linkcode retain}. */
  release(): void {
    if (--this.#users === 0) inUse.delete(this);
    this.#freeWhenUnused();
  }

  /** Frees the values as soon as nobody retains them. The memory is not theirs. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#freeWhenUnused();
  }

  #add(source: WeightSource): void {
    const { name, dtype, shape, memory } = source;
    const info = dtypeInfo(dtype);
    if (info === undefined || info.bitWidth === 0) throw unfit(name, `has dtype ${dtype}`);
    if (this.#values.has(name)) throw unfit(name, "comes twice");
    const isArray = memory instanceof Uint8Array;
    const found = isArray ? memory.byteLength : memory.range.byteLength;
    const wanted = storedByteLength(info, elementCount(shape));
    if (found !== wanted) throw unfit(name, `has ${found} bytes, its shape wants ${wanted}`);
    if (isArray && memory.buffer.resizable) throw unfit(name, "lies in a buffer that can shrink");
    if (!isArray && !this.#files.has(memory.file)) {
      memory.file.retain();
      this.#files.add(memory.file);
    }
    const pointer = isArray ? pointerTo(memory) : memory.file.pointer(memory.range);
    const handle = valueAt(this.#host, nativeForm(dtype, shape), pointer, found);
    this.#values.set(name, { source, handle });
  }

  #freeWhenUnused(): void {
    if (!this.#isDisposed || this.#users > 0 || this.#isFreed) return;
    this.#isFreed = true;
    for (const { handle } of this.#values.values()) this.#host.api.ReleaseValue(handle);
    for (const file of this.#files) file.release();
  }
}

function unfit(name: string, why: string): HooklineError {
  return new HooklineError("FEED_DATA", {
    message: `cannot use weight "${name}": it ${why}`,
    fix: "give its bytes as the model file has them, once",
    details: { weight: name },
  });
}

function missing(name: string, known: readonly string[]): HooklineError {
  return new HooklineError("FEED_MISSING", {
    message: `cannot use a set of weights: it lacks "${name}"`,
    fix: "give every weight that the session takes",
    details: { missing: [name], known: known.slice(0, 20) },
  });
}
