import assert from "node:assert/strict";
import {
  filterRows,
  newTreeState,
  openAround,
  treeKey,
  updateShown,
} from "../../../parity/report/_page_tree_state.ts";

// a            0
//   b          1
//     c        2
//     d        3
//   e          4
// bee          5
const DEPTHS = [0, 1, 2, 2, 1, 0];
const NAMES = ["a", "b", "c", "d", "e", "bee"];

Deno.test("treeKey() moves through the rows that are shown", () => {
  const state = newTreeState(DEPTHS);
  assert.deepEqual(state.parents, [-1, 0, 1, 1, 0, -1]);
  const go = (row: number, key: string) => treeKey(state, row, key, NAMES)?.next;
  assert.equal(go(0, "ArrowDown"), 1);
  assert.equal(go(5, "ArrowDown"), -1);
  assert.equal(go(3, "Home"), 0);
  assert.equal(go(0, "End"), 5);
  assert.equal(go(0, "ArrowRight"), 1);
  assert.equal(go(2, "ArrowRight"), -1);
  assert.equal(go(3, "ArrowLeft"), 1);
  assert.equal(go(1, "b"), 5);
  assert.equal(go(5, "B"), 1);
  assert.equal(treeKey(state, 0, "Tab", NAMES), null);
  assert.equal(treeKey(state, 0, "/", NAMES), null);
});

Deno.test("treeKey() shuts and opens, and goes past what is shut", () => {
  const state = newTreeState(DEPTHS);
  const press = (row: number, key: string) => {
    const move = treeKey(state, row, key, NAMES);
    updateShown(state);
    return move;
  };
  assert.deepEqual(press(1, "ArrowLeft"), { next: -1, isChanged: true });
  assert.deepEqual(state.isShown, [true, true, false, false, true, true]);
  assert.equal(press(1, "ArrowDown")?.next, 4);
  assert.equal(press(1, "ArrowLeft")?.next, 0);
  assert.equal(press(1, "c")?.next, -1);
  press(0, "Enter");
  assert.deepEqual(state.isShown, [true, false, false, false, false, true]);
  assert.equal(press(0, "*")?.isChanged, true);
  assert.deepEqual(state.isShown, [true, true, false, false, true, true]);
  assert.equal(openAround(state, 3), true);
  assert.equal(openAround(state, 3), false);
  assert.deepEqual(state.isExpanded, [true, true, false, false, false, false]);
});

Deno.test("filterRows() shows what is wanted with all around it, shut or not", () => {
  const state = newTreeState(DEPTHS);
  state.isExpanded.fill(false);
  updateShown(state);
  assert.equal(filterRows(state, (row) => NAMES[row] === "d"), 1);
  assert.deepEqual(state.isShown, [true, true, false, true, false, false]);
  assert.equal(treeKey(state, 1, "ArrowLeft", NAMES)?.next, 0);
  assert.equal(filterRows(state, null), 6);
  assert.deepEqual(state.isShown, [true, false, false, false, false, true]);
});
