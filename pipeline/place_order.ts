// A topological order that is as near to a wanted one as edges allow. It knows neither nodes nor hooks.
// Invariant: the order depends on places and edges alone, and where the wanted order satisfies all
// edges, it is the result.

/** Something to be placed. */
export interface Placed<Item> {
  /** Where it is wanted: compared number by number, a prefix first. No two items have one place. */
  readonly place: readonly number[];
  /** What must come before. */
  readonly hard: ReadonlySet<Item>;
  /** What should come before. */
  readonly soft: ReadonlySet<Item>;
}

/**
 * Sorts topologically (Kahn), always the ready item with the first place; where nothing is ready, the
 * first item that only soft edges hold back goes next.
 */
export function placeOrder<Item extends Placed<Item>>(
  items: readonly Item[],
): { readonly order: readonly Item[]; readonly stuck: readonly Item[] } {
  const byPlace = [...items].sort((left, right) => comparePlaces(left.place, right.place));
  const rank = new Map(byPlace.map((draft, index) => [draft, index]));
  const hard = byPlace.map((draft) => draft.hard.size);
  const soft = byPlace.map((draft) => draft.soft.size);
  const hardOf: number[][] = byPlace.map(() => []);
  const softOf: number[][] = byPlace.map(() => []);
  for (const [index, draft] of byPlace.entries()) {
    for (const earlier of draft.hard) {
      hardOf[rank.get(earlier) as number]?.push(index);
    }
    for (const earlier of draft.soft) softOf[rank.get(earlier) as number]?.push(index);
  }
  const isDone = byPlace.map(() => false);
  const ready = new RankQueue(byPlace.length);
  const offer = (index: number): void => {
    if (hard[index] === 0 && soft[index] === 0 && !isDone[index]) ready.add(index);
  };
  byPlace.forEach((_, index) => offer(index));
  const order: Item[] = [];
  while (order.length < byPlace.length) {
    let next = ready.take();
    if (next === undefined) {
      next = byPlace.findIndex((_, index) => !isDone[index] && hard[index] === 0);
      if (next < 0) {
        return {
          order,
          stuck: circlesIn(byPlace.filter((_, index) => !isDone[index])),
        };
      }
    }
    isDone[next] = true;
    order.push(byPlace[next] as Item);
    for (const later of hardOf[next] ?? []) {
      hard[later] = (hard[later] as number) - 1;
      offer(later);
    }
    for (const later of softOf[next] ?? []) {
      soft[later] = (soft[later] as number) - 1;
      offer(later);
    }
  }
  return { order, stuck: [] };
}

/** Of items that wait, those that wait for one another; what only waits for them is left out. */
function circlesIn<Item extends Placed<Item>>(waiting: readonly Item[]): readonly Item[] {
  const waiters = new Map(waiting.map((item) => [item, 0]));
  const count = (item: Item, change: number): number => {
    const left = (waiters.get(item) ?? 0) + change;
    if (waiters.has(item)) waiters.set(item, left);
    return left;
  };
  for (const item of waiting) for (const earlier of item.hard) count(earlier, 1);
  const idle = waiting.filter((item) => waiters.get(item) === 0);
  for (let item = idle.pop(); item !== undefined; item = idle.pop()) {
    waiters.delete(item);
    for (const earlier of item.hard) {
      if (waiters.has(earlier) && count(earlier, -1) === 0) idle.push(earlier);
    }
  }
  return waiting.filter((item) => waiters.has(item));
}

/** Small whole numbers, smallest first. */
class RankQueue {
  readonly #isIn: Uint8Array;
  #lowest = 0;

  constructor(limit: number) {
    this.#isIn = new Uint8Array(limit);
  }

  add(rank: number): void {
    this.#isIn[rank] = 1;
    if (rank < this.#lowest) this.#lowest = rank;
  }

  take(): number | undefined {
    while (this.#lowest < this.#isIn.length) {
      if (this.#isIn[this.#lowest] === 1) {
        this.#isIn[this.#lowest] = 0;
        return this.#lowest;
      }
      this.#lowest++;
    }
    return undefined;
  }
}

function comparePlaces(left: readonly number[], right: readonly number[]): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const [a, b] = [left[index] as number, right[index] as number];
    if (a !== b) return a < b ? -1 : 1; // no difference: both may be infinite
  }
  return left.length - right.length;
}
