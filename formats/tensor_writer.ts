// What writes tensors to a file one by one, whatever the format. Invariant: at every moment the
// unfinished file can be recovered up to the last tensor whose `write` had resolved.

import type { Tensor } from "../tensor/tensor.ts";

/**
 * Writes tensors to a file one at a time: only the tensor at hand is in memory. The file lies at
 * `PATH.partial` until `close` gives it its name; what is left of a writer that was only disposed of,
 * or of a process that died, can be recovered.
 */
export interface TensorWriter extends AsyncDisposable {
  /** Where the finished file will lie. */
  readonly path: string;
  /** Names of the tensors written so far, in order. */
  readonly names: readonly string[];
  /**
   * Writes a tensor. Calls may overlap; they are carried out one after another.
   *
   * @throws {HooklineError} FILE_WRITE when the name was written before, the format cannot hold the
   * tensor, the writer is closed, or the disk refuses; FEED_DATA for a tensor that does not fit itself.
   */
  write(name: string, value: Tensor): Promise<void>;
  /**
   * Completes the file and gives it its name, replacing what lay there; a second call does nothing.
   *
   * @throws {HooklineError} FILE_WRITE when the disk refuses, or an earlier write had failed half-way.
   */
  close(): Promise<void>;
  /** Ends the writer without completing the file: it stays at `PATH.partial`. Does nothing after `close`. */
  abandon(): Promise<void>;
}

/** What was saved of an unfinished file. */
export interface RecoveredTensors {
  /** Names of the tensors that the recovered file holds, in order. */
  readonly names: readonly string[];
  /** Bytes at the end that belonged to no whole tensor and were cut off. */
  readonly droppedByteLength: number;
}
