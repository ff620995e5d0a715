// Decides where a run computes. On this thread a run saves some 70 µs of handing it over, but blocks the
// event loop; so only runs that were measured to be quick compute here, and when some milliseconds of them
// came in a row, the event loop turns first: a loop of awaited quick runs would otherwise never let a timer
// fire.

/** A run that took this long or longer computes on another thread the next time. */
const QUICK_MS = 1;
/** The longest that quick runs, and what happens between them, may keep the event loop waiting. */
const STREAK_MS = 4;
/** A longer pause between two quick runs was most likely a turn of the event loop. */
const LONGEST_GAP_MS = 1;

/** Where a run computes: here at once, here after a turn of the event loop, or on another thread. */
export type RunPlace = "here" | "after a turn" | "elsewhere";

/** The pacing of all runs of a process: they share one event loop. */
export class RunPacing {
  #streakMs = 0;
  #lastEndMs = -Infinity;

  /** Whether a run that took so long the last time may compute on this thread. */
  isQuick(elapsedMs: number): boolean {
    return elapsedMs < QUICK_MS;
  }

  /**
   * Where a run is to compute.
   *
   * @param elapsedMs What the last run of the same session and shapes took; null for the first one.
   * @param startMs The time.
   */
  placeOf(elapsedMs: number | null, startMs: number): RunPlace {
    if (elapsedMs === null || !this.isQuick(elapsedMs)) return "elsewhere";
    const streakMs = this.#streakMs + Math.min(startMs - this.#lastEndMs, LONGEST_GAP_MS);
    return streakMs + elapsedMs > STREAK_MS ? "after a turn" : "here";
  }

  /**
   * How many of these quick runs may compute on this thread, one right after the other, before the event
   * loop turns; none when it must turn first.
   *
   * @param elapsedMs What each of them took the last time.
   * @param from The first one that is left.
   * @param startMs The time.
   */
  burstOf(elapsedMs: Float64Array, from: number, startMs: number): number {
    let streakMs = this.#streakMs + Math.min(startMs - this.#lastEndMs, LONGEST_GAP_MS);
    let end = from;
    for (; end < elapsedMs.length; end++) {
      streakMs += elapsedMs[end] as number;
      if (streakMs > STREAK_MS) break;
    }
    return end - from;
  }

  /** Notes a run, or a burst of them, that computed on this thread. */
  endHere(elapsedMs: number, endMs: number): void {
    const gapMs = Math.min(endMs - elapsedMs - this.#lastEndMs, LONGEST_GAP_MS);
    this.#streakMs += gapMs + elapsedMs;
    this.#lastEndMs = endMs;
  }

  /** Notes that the event loop has turned. */
  turned(nowMs: number): void {
    this.#streakMs = 0;
    this.#lastEndMs = nowMs;
  }
}
