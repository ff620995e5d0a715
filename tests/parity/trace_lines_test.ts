import assert from "node:assert/strict";
import { MAX_LINE_BYTES, TraceLines } from "../../parity/trace_lines.ts";
import { TraceFolder } from "./_traces.ts";

interface ReadLines {
  readonly values: unknown[];
  readonly lines: number[];
  readonly damage: readonly { readonly line: number; readonly reason: string }[];
  readonly lineCount: number;
}

async function read(text: string): Promise<ReadLines> {
  using folder = new TraceFolder();
  await using source = await TraceLines.open(folder.text(text));
  const values: unknown[] = [];
  const lines: number[] = [];
  for (let batch = await source.next(); batch !== null; batch = await source.next()) {
    const { firstLine, lines: numbers } = batch;
    values.push(...batch.values);
    lines.push(...numbers ?? batch.values.map((_, at) => firstLine + at));
  }
  return { values, lines, damage: source.damage, lineCount: source.lineCount };
}

Deno.test("TraceLines reads every line with its number, whatever the block boundaries are", async () => {
  const rows = Array.from({ length: 30_000 }, (_, at) => ({ at, pad: "é".repeat(at % 90) }));
  const found = await read(rows.map((row) => JSON.stringify(row)).join("\n"));
  assert.deepEqual(found.values, rows);
  assert.deepEqual(found.lines, rows.map(({ at }) => at + 1));
  assert.deepEqual(found.damage, []);
});

Deno.test("TraceLines passes over blank lines, carriage returns and a byte order mark", async () => {
  const found = await read('\uFEFF{"a":1}\r\n\r\n\n{"a":2}\r\n');
  assert.deepEqual(found.values, [{ a: 1 }, { a: 2 }]);
  assert.deepEqual(found.lines, [1, 4]);
  assert.deepEqual(found.damage, []);
});

Deno.test("TraceLines takes bare NaN and Infinity for the strings, and leaves texts alone", async () => {
  const lines = [
    '{"std": NaN, "min":-Infinity,"list":[NaN,1, Infinity], "name":"a: NaN, \\"b\\": Infinity"}',
    '{"std": 1, "name":"x: NaN, y"}',
    '{"std": NaN}',
  ];
  const wanted = [
    { std: "NaN", min: "-Infinity", list: ["NaN", 1, "Infinity"], name: 'a: NaN, "b": Infinity' },
    { std: 1, name: "x: NaN, y" },
    { std: "NaN" },
  ];
  // Often enough that the fast way is taken as well once the file is known to have them.
  const many = Array.from({ length: 3_000 }, () => lines).flat();
  const found = await read(`${many.join("\n")}\n`);
  assert.deepEqual(found.damage, []);
  assert.equal(found.values.length, many.length);
  for (const [at, value] of found.values.entries()) assert.deepEqual(value, wanted[at % 3]);
});

Deno.test("TraceLines gives the good lines around damaged ones, with the numbers of both", async () => {
  const found = await read('{"a":1}\n{"a":2\n"b":3}\n{"a":4}\nnonsense\n{"a":5}\n{"a":');
  assert.deepEqual(found.values, [{ a: 1 }, { a: 4 }, { a: 5 }]);
  assert.deepEqual(found.lines, [1, 4, 6]);
  assert.deepEqual(found.damage.map(({ line }) => line), [2, 3, 5, 7]);
  assert.equal(found.damage.at(-1)?.reason, "the file ends inside it");
  assert.equal(found.lineCount, 7);
});

Deno.test("TraceLines reads a last line without an end, and an empty file", async () => {
  assert.deepEqual((await read('{"a":1}\n{"a":2}')).values, [{ a: 1 }, { a: 2 }]);
  assert.deepEqual((await read("")).values, []);
  assert.deepEqual((await read("\n\n")).values, []);
});

Deno.test("TraceLines reads a long line and passes over one that is too long", async () => {
  const long = { text: "x".repeat(3_000_000) };
  assert.deepEqual((await read(`${JSON.stringify(long)}\n{"a":1}\n`)).values, [long, { a: 1 }]);
  const found = await read(`{"a":0}\n"${"x".repeat(MAX_LINE_BYTES + 3_000_000)}"\n{"a":1}\n`);
  assert.deepEqual(found.values, [{ a: 0 }, { a: 1 }]);
  assert.deepEqual(found.lines, [1, 3]);
  assert.match(found.damage[0]?.reason ?? "", /longer than/);
});

Deno.test("TraceLines.open() refuses what cannot be read with FILE_READ", async () => {
  for (const path of ["/nowhere/trace.jsonl", "/tmp"]) {
    await assert.rejects(TraceLines.open(path), { code: "FILE_READ" });
  }
});
