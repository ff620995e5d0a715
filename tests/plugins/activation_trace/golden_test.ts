// The trace of an ONNX file equals the file that FastVideo's own hooks wrote of the PyTorch model: the
// same records in the same order, labels included, the numbers within 1e-5 of the tensor's scale.

import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  decodeNpy,
  float32,
  type Model,
  openModel,
  type TensorMap,
  traceStep,
} from "../../../mod.ts";
import { activationTrace, type LabelMap } from "../../../plugins/activation_trace/mod.ts";
import { fixturePath } from "../../support/fixture_path.ts";

/** A record of either file; the numbers of ours may be texts. */
type Row = Readonly<Record<string, unknown>>;

const STATS = ["abs_mean", "sum", "min", "max", "mean", "std", "shape", "dtype"] as const;

/** Modules that FastVideo saw and the file does not hold, each with the reason. */
const removedModules = readJson<Record<string, Record<string, string>>>("removed_modules.json");
const labels = readJson<Record<string, LabelMap>>("labels.json");

function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(join(import.meta.dirname ?? "", name), "utf8")) as T;
}

function readLines(path: string): Row[] {
  return readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as Row);
}

function feedsOf(model: Model, folder: string): TensorMap {
  return Object.fromEntries(model.inputs.map(({ name }) => [
    name,
    decodeNpy(readFileSync(join(folder, `in.${name}.npy`)), name),
  ]));
}

/** The three denoise steps that the fixture's trace is of. */
async function denoise(model: Model, feeds: TensorMap): Promise<void> {
  const start = feeds["x"];
  assert.ok(start !== undefined);
  let x = start.data as Float32Array;
  for (let step = 0; step < 3; step++) {
    const { y } = await traceStep(
      step,
      () => model.run({ x: float32(start.shape, x), t: float32([1], [1 - step / 3]) }),
    );
    const noise = y?.data as Float32Array;
    x = x.map((value, index) => value - 0.1 * (noise[index] as number));
  }
}

/** How far a statistic may be off: 1e-5 of the largest element, or of what a sum of them can reach. */
function tolerance(reference: Row, stat: string): number {
  const { min, max, abs_mean: absMean, shape } = reference;
  const scale = Math.max(Math.abs(Number(min)), Math.abs(Number(max)));
  if (stat !== "sum") return 1e-5 * scale;
  return 1e-5 * Number(absMean) * (shape as number[]).reduce((product, size) => product * size, 1);
}

for (const name of ["bert", "gpt2_past", "unet", "vit"]) {
  Deno.test(`activationTrace() writes of ${name} what FastVideo's own hooks wrote`, async () => {
    const folder = fixturePath(`torch/${name}`);
    const output = Deno.makeTempFileSync({ suffix: ".jsonl" });
    try {
      {
        await using model = await openModel(join(folder, "model.onnx"), { provider: "cpu" });
        activationTrace({ stats: STATS, output, labels: labels[name] ?? {} })
          .attach(model, { modelName: name });
        const feeds = feedsOf(model, folder);
        if (name === "unet") await denoise(model, feeds);
        else await model.run(feeds);
      }
      const [header, ...rows] = readLines(output);
      assert.equal(header?.["type"], "header");
      const all = readLines(join(folder, "trace.fastvideo.jsonl"));
      const removed = removedModules[name] ?? {};
      for (const path of Object.keys(removed)) {
        assert.ok(all.some((row) => row["module"] === path), `${path} is no module of ${name}`);
      }
      const reference = all.filter((row) => !Object.hasOwn(removed, String(row["module"])));
      const key = (row: Row) => `${row["module"]} ${row["tensor"]} ${row["step"]}`;
      assert.deepEqual(rows.map(key), reference.map(key));
      let worst = 0;
      for (const [index, wanted] of reference.entries()) {
        const row = rows[index] as Row;
        // A superset, FastVideo's keys first and in its order.
        assert.deepEqual(Object.keys(row), [
          ...Object.keys(wanted),
          "call",
          "seq",
          "context",
          "run",
        ]);
        assert.deepEqual([row["shape"], row["dtype"]], [wanted["shape"], wanted["dtype"]]);
        for (const stat of STATS.slice(0, 6)) {
          const error = Math.abs(Number(row[stat]) - Number(wanted[stat]));
          const limit = tolerance(wanted, stat);
          assert.ok(error <= limit, `${key(wanted)} ${stat}: ${row[stat]} and ${wanted[stat]}`);
          worst = Math.max(worst, error / limit);
        }
      }
      console.log(
        `${name}: ${rows.length} records equal, worst ${
          (worst * 1e-5).toExponential(1)
        } of the scale`,
      );
      for (const [path, why] of Object.entries(removed)) console.log(`${name}: no ${path}: ${why}`);
    } finally {
      rmSync(output);
    }
  });
}
