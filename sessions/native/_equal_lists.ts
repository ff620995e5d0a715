// Lists by their items: shapes and names of calls.

/** Whether two lists hold the same items in the same order. It is asked for every call and allocates nothing. */
export function isEqual<Item>(left: readonly Item[], right: readonly Item[]): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) {
    if (left[index] !== right[index]) return false;
  }
  return true;
}
