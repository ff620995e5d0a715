// Where the shards of one run meet: every shard brings its part of an activation, the last one does the
// work for all, and each goes on with its own result. It knows no tensor.
//
// Invariant: nobody waits for a shard that will not come. When one fails or ends, the others are told.

import { fault } from "./_fault.ts";

interface Meeting {
  readonly brought: Map<number, unknown>;
  readonly waiting: Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void }
  >;
}

/** One run of a shard group. */
export class ShardRun {
  /** Which run of the group, from 0. */
  readonly runId: number;
  readonly #size: number;
  readonly #meetings = new Map<string, Meeting>();
  readonly #ended = new Set<number>();
  #failure: { readonly error: unknown } | null = null;

  /** A run of `size` shards. */
  constructor(runId: number, size: number) {
    this.runId = runId;
    this.#size = size;
  }

  /** The error that came first, or null. */
  get failure(): { readonly error: unknown } | null {
    return this.#failure;
  }

  /**
   * Brings `value` to the meeting `key` and waits until every shard has. `work` gets all values by rank
   * and returns one result a rank; it runs once, in the shard that came last.
   *
   * @throws what `work` threw, in every shard; HOOK_THROWN when another shard failed or ended.
   */
  async meet<Value, Result>(
    key: string,
    { rank, value }: { readonly rank: number; readonly value: Value },
    work: (values: readonly Value[]) => Promise<readonly Result[]>,
  ): Promise<Result> {
    if (this.#failure !== null) throw this.#abandoned(key, "failed", this.#failure.error);
    if (this.#ended.size > 0) throw this.#abandoned(key, "ended without coming here");
    const meeting = this.#meetings.get(key) ?? { brought: new Map(), waiting: new Map() };
    this.#meetings.set(key, meeting);
    meeting.brought.set(rank, value);
    if (meeting.brought.size < this.#size) {
      return await new Promise<Result>((resolve, reject) =>
        meeting.waiting.set(rank, { resolve: resolve as (value: unknown) => void, reject })
      );
    }
    this.#meetings.delete(key);
    const values = Array.from(
      { length: this.#size },
      (_, at) => meeting.brought.get(at) as Value,
    );
    try {
      const results = await work(values);
      for (const [at, { resolve }] of meeting.waiting) resolve(results[at]);
      return results[rank] as Result;
    } catch (error) {
      for (const { reject } of meeting.waiting.values()) reject(error);
      throw error;
    }
  }

  /** A shard failed: whoever waits is released. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#release("failed", this.#failure.error);
  }

  /** A shard has run to its end: whoever still waits for it waits in vain. */
  end(rank: number): void {
    this.#ended.add(rank);
    this.#release("ended without coming here");
  }

  #release(what: string, cause?: unknown): void {
    for (const [key, meeting] of this.#meetings) {
      this.#meetings.delete(key);
      const error = this.#abandoned(key, what, cause);
      for (const { reject } of meeting.waiting.values()) reject(error);
    }
  }

  #abandoned(key: string, what: string, cause?: unknown): Error {
    return fault("HOOK_THROWN", {
      message: `cannot gather the shards at ${key}: another shard ${what}`,
      fix: cause === undefined
        ? "register the hook on modules that every shard runs equally often"
        : "mend what this error's cause says",
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
