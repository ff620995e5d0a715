import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { decodeNpy, float32, type Model, openModel, type TensorMap, traceStep } from "../../mod.ts";
import { diffTraces, REORDER_WINDOW } from "../../parity/trace_diff.ts";
import { activationTrace, type LabelMap } from "../../plugins/activation_trace/mod.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { seededFaults } from "../support/seeded_faults.ts";
import { fastvideoRows, fastvideoTrace, type Row, row, trace, TraceFolder } from "./_traces.ts";

const FIXTURES = ["bert", "gpt2_past", "unet", "vit"];
const STATS = "abs_mean,sum,min,max,mean,std,shape,dtype";

async function diffRows(
  reference: readonly (Row | string)[],
  candidate: readonly (Row | string)[],
  options = {},
) {
  using folder = new TraceFolder();
  return await diffTraces(folder.write(reference), folder.write(candidate), options);
}

for (const name of FIXTURES) {
  Deno.test(`diffTraces() finds FastVideo's trace of ${name} the same as itself`, async () => {
    const path = fastvideoTrace(name);
    const { status, first, aligned, reference, onlyReference } = await diffTraces(path, path);
    assert.deepEqual([status, first, onlyReference], ["same", null, []]);
    assert.equal(aligned, reference.records);
    assert.equal(reference.alignedModules, reference.modules);
  });

  Deno.test(`diffTraces() finds FastVideo's trace of ${name} the same as ours of the file`, async () => {
    using folder = new TraceFolder();
    const output = folder.text("");
    await traceFixture(name, output);
    const { status, candidate, onlyCandidate, modules, reference } = await diffTraces(
      fastvideoTrace(name),
      output,
    );
    assert.equal(status, "same");
    assert.deepEqual(onlyCandidate, []);
    assert.ok(candidate.alignedModules >= 0.95 * candidate.modules);
    // What the file has lost is what computes nothing: dropouts, which the exporter takes out.
    const lost = modules.filter(({ aligned }) => aligned === 0).map(({ module }) => module);
    for (const path of lost) assert.match(path, /(^|\.)dropout$|\.mlp\.[24]$/);
    assert.equal(reference.modules - candidate.modules, lost.length);
    const worst = Math.max(...modules.map(({ ratio }) => ratio ?? 0));
    assert.ok(worst < 0.2, `${worst} of the tolerance`);
  });

  Deno.test(`diffTraces() finds a fault planted anywhere in ${name}, first in execution order`, async () => {
    using folder = new TraceFolder();
    const rows = fastvideoRows(name);
    for (let at = 0; at < rows.length; at += 7) {
      // A fault spreads: every later record is off as well, and by more.
      const faulty = rows.map((item, index) =>
        index < at ? item : { ...item, abs_mean: Number(item["abs_mean"]) * (1.001 + index / 100) }
      );
      const path = folder.write(faulty);
      const { status, first, diverged } = await diffTraces(fastvideoTrace(name), path);
      assert.equal(status, "diverged");
      assert.equal(diverged, rows.length - at);
      const { module, tensor, step } = rows[at] as Row;
      assert.deepEqual([first?.module, first?.tensor, first?.step], [module, tensor, step]);
      assert.deepEqual([first?.stat, first?.referenceLine], ["abs_mean", at + 1]);
    }
  });
}

for (const name of FIXTURES) {
  Deno.test(`diffTraces() names the altered module of ${name}, our trace against FastVideo's`, async () => {
    // Only where the fault lies in a module without modules inside, and is seen by statistics.
    const faults = (await seededFaults(25, [name])).filter(({ owner, effect }) =>
      owner.module.path !== "" && owner.module.children.length === 0 && effect >= 1_000
    ).slice(0, 6);
    assert.equal(faults.length, 6);
    for (const { owner, bytes, description } of faults) {
      using folder = new TraceFolder();
      const output = folder.text("");
      await traceFixture(name, output, bytes);
      const { status, first } = await diffTraces(fastvideoTrace(name), output);
      assert.deepEqual([status, first?.module], ["diverged", owner.module.path], description);
    }
  });
}

