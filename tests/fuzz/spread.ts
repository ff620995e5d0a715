// A few of many, evenly spread.

/** At most `count` of the items, from first to last, in order. */
export function spread<Item>(items: readonly Item[], count: number): Item[] {
  if (items.length <= count) return [...items];
  return Array.from(
    { length: count },
    (_, index) => items[Math.floor(index * items.length / count)] as Item,
  );
}
