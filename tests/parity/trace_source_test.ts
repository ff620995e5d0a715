import assert from "node:assert/strict";
import { TraceSource } from "../../parity/trace_source.ts";
import { row, TraceFolder } from "./_traces.ts";

Deno.test("TraceSource tells records from headers, notes and other lines", async () => {
  using folder = new TraceFolder();
  const header = { type: "header", format: "hookline-trace", model: "m.onnx" };
  const path = folder.write([
    header,
    row("a"),
    { type: "note", module: "b", tensor: "out", message: "string elements have no statistics" },
    { module: "a" },
    { module: "a", tensor: "out", step: "3" },
    "7",
    "null",
    row("b", { step: 4 }),
  ]);
  await using source = await TraceSource.open(path);
  const outlook = await source.lookAhead(3);
  assert.deepEqual([...outlook.modules], ["a", "b"]);
  assert.equal(outlook.isNumbered, false);
  const lines: number[] = [];
  while (await source.refill()) {
    for (let record = source.take(); record !== null; record = source.take()) {
      lines.push(source.line);
    }
  }
  assert.deepEqual(lines, [2, 8]);
  assert.deepEqual(source.headers, [header]);
  assert.deepEqual(source.notes, ["b out: string elements have no statistics"]);
  assert.deepEqual(source.damage.map(({ line }) => line), [4, 5, 6, 7]);
  assert.deepEqual([source.recordCount, source.lineCount, source.damageCount], [2, 8, 4]);
});

Deno.test("TraceSource sees whether calls are numbered", async () => {
  using folder = new TraceFolder();
  await using source = await TraceSource.open(folder.write([row("a", { call: 3 })]));
  assert.equal((await source.lookAhead(10)).isNumbered, true);
});
