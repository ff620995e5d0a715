import assert from "node:assert/strict";
import { diffTraces } from "../../parity/trace_diff.ts";
import { fastvideoTrace, type Row, row, trace, TraceFolder } from "./_traces.ts";

async function diffRows(
  reference: readonly (Row | string)[],
  candidate: readonly (Row | string)[],
  options = {},
) {
  using folder = new TraceFolder();
  return await diffTraces(folder.write(reference), folder.write(candidate), options);
}

Deno.test("traceVerdict() calls two models with nothing in common incomparable, and shows both", async () => {
  const { status, problem, aligned } = await diffRows(
    [row("encoder.norm"), row("encoder.proj")],
    [row("encodr.norm"), row("z")],
  );
  assert.deepEqual([status, aligned, problem?.code], ["incomparable", 0, "TRACE_INCOMPARABLE"]);
  assert.match(problem?.message ?? "", /reference has "encoder.norm", .*candidate "encodr.norm"/);
  assert.deepEqual(problem?.details["candidateModules"], ["encodr.norm", "z"]);
});

Deno.test("traceVerdict() calls two models incomparable that share a name or two", async () => {
  const { status, aligned } = await diffTraces(fastvideoTrace("bert"), fastvideoTrace("vit"));
  assert.deepEqual([status, aligned], ["incomparable", 1]);
});

Deno.test("traceVerdict() says when the steps or the tensors are others", async () => {
  const steps = await diffRows([row("a", { step: 0 })], [row("a")]);
  assert.match(steps.problem?.message ?? "", /"a" is in both, at step 0 .* step null/);
  const tensors = await diffRows([row("a", { tensor: "out[1]" })], [row("a", { tensor: "in[0]" })]);
  assert.match(
    tensors.problem?.message ?? "",
    /"a" is in both, with tensors "out\[1\]", "in\[0\]"/,
  );
});

Deno.test("traceVerdict() calls traces on inputs of other sizes incomparable", async () => {
  const other = trace(6).map((item) => ({ ...item, shape: [3, 6] }));
  const { status, problem } = await diffRows(trace(6), other);
  assert.equal(status, "incomparable");
  assert.match(problem?.message ?? "", /6 of 6 pairs have another shape/);
  assert.match(problem?.fix ?? "", /same inputs/);
});

Deno.test("traceVerdict() says that inputs may be others when the very first record differs", async () => {
  const [first, ...rest] = trace(6);
  const others = trace(6).map((item) => ({ ...item, max: 9 }));
  const { status, notes } = await diffRows(trace(6), others);
  assert.equal(status, "diverged");
  assert.ok(notes.some((note) => note.includes("same inputs")));
  const later = await diffRows(trace(6), [
    first as Row,
    ...rest.map((item) => ({ ...item, max: 9 })),
  ]);
  assert.equal(later.status, "diverged");
  assert.deepEqual(later.notes, []);
});

Deno.test("traceVerdict() says in which fields the headers differ, and what the files note", async () => {
  const header = { type: "header", structureHash: "a", optimization: "all" };
  const note = { type: "note", message: "no record kept" };
  const { status, headers, notes } = await diffRows(
    [header, ...trace(3)],
    [{ ...header, structureHash: "b" }, note, ...trace(3)],
  );
  assert.equal(status, "same");
  assert.deepEqual(headers, [{ field: "structureHash", reference: "a", candidate: "b" }]);
  assert.match(notes.join("\n"), /another structure.*\n.*the candidate says: no record kept/);
});

Deno.test("traceVerdict() refuses a file without records, with the line that is to blame", async () => {
  const message = async (rows: readonly (Row | string)[]) => {
    const error = await diffRows(trace(2), rows).then(() => null, (reason) => reason);
    assert.equal(error?.code, "FILE_FORMAT");
    return String(error.message);
  };
  assert.match(await message(["\u0008onnx"]), /no record of a trace \(line 1: it is no JSON\)/);
  assert.match(await message([{ type: "header" }]), /headers and notes alone/);
  using folder = new TraceFolder();
  const empty = folder.text("");
  await assert.rejects(diffTraces(empty, folder.write(trace(1))), /it is empty/);
});

Deno.test("traceVerdict() refuses a rename that no module of the candidate has", async () => {
  await assert.rejects(diffRows(trace(2), trace(2), { map: ["a=laiers"] }), (error) => {
    assert.equal((error as { code: string }).code, "OPTION_INVALID");
    assert.match((error as Error).message, /"layers.0"/);
    return true;
  });
});

Deno.test("traceVerdict() calls the good part of a damaged file the same, and says so", async () => {
  const rows = trace(5);
  const { status, problem, candidate, onlyReference } = await diffRows(
    rows,
    [...rows.slice(0, 4), JSON.stringify(rows[4]).slice(0, 60)],
  );
  assert.deepEqual([status, problem?.code], ["same", "FILE_FORMAT"]);
  assert.match(problem?.message ?? "", /line 5 of ".*" is damaged/);
  assert.deepEqual(candidate.damage.map(({ line }) => line), [5]);
  assert.deepEqual(onlyReference.map(({ module, line }) => [module, line]), [["layers.4", 5]]);
});

Deno.test("traceVerdict() gives every module a row, with what stands on one side only", async () => {
  const { modules, statistics } = await diffRows(
    [row("a"), row("b"), { ...row("c"), l2: 4 }],
    [row("a"), { ...row("c", { max: 2.00001 }), p50: 1 }, row("d")],
  );
  assert.deepEqual(
    modules.map(({ module, aligned, ratio, onlyReference, onlyCandidate }) => [
      module,
      aligned,
      ratio === null ? null : Math.round(ratio * 10) / 10,
      onlyReference,
      onlyCandidate,
    ]),
    [["a", 1, 0, 0, 0], ["b", 0, null, 1, 0], ["c", 1, 0.5, 0, 0], ["d", 0, null, 0, 1]],
  );
  assert.deepEqual(statistics.onlyReference, ["l2"]);
  assert.deepEqual(statistics.onlyCandidate, ["p50"]);
});
