import assert from "node:assert/strict";
import { compareHeaders, headerNotes } from "../../parity/trace_headers.ts";

const HEADER = {
  type: "header",
  run: 0,
  model: "m.onnx",
  structureHash: "aa",
  optimization: "all",
  versions: { onnxruntime: "1.29.0", hookline: "0.1.0" },
  stats: ["sum"],
};

Deno.test("compareHeaders() gives every field that differs, nested ones by a dotted name", () => {
  const other = {
    ...HEADER,
    run: 900,
    optimization: "disabled",
    versions: { onnxruntime: "1.30.0", hookline: "0.1.0" },
    stats: ["sum", "max"],
    extra: true,
  };
  assert.deepEqual(compareHeaders(HEADER, other), [
    { field: "extra", reference: null, candidate: true },
    { field: "optimization", reference: "all", candidate: "disabled" },
    { field: "stats", reference: ["sum"], candidate: ["sum", "max"] },
    { field: "versions.onnxruntime", reference: "1.29.0", candidate: "1.30.0" },
  ]);
  assert.deepEqual(compareHeaders(HEADER, { ...HEADER, run: 7 }), []);
});

Deno.test("headerNotes() says what a difference means", () => {
  const notes = headerNotes(
    compareHeaders(HEADER, { ...HEADER, structureHash: "bb", inputsHash: "c", constructor: 1 }),
  );
  assert.equal(notes.length, 2);
  assert.match(notes.join(), /other inputs.*another structure/);
});
