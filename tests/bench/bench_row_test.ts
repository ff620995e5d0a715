import assert from "node:assert/strict";
import { compareSamples, formatTable, makeRow } from "../../bench/bench_row.ts";

const COMPARISON = { name: "case", versus: "the peer", unit: "ms" } as const;

Deno.test("compareSamples() takes the median of the rounds' ratios", () => {
  // A slow second round slows both: the ratio stays.
  const row = compareSamples({ ...COMPARISON, ours: [11, 110, 11], peer: [10, 100, 10] });
  assert.ok(Math.abs(row.ratio - 1.1) < 1e-12);
  assert.ok(Math.abs(row.upper - 1.1) < 1e-12);
  assert.equal(row.value, 11);
  assert.equal(row.peer, 10);
  assert.equal(row.runs, 3);
  assert.equal(row.overhead, 1);
  assert.equal(row.spread, 49.5);
});

Deno.test("compareSamples() reports microseconds of samples in milliseconds", () => {
  const row = compareSamples({ ...COMPARISON, unit: "µs", ours: [0.003], peer: [0.001] });
  assert.ok(Math.abs(row.value - 3) < 1e-12);
  assert.ok(Math.abs(row.overhead - 2) < 1e-12);
  assert.ok(Math.abs(row.ratio - 3) < 1e-12);
});

Deno.test("makeRow() says whether the target's field is low enough", () => {
  const samples = { name: "case", versus: "the peer", unit: "MB", ours: [100], peer: [50] };
  const met = (field: "ratio" | "value", limit: number) =>
    makeRow({ ...samples, target: { field, limit } }).met;
  assert.equal(met("value", 100), true);
  assert.equal(met("value", 99), false);
  assert.equal(met("ratio", 1.9), false);
  assert.equal(makeRow(samples).met, null);
});

Deno.test("makeRow() refuses samples that do not pair up", () => {
  assert.throws(() => makeRow({ ...COMPARISON, ours: [1, 2], peer: [1] }), RangeError);
});

Deno.test("a row has every field of the machine-readable face", () => {
  const row = compareSamples({ ...COMPARISON, ours: [1], peer: [2] });
  for (const field of ["name", "ratio", "versus", "unit", "value", "peer", "runs", "spread"]) {
    assert.ok(field in row, field);
  }
});

Deno.test("formatTable() aligns the rows and names a missed target", () => {
  const table = formatTable([
    compareSamples({
      ...COMPARISON,
      ours: [3],
      peer: [2],
      target: { field: "upper", limit: 1.02 },
    }),
    compareSamples({ ...COMPARISON, name: "a longer case", ours: [1], peer: [2] }),
  ]);
  const [head = "", first = "", second = ""] = table.split("\n");
  assert.equal(head.indexOf("ratio"), second.indexOf("0.5000"));
  assert.match(first, /upper 1\.500 ≤ 1\.02: MISSED$/);
  assert.match(table, /a longer case: over the peer/);
});
