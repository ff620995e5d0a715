// Plans on WebGPU against the CPU; run by device_values_test.ts in a process of its own.

import assert from "node:assert/strict";
import { join } from "node:path";
import { transformerBytes } from "../../bench/transformer_model.ts";
import type { Model } from "../../pipeline/model.ts";
import type { ModelSource } from "../../pipeline/model_structure.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { deviceLedger } from "../../sessions/device_tensor.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { float32, type TensorMap } from "../../tensor/tensor.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { fixtureInputs } from "./_fixtures.ts";
import { countRecordings } from "../sessions/native/_counted_recordings.ts";
import { hook, scaleOutputs } from "./_hooks.ts";

/** What the plans may differ from the CPU's, relative to the largest element. */
const TOLERANCE = 1e-4;
const BLOCKS = 12;

function assertAgree(found: TensorMap, wanted: TensorMap, what: string): void {
  assert.deepEqual(Object.keys(found).sort(), Object.keys(wanted).sort());
  for (const [name, { shape, data }] of Object.entries(wanted)) {
    assert.deepEqual([...found[name]?.shape ?? []], [...shape]);
    const numbers = found[name]?.data as Float32Array;
    let largest = 0;
    let apart = 0;
    for (const [index, value] of (data as Float32Array).entries()) {
      largest = Math.max(largest, Math.abs(value));
      apart = Math.max(apart, Math.abs(value - (numbers[index] ?? NaN)));
    }
    assert.ok(largest > 0, `${what}: "${name}" is all zeros`);
    assert.ok(apart <= TOLERANCE * largest, `${what}: "${name}" is ${apart / largest} apart`);
  }
}

async function compare(
  source: ModelSource,
  makeFeeds: (model: Model) => TensorMap,
): Promise<void> {
  await using cpu = await openModel(source, { provider: "cpu" });
  const feeds = makeFeeds(cpu);
  const wanted = await cpu.run(feeds);
  await using model = await openModel(source, { provider: "webgpu", engine: "native" });
  assertAgree(await model.run(feeds), wanted, "whole");
  const blocks = model.repeatedBlocks;
  assert.ok(blocks.length > 2);
  const kinds = {
    tapped: () => hook({ name: "look", postForward: () => {} }),
    split: () => hook({ name: "look", access: "residency" }),
    edited: () => scaleOutputs("edit", 1),
  };
  for (const [kind, makeHook] of Object.entries(kinds)) {
    const handles = blocks.map((path) => model.registry(path).register(makeHook()));
    assert.equal(model.plan().kind, kind === "tapped" ? "tapped" : "split");
    for (let run = 0; run < 2; run++) assertAgree(await model.run(feeds), wanted, kind);
    for (const handle of handles) await handle.remove();
    assert.equal(deviceLedger.count, 0);
  }
}

function test(name: string, body: () => Promise<void>): void {
  Deno.test(name, async () => {
    await body();
    assert.deepEqual([sessionLedger.count, deviceLedger.count], [0, 0]);
  });
}

for (const name of ["bert", "gpt2_past"]) {
  test(`${name} on WebGPU agrees with the CPU: whole, tapped, split, edited`, async () => {
    const given = fixtureInputs("torch", name);
    await compare(join(fixturePath("torch", name), "model.onnx"), (model) =>
      Object.fromEntries(
        model.inputs.map((input) => [input.name, given[input.name] ?? assert.fail(input.name)]),
      ));
  });
}

test("a transformer in 12 segments reads nothing back but its output", async () => {
  const bytes = transformerBytes({ blocks: BLOCKS, width: 32, heads: 2 });
  const x = float32([1, 4, 32], Float32Array.from({ length: 128 }, (_, at) => Math.sin(at)));
  await using cpu = await openModel(bytes, { provider: "cpu" });
  const wanted = await cpu.run({ x });
  await using model = await openModel(bytes, { provider: "webgpu", engine: "native" });
  for (const path of model.repeatedBlocks) {
    model.registry(path).register(hook({ name: "stay", access: "residency" }));
  }
  await model.run({ x });
  const { copiesToHost, copiesToDevice } = deviceLedger;
  assertAgree(await model.run({ x }), wanted, "split");
  assert.equal(deviceLedger.copiesToHost - copiesToHost, 1);
  assert.equal(deviceLedger.copiesToDevice - copiesToDevice, 1);
});

test("a model records whole and tapped runs, not those that are split", async () => {
  const bytes = transformerBytes({ blocks: 3, width: 32, heads: 2 });
  const x = float32([1, 4, 32], Float32Array.from({ length: 128 }, (_, at) => Math.sin(at)));
  await using cpu = await openModel(bytes, { provider: "cpu" });
  const wanted = await cpu.run({ x });
  const model = await openModel(bytes, { provider: "webgpu", engine: "native", recordsRuns: true });
  await using _model = model;
  using recordings = countRecordings();
  const [first = ""] = model.repeatedBlocks;
  const seen: number[] = [];
  const look = hook({
    name: "look",
    postForward: (_call, { ...made }) => void seen.push(Object.keys(made).length),
  });
  for (
    const [kind, makeHook, played] of [
      ["whole", null, 2],
      ["tapped", () => look, 2],
      ["split", () => scaleOutputs("edit", 1), 0],
    ] as const
  ) {
    const handle = makeHook === null ? null : model.registry(first).register(makeHook());
    recordings.count = 0;
    assert.equal(model.plan().kind, kind);
    for (let round = 0; round < 3; round++) assertAgree(await model.run({ x }), wanted, kind);
    assert.equal(recordings.count, played, kind);
    await handle?.remove();
  }
  assert.deepEqual(seen, [1, 1, 1]);
});
