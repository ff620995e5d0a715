import assert from "node:assert/strict";
import { encodeCells } from "../../../parity/report/_cells.ts";
import { cellAt, levelOf, numberText } from "../../../parity/report/_page_values.ts";

Deno.test("encodeCells() keeps five digits of every magnitude, and what is no number", () => {
  const special = [null, 0, NaN, Infinity, -Infinity, 1, -1.5, 2 ** -149];
  const text = encodeCells(special);
  assert.deepEqual(special.map((_, at) => cellAt(text, at)).slice(0, 7), special.slice(0, 7));
  assert.match(text, /^[A-Za-z0-9_-]*$/);
  const many = Array.from({ length: 4_000 }, (_, at) => Math.sin(at) * 10 ** ((at % 70) - 33));
  const cells = encodeCells(many);
  assert.equal(cells.length, 4 * many.length);
  for (const [at, value] of many.entries()) {
    const shown = cellAt(cells, at) ?? NaN;
    assert.ok(Math.abs(shown - value) <= 2 ** -16 * Math.abs(value) + 1e-40, `${value} ${shown}`);
  }
  const huge = cellAt(encodeCells([1e300]), 0) ?? 0;
  assert.ok(huge > 3e38 && huge < Infinity);
});

Deno.test("levelOf() ranks by edges, and numberText() writes three digits", () => {
  const edges = [0.1, 1, 10, 100, 1e4];
  const values = [null, 0, -0, 0.1, 0.11, 1, -5, 100, 101, 1e5, NaN, -Infinity];
  assert.deepEqual(values.map((value) => levelOf(value, edges)), [
    -1,
    0,
    0,
    1,
    2,
    2,
    3,
    4,
    5,
    6,
    7,
    7,
  ]);
  assert.deepEqual(
    [0, -0, 1234, 0.001234, 0.00012345, -1e5, 123456, NaN, Infinity].map(numberText),
    ["0", "0", "1230", "0.00123", "1.23e-4", "-1e5", "1.23e5", "NaN", "Infinity"],
  );
});
