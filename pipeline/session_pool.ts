// Keeps sessions by content: two plans that share a segment share its session, and a plan that comes
// back finds its sessions open. Sessions in use are never closed; idle ones stay while they fit the
// byte budget, the longest unused goes first. It knows no plan and no graph.

import type { EngineSession } from "../sessions/engine.ts";

interface Entry {
  readonly key: string;
  readonly session: Promise<EngineSession>;
  readonly byteLength: number;
  users: number;
  lastUsed: number;
}

/** A session that stays open until the lease is returned. */
export interface SessionLease {
  readonly session: EngineSession;
  /** Returns the lease; the session may be closed from now on. A second call does nothing. */
  release(): Promise<void>;
}

/** Sessions by content hash. */
export class SessionPool {
  readonly #entries = new Map<string, Entry>();
  readonly #idleByteBudget: number;
  #clock = 0;
  #isClosed = false;

  constructor(idleByteBudget: number) {
    this.#idleByteBudget = idleByteBudget;
  }

  /** How many sessions are open or opening. */
  get size(): number {
    return this.#entries.size;
  }

  /** Leases the session of `key`, opening it when there is none. A failed opening leaves nothing behind. */
  async lease(
    key: string,
    byteLength: number,
    open: () => Promise<EngineSession>,
  ): Promise<SessionLease> {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { key, session: open(), byteLength, users: 0, lastUsed: 0 };
      this.#entries.set(key, entry);
    }
    const held = entry;
    held.users++;
    try {
      const session = await held.session;
      let isReturned = false;
      return {
        session,
        release: async () => {
          if (isReturned) return;
          isReturned = true;
          held.users--;
          held.lastUsed = ++this.#clock;
          await this.#trim();
        },
      };
    } catch (error) {
      held.users--;
      if (this.#entries.get(key) === held) this.#entries.delete(key);
      throw error;
    }
  }

  /** Closes every session, waiting for the runs in flight. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    const closed = await Promise.allSettled(
      entries.map(async (entry) => (await entry.session).release()),
    );
    const failed = closed.find((result) => result.status === "rejected");
    if (failed !== undefined && entries.length > 0) {
      const opened = await Promise.allSettled(entries.map((entry) => entry.session));
      if (opened.every((result) => result.status === "fulfilled")) throw failed.reason;
    }
  }

  async #trim(): Promise<void> {
    const idle = [...this.#entries.values()].filter((entry) => entry.users === 0)
      .sort((left, right) => left.lastUsed - right.lastUsed);
    let idleByteLength = idle.reduce((sum, entry) => sum + entry.byteLength, 0);
    for (const entry of idle) {
      if (!this.#isClosed && idleByteLength <= this.#idleByteBudget) break;
      this.#entries.delete(entry.key);
      idleByteLength -= entry.byteLength;
      await (await entry.session).release();
    }
  }
}
