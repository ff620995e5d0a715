// Layerwise offload on WebGPU against the CPU; run by device_test.ts in a process of its own.

import assert from "node:assert/strict";
import { definePipeline, type Model, openModel, type TensorMap } from "@hookline/hookline";
import {
  layerwiseOffload,
  type LayerwiseOffloadOptions,
} from "../../../plugins/layerwise_offload/mod.ts";
import { outputCapturePlugin } from "../../../plugins/output_capture/mod.ts";
import { RangeReader } from "../../../pipeline/residency/range_reader.ts";
import { DeviceLedger, deviceLedger } from "../../../sessions/device_tensor.ts";
import { sessionLedger } from "../../../sessions/session_ledger.ts";
import { blocksModel, difference, tokens } from "../../pipeline/residency/_blocks_model.ts";
import { hook, scaleOutputs } from "../../pipeline/_hooks.ts";

const TOLERANCE = 1e-5;
const BLOCKS = 6;
const WIDTH = 64;
/** Bytes of the weights of one block. */
const BLOCK_BYTES = 197_632;

function attach(model: Model, options: LayerwiseOffloadOptions = {}): Disposable {
  return layerwiseOffload(options).attach(model, { modelName: "m" }) as Disposable;
}

function assertAgree(found: TensorMap, wanted: TensorMap): void {
  assert.ok(difference(found["y"], wanted["y"]) < TOLERANCE);
}

async function onCpu(path: string, feeds: TensorMap): Promise<TensorMap> {
  await using cpu = await openModel(path, { provider: "cpu" });
  return await cpu.run(feeds);
}

/** A model on the device, what the CPU makes of its feeds, and nothing left on the device behind it. */
function test(
  name: string,
  body: (
    given: { readonly model: Model; readonly feeds: TensorMap; readonly wanted: TensorMap },
  ) => Promise<void>,
): void {
  Deno.test(`layerwiseOffload() on a device ${name}`, async () => {
    using file = blocksModel({ blocks: BLOCKS, width: WIDTH, heads: 4 });
    const feeds = tokens(WIDTH);
    {
      const wanted = await onCpu(file.path, feeds);
      await using model = await openModel(file.path, { provider: "webgpu", engine: "native" });
      await body({ model, feeds, wanted });
      assert.deepEqual([deviceLedger.count, deviceLedger.byteLength], [0, 0]);
    }
    assert.equal(sessionLedger.count, 0);
  });
}

test("copies weights there, and of activations the first and the last", async ({ model, feeds, wanted }) => {
  using _plugin = attach(model);
  assert.equal(model.plan().residency?.strategy, "inputs");
  for (let run = 0; run < 3; run++) {
    const { copiesToHost, copiesToDevice } = deviceLedger;
    assertAgree(await model.run(feeds), wanted);
    assert.deepEqual(
      [deviceLedger.copiesToHost - copiesToHost, deviceLedger.copiesToDevice - copiesToDevice],
      [1, 1],
    );
    assert.equal(deviceLedger.count, 0);
  }
  // All blocks but the norm share one session.
  assert.equal(sessionLedger.count, 2);
});

for (const depth of [0, 1, 3]) {
  test(`has at most ${depth} blocks there beside the one that computes`, async ({ model, feeds, wanted }) => {
    using _plugin = attach(model, { depth });
    const add = DeviceLedger.prototype.add;
    let peak = 0;
    DeviceLedger.prototype.add = function (byteLength) {
      const strikeOff = add.call(this, byteLength);
      peak = Math.max(peak, this.byteLength);
      return strikeOff;
    };
    try {
      assertAgree(await model.run(feeds), wanted);
    } finally {
      DeviceLedger.prototype.add = add;
    }
    // How many of those allowed are there at one moment is a matter of who is quicker.
    const most = Math.floor(peak / BLOCK_BYTES);
    assert.ok(most <= depth + 1 && most >= Math.min(2, depth + 1), `${most} blocks at once`);
  });
}

