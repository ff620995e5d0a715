// Keeps sessions by content: two plans that share a segment share its session, and a plan that comes
// back finds its sessions open. Sessions in use are never closed; idle ones stay while they fit the
// byte budget, the longest unused goes first. It knows no plan and no graph.

import { HooklineError } from "../errors/hookline_error.ts";
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
  /** Sessions that are being closed and no longer listed. */
  readonly #ending = new Set<Promise<void>>();
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
    if (this.#isClosed) throw closedError();
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

  /** Closes every session, also those that are being opened, and waits for the runs in flight. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const entry of [...this.#entries.values()]) this.#end(entry).catch(() => {});
    const ended = await Promise.allSettled([...this.#ending]);
    const failed = ended.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  async #trim(): Promise<void> {
    const idle = [...this.#entries.values()].filter((entry) => entry.users === 0)
      .sort((left, right) => left.lastUsed - right.lastUsed);
    let idleByteLength = idle.reduce((sum, entry) => sum + entry.byteLength, 0);
    const endings: Promise<void>[] = [];
    for (const entry of idle) {
      if (!this.#isClosed && idleByteLength <= this.#idleByteBudget) break;
      idleByteLength -= entry.byteLength;
      endings.push(this.#end(entry));
    }
    // Only now: what is idle may be leased again while a session closes.
    await Promise.all(endings);
  }

  /** Takes a session off the list and closes it. */
  #end(entry: Entry): Promise<void> {
    this.#entries.delete(entry.key);
    const ending = entry.session.then(
      (session) => session.release(),
      () => {}, // the opening failed; whoever leases it hears of it
    );
    this.#ending.add(ending);
    const done = (): void => void this.#ending.delete(ending);
    ending.then(done, done);
    return ending;
  }
}

function closedError(): HooklineError {
  return new HooklineError("MODEL_CLOSED", {
    message: "cannot open a session: the model was closed meanwhile",
    fix: "open the model again, or close it later",
  });
}
