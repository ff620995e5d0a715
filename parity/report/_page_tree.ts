// The module tree of the page as elements: rows with a level, a number and a strip of the heat map. Part of
// the page's script: the functions use their arguments and one another, nothing else.

import type { PageDocument, PageElement, PageEvent } from "./_page_dom.ts";
import {
  filterRows,
  newTreeState,
  openAround,
  treeKey,
  type TreeState,
  updateShown,
} from "./_page_tree_state.ts";
import { cellAt, levelOf, valueText } from "./_page_values.ts";
import type { Measure, ModuleRow, PageData } from "./_report_content.ts";

/** The elements of a row. */
export interface RowParts {
  readonly element: PageElement;
  readonly chip: PageElement;
  readonly inside: PageElement;
  readonly value: PageElement;
  readonly strip: PageElement;
}

/** The tree as the rest of the page sees it. */
export interface PageTree {
  readonly parts: readonly RowParts[];
  /** The selected row, or -1. */
  readonly selected: () => number;
  readonly select: (row: number, isFocused: boolean) => void;
  /** Shows what a text finds in path, class or badge, and what lies around it; tells how many. */
  readonly filter: (text: string, isOnlyBad: boolean) => number;
  readonly expandAll: (isExpanded: boolean) => void;
  readonly showMeasure: (measure: Measure) => void;
}

/** Builds the rows into `root`. */
export function buildTree(
  page: PageDocument,
  root: PageElement,
  data: PageData,
  onSelect: (row: number) => void,
): PageTree {
  const { rows } = data;
  const state = newTreeState(rows.map(({ depth }) => depth));
  const names = rows.map(({ name }) => name);
  const parts = rows.map((row, at) => rowParts(page, row, at));
  let selected = -1;
  let measure = data.measures[0] as Measure;

  const show = (): void => {
    updateShown(state);
    parts.forEach(({ element }, at) => {
      const isHidden = state.isShown[at] !== true;
      if (element.hidden !== isHidden) element.hidden = isHidden;
      if (state.hasChildren[at] !== true) return;
      const isOpen = state.isFiltered || state.isExpanded[at] === true;
      element.setAttribute("aria-expanded", String(isOpen));
    });
    // A row that is hidden cannot have the focus: the selection goes to what is seen of its place.
    let seen = selected;
    while (seen >= 0 && state.isShown[seen] !== true) seen = state.parents[seen] as number;
    if (seen < 0) seen = state.isShown.indexOf(true);
    if (selected >= 0 && seen >= 0 && seen !== selected) select(seen, false);
  };
  const select = (row: number, isFocused: boolean): void => {
    const next = parts[row]?.element;
    if (next === undefined) return;
    if (openAround(state, row)) show();
    const before = parts[selected]?.element;
    before?.setAttribute("aria-selected", "false");
    if (before !== undefined) before.tabIndex = -1;
    selected = row;
    next.setAttribute("aria-selected", "true");
    next.tabIndex = 0;
    if (isFocused) next.focus();
    onSelect(row);
  };
  const onKey = (event: PageEvent): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.shiftKey && event.key !== "*") return;
    const move = treeKey(state, selected, event.key, names);
    if (move === null) return;
    event.preventDefault();
    if (move.isChanged) show();
    if (move.next >= 0) select(move.next, true);
  };
  const onClick = ({ target }: PageEvent): void => {
    const row = Number(target.closest(".row")?.dataset["row"] ?? -1);
    if (row < 0) return;
    if (target.className === "twist" && treeKey(state, row, "Enter", names)?.isChanged === true) {
      show();
    }
    select(row, true);
  };

  root.append(...parts.map(({ element }) => element));
  markPlaces(state, parts);
  const worst = showMeasure(data, measure, state, parts);
  // A large tree opens where something is wrong, and on its first level.
  if (rows.length > 150) {
    const least = measure.isTolerance ? 3 : 7;
    rows.forEach(({ depth }, at) => {
      state.isExpanded[at] = state.hasChildren[at] === true &&
        (depth === 0 || (worst[at] as number) >= least);
    });
  }
  show();
  root.addEventListener("keydown", onKey);
  root.addEventListener("click", onClick);
  return {
    parts,
    selected: () => selected,
    select,
    filter(text, isOnlyBad) {
      const wanted = text.trim().toLowerCase();
      const least = measure.isTolerance ? 3 : 7;
      const isWanted = (at: number): boolean => {
        const { path, about, badge } = rows[at] as ModuleRow;
        return `${path}\n${about}\n${badge}`.toLowerCase().includes(wanted) &&
          (!isOnlyBad || levelOf(cellAt(measure.values, at), measure.edges) >= least);
      };
      const found = filterRows(state, wanted !== "" || isOnlyBad ? isWanted : null);
      show();
      return found;
    },
    expandAll(isExpanded) {
      state.hasChildren.forEach((has, at) => state.isExpanded[at] = has && isExpanded);
      show();
    },
    showMeasure(next) {
      measure = next;
      showMeasure(data, next, state, parts);
    },
  };
}

