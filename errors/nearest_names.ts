// Did-you-mean for names: used wherever a name or pattern is not found. Deterministic: ties break by
// code unit order.

function editDistance(left: string, right: string, limit: number): number {
  if (Math.abs(left.length - right.length) > limit) return limit + 1;
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    let best = row;
    for (let column = 1; column <= right.length; column++) {
      const substitution = (previous[column - 1] ?? 0) +
        (left.charCodeAt(row - 1) === right.charCodeAt(column - 1) ? 0 : 1);
      const value = Math.min(
        substitution,
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
      );
      current.push(value);
      if (value < best) best = value;
    }
    if (best > limit) return limit + 1;
    previous = current;
  }
  return previous[right.length] ?? limit + 1;
}

/**
 * The names nearest to `wanted` by edit distance, best first; a name that contains `wanted` counts as
 * near. At most `count` names, never the empty one; empty when nothing is near.
 */
export function nearestNames(
  wanted: string,
  names: Iterable<string>,
  count = 3,
): string[] {
  const key = wanted.slice(0, 200);
  const limit = Math.max(2, Math.floor(key.length / 2));
  const scored: { name: string; distance: number }[] = [];
  for (const name of names) {
    if (name === "" || name.length > 400) continue; // the model itself has no name to offer
    const contains = key.length > 0 && name.includes(key);
    const distance = contains ? 1 : editDistance(key, name, limit);
    if (distance <= limit) scored.push({ name, distance });
  }
  scored.sort((left, right) =>
    left.distance - right.distance ||
    (left.name < right.name ? -1 : left.name > right.name ? 1 : 0)
  );
  return scored.slice(0, count).map((entry) => entry.name);
}
