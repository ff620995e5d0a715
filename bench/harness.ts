// Runs contestants side by side in one process, round after round, one sample each a round: whatever
// slows the machine down for a while slows all of them. It knows clocks and callbacks, nothing of what
// is measured. Only ratios of one race mean anything; its times are those of a busy machine.

/** Something to be timed. */
export interface Contestant {
  /** Its name in the race. */
  readonly name: string;
  /** Does the work once. A promise is awaited. */
  run(): unknown;
}

/** How long to race. */
export interface RaceOptions {
  /** Rounds that count. */
  readonly rounds: number;
  /** Rounds before, which do not; 3 when left out. */
  readonly warmup?: number;
  /** How often a sample does the work: more where the work is shorter than the clock is fine. */
  readonly repeat?: number;
  /** The clock, in milliseconds. */
  readonly now?: () => number;
}

/** What was measured. */
export interface Race {
  /** Rounds that counted. */
  readonly rounds: number;
  /** Rounds on the same opened contestants: consecutive samples belong together in such groups. */
  readonly groupLength: number;
  /**
   * One number a round, in round order: milliseconds for doing the work once.
   *
   * @throws {RangeError} when no contestant has this name.
   */
  samples(name: string): readonly number[];
  /** One number a round, computed from the named contestants' samples of that round. */
  series(names: readonly string[], combine: (...samples: number[]) => number): readonly number[];
}

/**
 * Races the contestants: A B C A B C …
 *
 * @throws {RangeError} when two contestants share a name or there is no round.
 */
export async function race(
  contestants: readonly Contestant[],
  options: RaceOptions,
): Promise<Race> {
  const { rounds, warmup = 3, repeat = 1, now = () => performance.now() } = options;
  const samples = new Map<string, number[]>();
  for (const { name } of contestants) samples.set(name, []);
  if (samples.size !== contestants.length) throw new RangeError("two contestants share a name");
  if (!(rounds >= 1) || !(repeat >= 1)) throw new RangeError("a race needs a round and a repeat");
  for (let round = -warmup; round < rounds; round++) {
    for (const contestant of contestants) {
      const start = now();
      for (let count = 0; count < repeat; count++) await contestant.run();
      const elapsedMs = (now() - start) / repeat;
      if (round >= 0) samples.get(contestant.name)?.push(elapsedMs);
    }
  }
  return raceOf(samples, { rounds, groupLength: rounds });
}

/** Contestants that hold something open. */
export interface OpenedContestants extends AsyncDisposable {
  /** Who races. */
  readonly contestants: readonly Contestant[];
}

/**
 * Races contestants that are opened anew several times. Two sessions of one model differ by some
 * percent from opening to opening (where their memory came to lie), which no number of rounds on one
 * pair averages out. Every second opening runs in reverse order: C B A C B A …
 *
 * `options.rounds` is the number of all rounds; it is rounded up to the same for every opening.
 */
export async function raceReopened(
  open: (opening: number) => Promise<OpenedContestants>,
  options: RaceOptions & { readonly openings: number },
): Promise<Race> {
  const openings = Math.min(options.openings, options.rounds);
  const rounds = Math.ceil(options.rounds / openings);
  const samples = new Map<string, number[]>();
  for (let opening = 0; opening < openings; opening++) {
    await using opened = await open(opening);
    const order = opening % 2 === 0 ? opened.contestants : opened.contestants.toReversed();
    const found = await race(order, { ...options, rounds });
    for (const { name } of order) {
      samples.set(name, [...samples.get(name) ?? [], ...found.samples(name)]);
    }
  }
  return raceOf(samples, { rounds: rounds * openings, groupLength: rounds });
}

function raceOf(
  samples: ReadonlyMap<string, readonly number[]>,
  facts: { readonly rounds: number; readonly groupLength: number },
): Race {
  const samplesOf = (name: string): readonly number[] => {
    const found = samples.get(name);
    if (found === undefined) throw new RangeError(`no contestant is called "${name}"`);
    return found;
  };
  return {
    ...facts,
    samples: samplesOf,
    series(names, combine) {
      const columns = names.map(samplesOf);
      return Array.from(
        { length: facts.rounds },
        (_, round) => combine(...columns.map((column) => column[round] ?? NaN)),
      );
    },
  };
}