test("reads what stays in the process's memory once", async ({ model, feeds, wanted }) => {
  const read = RangeReader.prototype.read;
  let byteLength = 0;
  RangeReader.prototype.read = function (reads) {
    for (const { range } of reads) byteLength += range.byteLength;
    return read.call(this, reads);
  };
  try {
    const counted = async (): Promise<number> => {
      byteLength = 0;
      assertAgree(await model.run(feeds), wanted);
      return byteLength / BLOCK_BYTES;
    };
    {
      using _plugin = attach(model, { hostBudget: BLOCKS * BLOCK_BYTES });
      assert.deepEqual([await counted(), await counted(), await counted()], [BLOCKS, 0, 0]);
    }
    {
      using _plugin = attach(model, { hostBudget: 4 * BLOCK_BYTES });
      assert.match(model.explain(), /those of 2 blocks stay and those of 4 are read for each call/);
      assert.deepEqual([await counted(), await counted(), await counted()], [BLOCKS, 4, 4]);
    }
    {
      using _plugin = attach(model, { resident: [0, -1], hostBudget: 2 * BLOCK_BYTES });
      assert.deepEqual([await counted(), await counted()], [4, 4]);
    }
  } finally {
    RangeReader.prototype.read = read;
  }
});

test("leaves a working model after an error, an abort and detaching", async ({ model, feeds, wanted }) => {
  const whole = await model.run(feeds);
  const plugin = attach(model);
  const [, second = ""] = model.repeatedBlocks;
  const handle = model.registry(second).register(hook({
    name: "fail",
    access: "edit",
    postForward: () => {
      throw new Error("no more");
    },
  }));
  await assert.rejects(model.run(feeds), { code: "HOOK_THROWN" });
  assert.equal(deviceLedger.count, 0);
  await handle.remove();
  assertAgree(await model.run(feeds), wanted);
  const controller = new AbortController();
  const aborting = model.registry(second).register(hook({
    name: "abort",
    access: "edit",
    postForward: () => controller.abort(new Error("enough")),
  }));
  await assert.rejects(model.run(feeds, { signal: controller.signal }), /enough/);
  assert.equal(deviceLedger.count, 0);
  await aborting.remove();
  const outputs = await Promise.all(Array.from({ length: 4 }, () => model.run(feeds)));
  for (const output of outputs) assertAgree(output, wanted);
  plugin[Symbol.dispose]();
  assert.equal(model.plan().kind, "whole");
  assert.deepEqual(await model.run(feeds), whole);
});

test("leaves a working model when a weight cannot be copied", async ({ model, feeds, wanted }) => {
  using _plugin = attach(model, { hostBudget: 3 * BLOCK_BYTES });
  const read = RangeReader.prototype.read;
  let count = 0;
  RangeReader.prototype.read = function (reads) {
    return ++count === 3 ? Promise.reject(new Error("disk")) : read.call(this, reads);
  };
  try {
    await assert.rejects(model.run(feeds), /disk/);
    assert.equal(deviceLedger.count, 0);
    assertAgree(await model.run(feeds), wanted);
  } finally {
    RangeReader.prototype.read = read;
  }
});

test("goes with edits", async ({ model, feeds }) => {
  using file = blocksModel({ blocks: BLOCKS, width: WIDTH, heads: 4 });
  await using cpu = await openModel(file.path, { provider: "cpu" });
  using _plugin = attach(model);
  const found: TensorMap[] = [];
  for (const edited of [cpu, model]) {
    edited.registry("blocks.2").register(scaleOutputs("scale", 1.5));
    found.push(await edited.run(feeds));
  }
  const [wanted, made] = found as [TensorMap, TensorMap];
  assertAgree(made, wanted);
});

Deno.test("layerwiseOffload() on a device serves several models of a pipeline, one after another", async () => {
  using first = blocksModel({ blocks: BLOCKS, width: WIDTH, heads: 4 });
  using second = blocksModel({ blocks: 3, width: 32, heads: 2 });
  const models = { cond: first.path, uncond: second.path };
  const feeds = { cond: tokens(WIDTH), uncond: tokens(32) };
  const outputs: TensorMap[][] = [];
  const captured: number[] = [];
  for (const provider of ["cpu", "webgpu"] as const) {
    const capture = outputCapturePlugin();
    const plugins = provider === "cpu" ? [capture] : [capture, layerwiseOffload()];
    await using _pipeline = await definePipeline({
      models,
      provider,
      engine: "native",
      plugins,
    }).open();
    const made: TensorMap[] = [];
    for (const name of ["cond", "uncond", "cond", "uncond"] as const) {
      const { outputs: one, captures } = await capture.of(name).run(feeds[name], {
        hidden_states: true,
      });
      made.push(one);
      captured.push((captures["hidden_states"] as readonly unknown[]).length);
    }
    outputs.push(made);
    assert.equal(deviceLedger.count, 0);
  }
  outputs[0]?.forEach((wanted, index) => assertAgree(outputs[1]?.[index] ?? {}, wanted));
  assert.deepEqual(captured.slice(0, 4), captured.slice(4));
  assert.equal(sessionLedger.count, 0);
});
