// The list of every session that is open in this process: who opened what, on which provider, how large.
// Tests read it at zero, `doctor` prints it, and the thread budget is taken from it. It holds no session
// and so keeps none alive.

import type { ProviderName } from "./providers/descriptor.ts";

/** One open session. */
export interface OpenSession {
  /** How many sessions this process had opened before this one. */
  readonly order: number;
  /** The session's label. */
  readonly label: string;
  /** The engine that opened it. */
  readonly engine: "napi" | "native";
  /** The provider it runs on. */
  readonly provider: ProviderName;
  /** Bytes of the model it was opened from, external weights not counted. */
  readonly byteLength: number;
  /** Threads that compute one of its operators. */
  readonly threads: number;
}

/** Lists open sessions; each process has one, {@linkcode sessionLedger}. */
export class SessionLedger {
  readonly #open = new Map<number, OpenSession>();
  #opened = 0;

  /** How many sessions are open. */
  get count(): number {
    return this.#open.size;
  }

  /** How many sessions were ever opened. */
  get openedTotal(): number {
    return this.#opened;
  }

  /** Model bytes of all open sessions together. */
  get byteLength(): number {
    let total = 0;
    for (const session of this.#open.values()) total += session.byteLength;
    return total;
  }

  /** Lists a session. Returns what strikes it off again; calling that twice does nothing more. */
  add(session: Omit<OpenSession, "order">): () => void {
    const order = this.#opened++;
    this.#open.set(order, Object.freeze({ ...session, order }));
    return () => {
      this.#open.delete(order);
    };
  }

  /** The open sessions in the order of their opening: a copy that later openings do not change. */
  openSessions(): readonly OpenSession[] {
    return [...this.#open.values()];
  }
}

/** The ledger of this process. */
export const sessionLedger: SessionLedger = new SessionLedger();

/** The sessions that are open in this process, in the order of their opening. */
export function openSessions(): readonly OpenSession[] {
  return sessionLedger.openSessions();
}
