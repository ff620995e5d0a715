// Which rows of the module tree are open and shown, and where a key leads: the ARIA tree pattern without a
// browser. Part of the page's script: the functions use their arguments and one another, nothing else.

/** What is known of the rows. */
export interface TreeState {
  /** The row around each row; -1 at the top. */
  readonly parents: readonly number[];
  readonly hasChildren: readonly boolean[];
  readonly isExpanded: boolean[];
  /** Whether the filter lets a row through; all true without a filter. */
  readonly isMatch: boolean[];
  readonly isShown: boolean[];
  isFiltered: boolean;
}

/** What a key asks for: another row, or an open or shut one. */
export interface TreeMove {
  /** The row to go to, or -1. */
  readonly next: number;
  /** Whether rows were opened or shut. */
  readonly isChanged: boolean;
}

/** All rows open. */
export function newTreeState(depths: readonly number[]): TreeState {
  const open: number[] = [];
  const hasChildren = depths.map(() => false);
  const parents = depths.map((depth, at) => {
    open.length = depth;
    open.push(at);
    const parent = depth === 0 ? -1 : open[depth - 1] as number;
    if (parent >= 0) hasChildren[parent] = true;
    return parent;
  });
  return {
    parents,
    hasChildren,
    isExpanded: [...hasChildren],
    isMatch: depths.map(() => true),
    isShown: depths.map(() => true),
    isFiltered: false,
  };
}

/** Works out which rows are shown: a filter shows what it finds, open or not. */
export function updateShown(state: TreeState): void {
  const { parents, isExpanded, isMatch, isShown, isFiltered } = state;
  const isReached = parents.map(() => true);
  for (let at = 0; at < parents.length; at++) {
    const parent = parents[at] as number;
    isReached[at] = parent < 0 || isReached[parent] === true && isExpanded[parent] === true;
    isShown[at] = isFiltered ? isMatch[at] === true : isReached[at] === true;
  }
}

/** Lets through the rows that are wanted, and those around them; tells how many are wanted. */
export function filterRows(state: TreeState, isWanted: ((row: number) => boolean) | null): number {
  const { parents, isMatch } = state;
  state.isFiltered = isWanted !== null;
  isMatch.fill(isWanted === null);
  let found = isWanted === null ? isMatch.length : 0;
  for (let at = 0; at < isMatch.length && isWanted !== null; at++) {
    if (!isWanted(at)) continue;
    found++;
    for (let up = at; up >= 0 && isMatch[up] !== true; up = parents[up] as number) {
      isMatch[up] = true;
    }
  }
  updateShown(state);
  return found;
}

/** Opens all that lies around a row; true when something was shut. */
export function openAround({ parents, isExpanded }: TreeState, row: number): boolean {
  let isChanged = false;
  for (let at = parents[row] as number; at >= 0; at = parents[at] as number) {
    if (isExpanded[at] === true) continue;
    isExpanded[at] = true;
    isChanged = true;
  }
  return isChanged;
}

/** The next shown row in a direction; -1 when there is none. */
export function shownRow({ isShown }: TreeState, from: number, by: 1 | -1): number {
  let at = from + by;
  while (at >= 0 && at < isShown.length && isShown[at] !== true) at += by;
  return at >= 0 && at < isShown.length ? at : -1;
}

/**
 * What a key does at a row; null for a key that the tree has no use for. Right opens or goes in, left shuts
 * or goes out, Enter and space do either, `*` opens all siblings, a letter goes to the next name with it.
 */
export function treeKey(
  state: TreeState,
  row: number,
  key: string,
  names: readonly string[],
): TreeMove | null {
  const { parents, hasChildren, isExpanded, isFiltered } = state;
  const goTo = (next: number): TreeMove => ({ next, isChanged: false });
  const setOpen = (to: boolean): TreeMove => {
    const isChanged = hasChildren[row] === true && isExpanded[row] !== to;
    if (isChanged) isExpanded[row] = to;
    return { next: -1, isChanged };
  };
  const isOpen = hasChildren[row] === true && (isFiltered || isExpanded[row] === true);
  switch (key) {
    case "ArrowDown":
      return goTo(shownRow(state, row, 1));
    case "ArrowUp":
      return goTo(shownRow(state, row, -1));
    case "Home":
      return goTo(shownRow(state, -1, 1));
    case "End":
      return goTo(shownRow(state, parents.length, -1));
    case "ArrowRight":
      return isOpen ? goTo(shownRow(state, row, 1)) : setOpen(true);
    case "ArrowLeft":
      return isOpen && !isFiltered ? setOpen(false) : goTo(parents[row] as number);
    case "Enter":
    case " ":
      return setOpen(isExpanded[row] !== true);
    case "*":
      for (let at = 0; at < parents.length; at++) {
        if (parents[at] === parents[row] && hasChildren[at] === true) isExpanded[at] = true;
      }
      return { next: -1, isChanged: true };
    default:
      return key.length === 1 && key !== "/" ? goTo(namedRow(state, row, key, names)) : null;
  }
}

/** The next shown row, round the end, whose name begins with a letter. */
export function namedRow(
  state: TreeState,
  row: number,
  letter: string,
  names: readonly string[],
): number {
  for (let step = 1; step <= names.length; step++) {
    const at = (row + step) % names.length;
    const isNamed = names[at]?.toLowerCase().startsWith(letter.toLowerCase()) === true;
    if (isNamed && state.isShown[at] === true) return at;
  }
  return -1;
}