const labels: Readonly<Record<string, LabelMap>> = JSON.parse(
  readFileSync(fixturePath("..", "plugins", "activation_trace", "labels.json"), "utf8"),
);

async function traceFixture(name: string, output: string, altered?: Uint8Array): Promise<void> {
  const folder = fixturePath("torch", name);
  await using model = await openModel(altered ?? join(folder, "model.onnx"), { provider: "cpu" });
  await using _trace = activationTrace({
    stats: STATS,
    output,
    mode: "new",
    labels: labels[name] ?? {},
  }).attach(model, { modelName: name });
  const feeds = Object.fromEntries(model.inputs.map((input) => [
    input.name,
    decodeNpy(readFileSync(join(folder, `in.${input.name}.npy`)), input.name),
  ]));
  if (name === "unet") await denoise(model, feeds);
  else await model.run(feeds);
}

/** The steps that the fixture's trace is of. */
async function denoise(model: Model, { x: start }: TensorMap): Promise<void> {
  assert.ok(start !== undefined);
  let x = start.data as Float32Array;
  for (let step = 0; step < 3; step++) {
    const feeds = { x: float32(start.shape, x), t: float32([1], [1 - step / 3]) };
    const { y } = await traceStep(step, () => model.run(feeds));
    const noise = y?.data as Float32Array;
    x = x.map((value, index) => value - 0.1 * (noise[index] as number));
  }
}

Deno.test("diffTraces() reads NaN as Python writes it and as we do, and tells it from numbers", async () => {
  const bare = JSON.stringify(row("a", { std: "@" })).replace('"@"', "NaN");
  const same = await diffRows([bare, row("b")], [row("a", { std: "NaN" }), row("b")]);
  assert.equal(same.status, "same");
  const { status, first } = await diffRows([row("a")], [bare]);
  assert.deepEqual([status, first?.stat, first?.error, first?.candidate], [
    "diverged",
    "std",
    NaN,
    "NaN",
  ]);
});

Deno.test("diffTraces() follows the caller's renames and guesses prefixes, and says both", async () => {
  const renamed = (from: RegExp, to: string) =>
    trace(8).map((item) => ({ ...item, module: String(item["module"]).replace(from, to) }));
  const guessed = await diffRows(renamed(/^/, "transformer."), trace(8));
  assert.deepEqual([guessed.status, guessed.aligned], ["same", 8]);
  assert.deepEqual(guessed.renames, [
    { reference: "transformer", candidate: "", by: "prefix", modules: 8 },
  ]);
  assert.equal(guessed.modules[0]?.candidateModule, "layers.0");
  const other = renamed(/layers/, "model.h");
  assert.equal((await diffRows(trace(8), other, { guessPrefixes: false })).status, "incomparable");
  const mapped = await diffRows(trace(8), other, { map: ["layers=model.h"] });
  assert.deepEqual([mapped.status, mapped.aligned], ["same", 8]);
  assert.deepEqual(mapped.renames[0]?.by, "map");
});

Deno.test("diffTraces() lists records on one side only and compares the rest", async () => {
  const rows = trace(10, 3);
  const { status, aligned, onlyReference, onlyCandidate } = await diffRows(
    rows.filter(({ module }) => module !== "layers.7"),
    rows.filter(({ module, step }) => module !== "layers.2" || step === 1),
  );
  assert.deepEqual([status, aligned], ["same", 25]);
  assert.deepEqual(
    onlyReference.map(({ module, records, step, call }) => [module, records, step, call]),
    [["layers.2", 2, 0, 0]],
  );
  assert.deepEqual(onlyCandidate.map(({ module, records }) => [module, records]), [[
    "layers.7",
    3,
  ]]);
});

Deno.test("diffTraces() pairs records in another order within the window, and names the first by the reference", async () => {
  const rows = trace(100, 4);
  const faulty = rows.map((item, at) => at === 37 || at === 222 ? { ...item, max: 7 } : item);
  const { status, aligned, first } = await diffRows(rows, faulty.toReversed());
  assert.deepEqual([status, aligned, first?.referenceLine], ["diverged", 400, 38]);
});

