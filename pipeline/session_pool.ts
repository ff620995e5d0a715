// Keeps sessions by content: two plans that share a segment share its session, and a plan that comes
// back finds its sessions open. Sessions in use are never closed; idle ones stay while they fit the
// byte budget, the longest unused goes first. It knows no plan and no graph.

import { HooklineError } from "../errors/hookline_error.ts";
import type { EngineSession } from "../sessions/engine.ts";
import { trimHeap } from "../sessions/native/heap_trim.ts";

/** What sessions must have weighed for the heap to be trimmed behind them: less is not worth the time. */
const TRIMMED_BYTES = 16 * 2 ** 20;

/** A lease whose session is idle. */
interface Resting {
  readonly evicted: () => void;
}

interface Entry {
  /** Who wants to hear of its end. */
  readonly resting: Set<Resting>;
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
  /**
   * Returns the lease until {@linkcode resume}; the session may be closed from now on, and `evicted` is called
   * right before that. Not called after `release`.
   */
  rest(evicted: () => void): Promise<void>;
  /** Takes the session up again after {@linkcode rest}; false when it was closed: then the lease is over. */
  resume(): boolean;
}

/** Sessions by content hash. */
export class SessionPool {
  readonly #entries = new Map<string, Entry>();
  /** Sessions that are being closed and no longer listed. */
  readonly #ending = new Set<Promise<void>>();
  readonly #idleByteBudget: number;
  #clock = 0;
  /** Of the sessions that were closed. */
  #endedByteLength = 0;
  #isClosed = false;

  readonly #trimHeap: () => Promise<unknown>;

  /** Makes a pool; only tests pass another `trim`. */
  constructor(idleByteBudget: number, trim: () => Promise<unknown> = trimHeap) {
    this.#idleByteBudget = idleByteBudget;
    this.#trimHeap = trim;
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
      entry = { key, session: open(), byteLength, users: 0, lastUsed: 0, resting: new Set() };
      this.#entries.set(key, entry);
    }
    const held = entry;
    held.users++;
    try {
      return this.#leaseOf(held, await held.session);
    } catch (error) {
      held.users--;
      if (this.#entries.get(key) === held) this.#entries.delete(key);
      throw error;
    }
  }

  /**
   * Closes every session, also those that are being opened, waits for the runs in flight, and gives the
   * memory of large ones back to the system.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const entry of [...this.#entries.values()]) this.#end(entry).catch(() => {});
    const ended = await Promise.allSettled([...this.#ending]);
    if (this.#endedByteLength >= TRIMMED_BYTES) await this.#trimHeap();
    this.#endedByteLength = 0;
    const failed = ended.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  #leaseOf(entry: Entry, session: EngineSession): SessionLease {
    let isReturned = false;
    let resting: Resting | null = null;
    const leave = async (): Promise<void> => {
      if (isReturned) return;
      isReturned = true;
      entry.users--;
      entry.lastUsed = ++this.#clock;
      await this.#trim();
    };
    return {
      session,
      release: async () => {
        if (resting !== null) entry.resting.delete(resting);
        await leave();
      },
      rest: async (evicted) => {
        resting = { evicted };
        entry.resting.add(resting);
        await leave();
      },
      resume: () => {
        if (resting === null) return !isReturned;
        entry.resting.delete(resting);
        resting = null;
        if (this.#entries.get(entry.key) !== entry) return false;
        isReturned = false;
        entry.users++;
        return true;
      },
    };
  }

  async #trim(): Promise<void> {
    let idleByteLength = 0;
    for (const { users, byteLength } of this.#entries.values()) {
      if (users === 0) idleByteLength += byteLength;
    }
    if (!this.#isClosed && idleByteLength <= this.#idleByteBudget) return; // as a rule
    const idle = [...this.#entries.values()].filter((entry) => entry.users === 0)
      .sort((left, right) => left.lastUsed - right.lastUsed);
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
    for (const { evicted } of entry.resting) evicted();
    entry.resting.clear();
    this.#endedByteLength += entry.byteLength;
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