/** A row's elements, still without numbers. */
export function rowParts(page: PageDocument, row: ModuleRow, at: number): RowParts {
  const element = page.createElement("div");
  element.className = "row";
  element.dataset["row"] = String(at);
  element.style.setProperty("--depth", String(row.depth));
  element.setAttribute("role", "treeitem");
  element.setAttribute("aria-level", String(row.depth + 1));
  element.setAttribute("aria-selected", "false");
  element.tabIndex = -1;
  const part = (name: string, className: string, text: string): PageElement => {
    const made = page.createElement(name);
    made.className = className;
    made.textContent = text;
    element.append(made);
    return made;
  };
  part("span", "twist", "");
  const chip = part("span", "chip", "");
  part("span", "name", row.name);
  if (row.badge !== "") part("span", "badge", row.badge);
  part("span", "about", row.about);
  const inside = part("span", "inside", "");
  const value = part("span", "value", "");
  const strip = part("canvas", "strip", "");
  strip.setAttribute("aria-hidden", "true");
  return { element, chip, inside, value, strip };
}

/** Tells each row its place among its siblings. */
export function markPlaces({ parents }: TreeState, parts: readonly RowParts[]): void {
  const sizes = new Map<number, number>();
  const places = parents.map((parent) => {
    const place = (sizes.get(parent) ?? 0) + 1;
    sizes.set(parent, place);
    return place;
  });
  parts.forEach(({ element }, at) => {
    element.setAttribute("aria-posinset", String(places[at]));
    element.setAttribute("aria-setsize", String(sizes.get(parents[at] as number)));
  });
}

/** Writes a measure's numbers and levels into the rows; gives the worst level in and below each. */
export function showMeasure(
  { rows }: PageData,
  measure: Measure,
  { parents }: TreeState,
  parts: readonly RowParts[],
): number[] {
  const levels = rows.map((_, at) => levelOf(cellAt(measure.values, at), measure.edges));
  const worst = [...levels];
  for (let at = rows.length - 1; at >= 0; at--) {
    const parent = parents[at] as number;
    if (parent >= 0) worst[parent] = Math.max(worst[parent] as number, worst[at] as number);
  }
  const sign = (level: number): string => level < 0 ? "·" : level === 7 ? "!" : String(level);
  rows.forEach(({ path, name, about, badge }, at) => {
    const { element, chip, inside, value } = parts[at] as RowParts;
    const level = levels[at] as number;
    const deeper = worst[at] as number;
    const text = valueText(cellAt(measure.values, at), measure.isTolerance);
    element.dataset["level"] = String(level);
    chip.className = level < 0 ? "chip none" : `chip l${level}`;
    chip.textContent = sign(level);
    value.textContent = text;
    value.classList.toggle("bad", measure.isTolerance && level > 2);
    inside.className = deeper > level ? `inside l${deeper}` : "inside";
    inside.textContent = deeper > level ? `inside: ${sign(deeper)}` : "";
    const said = [path === "" ? name : path, about, badge, `${measure.name} ${text || "none"}`];
    element.setAttribute("aria-label", said.filter((word) => word !== "").join(", "));
  });
  return worst;
}