Deno.test("diffTraces() lists what lies beyond the window as one-sided and says so", async () => {
  const rows = trace(50, 4);
  const moved = [...rows.slice(30), ...rows.slice(0, 30)];
  const { status, aligned, onlyReference, onlyCandidate, notes } = await diffRows(rows, moved, {
    window: 20,
  });
  assert.ok(aligned < 200);
  assert.ok(onlyReference.length > 0 && onlyCandidate.length > 0);
  assert.ok(notes.some((note) => note.includes("window of 20 records")));
  assert.equal(status, "incomparable"); // less than half of the records were compared
  assert.equal((await diffRows(rows, moved)).aligned, 200);
});

Deno.test("diffTraces() catches up after a block that one file lacks, again and again", async () => {
  const rows = trace(1_000, 20).map((item, at) => ({ ...item, module: `m${at}` }));
  // Four gaps of 60 records: more than the window together, each within it.
  const gapped = rows.filter((_, at) => at % 5_000 >= 60);
  const { status, aligned, onlyReference } = await diffRows(rows, gapped, { window: 100 });
  assert.deepEqual([status, aligned, onlyReference.length], ["same", 20_000 - 240, 240]);
  assert.ok(REORDER_WINDOW >= 10_000);
});

Deno.test("diffTraces() compares a numbered trace with one that is not, by occurrence", async () => {
  const rows = trace(3, 4);
  const numbered = rows.map((item, at) => ({ ...item, call: 100 + at, seq: at, run: 0 }));
  assert.equal((await diffRows(rows, numbered)).aligned, 12);
  const header = { type: "header", run: 0 };
  const { first } = await diffRows([header, ...numbered], [
    header,
    ...numbered.map((item) => item.call === 107 ? { ...item, shape: [1] } : item),
  ]);
  assert.equal(first?.call, 107);
});

Deno.test("diffTraces() says where damaged lines are and still finds the difference", async () => {
  const rows: (Row | string)[] = trace(20);
  const damaged = rows.with(3, '{"module": "layers.3", "tens').with(
    12,
    row("layers.12", { max: 5 }),
  );
  const { status, first, candidate, problem } = await diffRows(rows, damaged);
  assert.deepEqual([status, first?.module, problem], ["diverged", "layers.12", null]);
  assert.deepEqual(candidate.damage.map(({ line }) => line), [4]);
  assert.equal(first?.candidateLine, 13);
});

Deno.test("diffTraces() survives any cut of a trace, and never calls the rest different", async () => {
  using folder = new TraceFolder();
  const text = readFileSync(fastvideoTrace("gpt2_past"), "utf8");
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: text.length - 1 }), async (length) => {
      const cut = folder.text(text.slice(0, length));
      const error = (reason: unknown) => reason as { readonly code?: string };
      const found = await diffTraces(fastvideoTrace("gpt2_past"), cut).catch(error);
      if ("code" in found) assert.equal(found.code, "FILE_FORMAT");
      else assert.equal((found as { status: string }).status, "same");
    }),
    { numRuns: 40 },
  );
});

Deno.test("diffTraces() finds the first of any faults, whatever the order of the candidate", async () => {
  using folder = new TraceFolder();
  const rows = trace(12, 3);
  const reference = folder.write(rows);
  const places = fc.uniqueArray(fc.nat({ max: rows.length - 1 }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(places, fc.boolean(), async (faults, isReversed) => {
      const faulty = rows.map((item, at) => faults.includes(at) ? { ...item, min: -9 } : item);
      const path = folder.write(isReversed ? faulty.toReversed() : faulty);
      const { first, diverged } = await diffTraces(reference, path);
      assert.equal(first?.referenceLine, Math.min(...faults) + 1);
      assert.equal(diverged, faults.length);
    }),
    { numRuns: 40 },
  );
});
