import assert from "node:assert/strict";
import { COLUMN_LIMIT, StepGrid } from "../../../parity/report/_step_grid.ts";

const at = (module: string, step: number | null, call = 0) => ({
  module,
  tensor: "out",
  step,
  call,
});

Deno.test("StepGrid keeps the largest magnitude of a cell, and NaN before all", () => {
  const grid = new StepGrid();
  for (const value of [1, -3, 2]) grid.add(at("a", 0, value), [value]);
  for (const value of [1, NaN, 9]) grid.add(at("a", 1), [value, null]);
  grid.add(at("b", 1), [null, 4]);
  const { columns, series, cells } = grid.finish();
  assert.deepEqual([columns, series.length], [["0", "1"], 2]);
  assert.deepEqual(cells(0), [[-3, NaN], [null, null]]);
  assert.deepEqual(cells(1), [[null, null], [null, 4]]);
});

Deno.test("StepGrid joins neighbouring columns when there are too many, or too many cells", () => {
  const long = new StepGrid();
  for (let step = 0; step < 10 * COLUMN_LIMIT; step++) long.add(at("a", step), [step]);
  const found = long.finish();
  assert.deepEqual([found.width, found.columns[1]], [16, "16–31"]);
  assert.equal(found.columns.length, 10 * COLUMN_LIMIT / 16);
  assert.deepEqual(found.cells(0)[0]?.slice(0, 2), [15, 31]);
  const wide = new StepGrid(40);
  for (let step = 0; step < 8; step++) {
    for (let module = 0; module < 10; module++) wide.add(at(`m${module}`, step), [step]);
  }
  const { columns, cells } = wide.finish();
  assert.deepEqual(columns, ["0–1", "2–3", "4–5", "6–7"]);
  assert.deepEqual(cells(0)[9], [1, 3, 5, 7]);
  const signs = new StepGrid(1);
  for (const step of [-1, 0]) signs.add(at("a", step), [step]);
  assert.deepEqual(signs.finish().cells(0), [[-1, 0]]);
});
