import assert from "node:assert/strict";
import { diffHeat } from "../../../parity/report/diff_heat.ts";
import { diffTraces } from "../../../parity/trace_diff.ts";
import { row, TraceFolder } from "../_traces.ts";

Deno.test("diffHeat() gathers what each step of a diff was off by, and how many pairs lie on each level", async () => {
  using folder = new TraceFolder();
  const rows = [0, 1, 2].flatMap((step) => [row("a", { step }), row("b", { step })]);
  const other = rows.map((item) =>
    item["step"] === 2 && item["module"] === "b"
      ? { ...item, max: 3 }
      : item["step"] === 1
      ? { ...item, max: "NaN" }
      : item
  );
  const heat = diffHeat();
  const diff = await diffTraces(folder.write(rows), folder.write(other), {
    onCompared: heat.onCompared,
  });
  const { grid, levels } = heat.finish();
  assert.deepEqual(grid.columns, ["0", "1", "2"]);
  assert.deepEqual(grid.series, [{ module: "a", tensor: "out" }, { module: "b", tensor: "out" }]);
  const worst = diff.modules.find(({ module }) => module === "b")?.ratio;
  assert.equal(worst, Infinity);
  const [a, b] = grid.cells(0);
  assert.deepEqual(a, [0, Infinity, 0]);
  assert.deepEqual(b?.slice(0, 2), [0, Infinity]);
  assert.ok((b?.[2] ?? 0) > 10_000 && (b?.[2] ?? 0) < Infinity);
  assert.deepEqual(levels.get("b"), [1, 0, 0, 0, 0, 0, 1, 1]);
  assert.deepEqual(levels.get("a"), [2, 0, 0, 0, 0, 0, 0, 1]);
});
