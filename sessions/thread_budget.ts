// How many threads a session gets. Every ONNX Runtime session owns a pool of its threads minus one, which
// sleeps while other sessions run; this keeps the pools of a model cut into many sessions bounded.

import { availableParallelism } from "node:os";

/**
 * Sleeping pool threads allowed in this process. One costs 14 KB and 40 µs to start (measured on Linux
 * x64), so this is 7 MB; a session short of threads costs far more: 24 sessions on 2 cores took 1.37
 * times as long when 16 of them had to do with one thread.
 */
export const IDLE_THREAD_LIMIT = 512;

/** The processor cores that this process may use. */
export function availableCores(): number {
  return Math.max(1, availableParallelism());
}

/**
 * The threads for the next session: all cores, because the sessions of a split model run one after
 * another, as long as the sleeping threads of all pools stay within {@linkcode IDLE_THREAD_LIMIT}; beyond
 * it an equal share of what is left, at last one thread, which owns no pool.
 *
 * Take the number once for a model and use it for all its sessions, the whole one it is compared with
 * included: **it can change the last bits.** A MatMul whose second operand is not prepacked (prepacking off,
 * weights as inputs) gave other bits from 4 threads on for 256 x 256 and at 16 threads for 768 x 768, the
 * same bits below; with prepacked weights 1 to 8 threads gave the same. Verified on ONNX Runtime 1.29, CPU.
 *
 * @param cores The cores to use, as from {@linkcode availableCores}.
 * @param openSessions The sessions that are open, as the ledger lists them.
 * @param upcoming How many sessions are about to be opened, this one included; they share alike.
 *
 * @example
 * ```ts ignore
 * console.log(threadBudget(8, [])); // 8
 * console.log(threadBudget(64, [], 48)); // 11
 * ```
 */
export function threadBudget(
  cores: number,
  openSessions: readonly { readonly threads: number }[],
  upcoming = 1,
): number {
  let idle = 0;
  for (const session of openSessions) idle += session.threads - 1;
  const share = Math.floor((IDLE_THREAD_LIMIT - idle) / Math.max(1, upcoming));
  return Math.max(1, Math.min(cores, 1 + share));
}
