// Where the values of a comparison wait: in memory up to a byte budget, beyond it in one temporary file
// that is made when it is first needed and gone when the store is closed or the process ends. It knows
// tensors and names.
//
// Invariant: what is kept never exceeds half the budget; the other half is for the tensors that a part
// reads and writes while it runs. What does not fit goes to the file, and comes back bit for bit.

import { mkdtemp, open, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HooklineError } from "../../errors/hookline_error.ts";
import { isGranted } from "../../host/environment.ts";
import { allocate, type Tensor, tensorBytes } from "../../tensor/tensor.ts";

/** Where a spilled tensor lies. */
interface SpilledTensor {
  readonly dtype: Tensor["dtype"];
  readonly shape: readonly number[];
  readonly elementCount: number;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Bytes that a store kept. */
export interface StoreUse {
  readonly budgetByteLength: number;
  /** Most bytes in memory at one time, values in use by a running part included. */
  readonly peakByteLength: number;
  /** Bytes that were written to disk. */
  readonly spilledByteLength: number;
}

/** Bytes that a tensor takes; strings are estimated by their length. */
export function tensorByteLength({ data }: Tensor): number {
  if (ArrayBuffer.isView(data)) return data.byteLength;
  return data.reduce((sum, text) => sum + 2 * text.length, 0);
}

/** The share of the budget that may be kept while nothing runs. */
const KEPT_SHARE = 0.5;

/** Keeps tensors by name within a byte budget. */
export class BoundaryStore {
  readonly #budget: number;
  readonly #kept = new Map<string, Tensor>();
  readonly #spilled = new Map<string, SpilledTensor>();
  /** Ends of gaps are not reused: values are dropped in large groups, and the file goes at the end. */
  #fileEnd = 0;
  #file: FileHandle | null = null;
  #folder: string | null = null;
  #keptByteLength = 0;
  #inUseByteLength = 0;
  #peak = 0;
  #spilledTotal = 0;

  /** A store for a byte budget. */
  constructor(budget: number) {
    this.#budget = budget;
  }

  /** What was used so far. */
  get use(): StoreUse {
    return {
      budgetByteLength: this.#budget,
      peakByteLength: this.#peak,
      spilledByteLength: this.#spilledTotal,
    };
  }

  /** Whether a value is there. */
  has(name: string): boolean {
    return this.#kept.has(name) || this.#spilled.has(name);
  }

  /** The shape and dtype of a value that is there, without reading it. */
  describe(name: string): Pick<Tensor, "dtype" | "shape"> | undefined {
    return this.#kept.get(name) ?? this.#spilled.get(name);
  }

  /**
   * Keeps a value; one of the same name is replaced. The tensor is borrowed for good: do not change it.
   *
   * @throws {HooklineError} FILE_WRITE when it must be spilled and cannot.
   */
  async put(name: string, tensor: Tensor): Promise<void> {
    this.drop(name);
    const byteLength = tensorByteLength(tensor);
    const isSpillable = ArrayBuffer.isView(tensor.data);
    if (this.#keptByteLength + byteLength <= KEPT_SHARE * this.#budget || !isSpillable) {
      this.#kept.set(name, tensor);
      this.#keptByteLength += byteLength;
      this.#notePeak();
      return;
    }
    const file = await this.#opened();
    const byteOffset = this.#fileEnd;
    try {
      await writeAll(file, tensorBytes(tensor), byteOffset);
    } catch (cause) {
      throw writeError(this.#folder ?? spillFolder(), cause);
    }
    this.#fileEnd += byteLength;
    this.#spilledTotal += byteLength;
    const { dtype, shape, data } = tensor;
    const elementCount = data.length;
    this.#spilled.set(name, { dtype, shape, elementCount, byteOffset, byteLength });
  }

  /** A value by name; undefined when it is not there. */
  async get(name: string): Promise<Tensor | undefined> {
    const kept = this.#kept.get(name);
    if (kept !== undefined) return kept;
    const spilled = this.#spilled.get(name);
    if (spilled === undefined || this.#file === null) return undefined;
    const { dtype, shape, elementCount, byteOffset } = spilled;
    const data = allocate(dtype, elementCount);
    await readAll(
      this.#file,
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      byteOffset,
    );
    return { dtype, shape, data };
  }

  /** Forgets a value. */
  drop(name: string): void {
    const kept = this.#kept.get(name);
    if (kept !== undefined) this.#keptByteLength -= tensorByteLength(kept);
    this.#kept.delete(name);
    this.#spilled.delete(name);
  }

  /** Counts tensors that somebody holds for the time of a run, for {@linkcode StoreUse}. */
  async using<Result>(
    tensors: Iterable<Tensor>,
    action: () => Result | Promise<Result>,
  ): Promise<Result> {
    const kept = new Set(this.#kept.values());
    let byteLength = 0;
    for (const tensor of tensors) if (!kept.has(tensor)) byteLength += tensorByteLength(tensor);
    this.#inUseByteLength += byteLength;
    this.#notePeak();
    try {
      return await action();
    } finally {
      this.#inUseByteLength -= byteLength;
    }
  }

  /** Removes the file. */
  async close(): Promise<void> {
    this.#kept.clear();
    this.#spilled.clear();
    this.#keptByteLength = 0;
    const [file, folder] = [this.#file, this.#folder];
    this.#file = null;
    this.#folder = null;
    await file?.close();
    if (folder !== null) await rm(folder, { recursive: true, force: true });
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #notePeak(): void {
    this.#peak = Math.max(this.#peak, this.#keptByteLength + this.#inUseByteLength);
  }

  /** A file without a name is gone with the process, however that ends; Windows keeps names of open files. */
  async #takeName(folder: string): Promise<void> {
    try {
      await rm(folder, { recursive: true });
      this.#folder = null;
    } catch {
      // It is removed when the store is closed.
    }
  }

  async #opened(): Promise<FileHandle> {
    if (this.#file !== null) return this.#file;
    try {
      const folder = this.#folder = await mkdtemp(join(spillFolder(), "hookline-compare-"));
      this.#file = await open(join(folder, "values.bin"), "w+");
      await this.#takeName(folder);
      return this.#file;
    } catch (cause) {
      throw writeError(this.#folder ?? spillFolder(), cause);
    }
  }
}

/** The folder for temporary files; where the variable that names it may not be read, the usual one. */
function spillFolder(): string {
  return isGranted({ name: "env", variable: "TMPDIR" }) ? tmpdir() : "/tmp";
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

async function readAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, position + done);
    if (bytesRead === 0) throw new Error("the file of spilled values ended early");
    done += bytesRead;
  }
}

function writeError(folder: string, cause: unknown): HooklineError {
  return new HooklineError("FILE_WRITE", {
    message: `cannot write spilled activations to a temporary file in "${folder}"`,
    fix: "free space there, set TMPDIR to another folder, or give more memory with --memory",
    details: { path: folder },
    cause,
  });
}
