// What stays on a device between segments, who reads it, and that it is released however a run ends. On a
// pretended device, whose numbers are the CPU's, and on WebGPU where there is one.

import assert from "node:assert/strict";
import type { Model } from "../../pipeline/model.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { deviceLedger } from "../../sessions/device_tensor.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { skippable } from "../skippable.ts";
import { runOnDevice, whyNoWebGpu } from "../support/software_vulkan.ts";
import { DeviceEngine } from "./_device_engine.ts";
import { callMapOf, FixedStructure, openStructure } from "./_fixed_structure.ts";
import { hook, mapped, scaleInputs, scaleOutputs } from "./_hooks.ts";
import { modelOfProgram, operationsOf, Random, randomProgram } from "./_program.ts";
import { modelHook, randomHooks, tensorsOf, valuesOf } from "./_random_hooks.ts";
import { digest, runReference, type Sight } from "./_reference.ts";
import { chainFeeds, chainModel, chainOutput, first } from "./_small_models.ts";

const LAYERS = 12;

function assertClose(found: number, wanted: number): void {
  assert.ok(Math.abs(found / wanted - 1) < 1e-5, `${found} is not ${wanted}`);
}

async function withChain(
  body: (model: Model, engine: DeviceEngine) => Promise<void>,
): Promise<void> {
  const engine = new DeviceEngine();
  const model = await openModel(chainModel(LAYERS), { engine, provider: "cpu" });
  try {
    await body(model, engine);
  } finally {
    await model.close();
  }
  assert.deepEqual([sessionLedger.count, deviceLedger.count], [0, 0]);
}

/** Cuts around every layer without wanting to see anything. */
function cutEverywhere(model: Model): void {
  for (let layer = 0; layer < LAYERS; layer++) {
    model.registry(`layers.${layer}`).register(hook({ name: "stay", access: "residency" }));
  }
}

Deno.test("a split of 12 segments reads nothing back but the outputs", async () => {
  await withChain(async (model, engine) => {
    cutEverywhere(model);
    assertClose(first(await model.run(chainFeeds(1))), chainOutput(1, LAYERS));
    assert.equal(engine.runs.length, LAYERS);
    assert.equal(engine.readsCount, 0); // the last one comes as a tensor
    assert.equal(engine.freesCount, LAYERS - 1);
    const { fedFromDevice, fedFromHost, kept } = engine.runs[5] ?? assert.fail();
    assert.deepEqual([fedFromDevice, fedFromHost, kept], [["h4"], [], ["h5"]]);
    assert.deepEqual(engine.runs[0]?.fedFromHost, ["x"]);
    assert.deepEqual(engine.runs.at(-1)?.kept, []);
    assert.ok(engine.mostLive <= 2, `${engine.mostLive} activations at once`);
  });
});

Deno.test("a tapped plan leaves nothing on the device: hooks want every tap", async () => {
  await withChain(async (model, engine) => {
    const seen: number[] = [];
    model.registry("layers.3").register(hook({
      name: "see",
      postForward: (_call, outputs) => void seen.push(first(outputs, "h3")),
    }));
    assert.equal(model.plan().kind, "tapped");
    assertClose(first(await model.run(chainFeeds(1))), chainOutput(1, LAYERS));
    assert.deepEqual(seen, [chainOutput(1, 4)]);
    assert.deepEqual([engine.readsCount, engine.freesCount], [0, 0]);
  });
});

Deno.test("what hooks look at is read once and goes on from the device", async () => {
  await withChain(async (model, engine) => {
    cutEverywhere(model);
    const seen: number[] = [];
    const see = (name: string, value: string) =>
      hook({ name, postForward: (_call, outputs) => void seen.push(first(outputs, value)) });
    model.registry("layers.3").register(see("see", "h3"));
    model.registry("layers.3").register(see("see-too", "h3"));
    model.registry("layers.4").register(hook({
      name: "see-inputs",
      preForward: (_call, inputs) => void seen.push(first(inputs, "h3")),
    }));
    assertClose(first(await model.run(chainFeeds(1))), chainOutput(1, LAYERS));
    assert.deepEqual(seen, Array(3).fill(chainOutput(1, 4)));
    assert.equal(engine.readsCount, 1);
    assert.deepEqual(engine.runs[4]?.fedFromDevice, ["h3"]);
  });
});

Deno.test("what hooks edit goes up again, changed in place too", async () => {
  await withChain(async (model, engine) => {
    cutEverywhere(model);
    model.registry("layers.3").register(scaleOutputs("double", 2));
    model.registry("layers.6").register(scaleInputs("triple", 3));
    model.registry("layers.8").register(hook({
      name: "in-place",
      access: "edit",
      postForward: (_call, outputs) => {
        for (const { data } of Object.values(outputs)) {
          (data as Float32Array)[0] = ((data as Float32Array)[0] ?? 0) / 2;
        }
      },
    }));
    const wanted = chainOutput(
      1,
      LAYERS,
      (layer, value) =>
        layer === 3 ? value * 2 : layer === 5 ? value * 3 : layer === 8 ? value / 2 : value,
    );
    assertClose(first(await model.run(chainFeeds(1))), wanted);
    assert.deepEqual(engine.runs[4]?.fedFromHost, ["h3"]);
    assert.deepEqual(engine.runs[6]?.fedFromHost, ["h5"]);
    assert.deepEqual(engine.runs[9]?.fedFromHost, ["h8"]);
    assert.equal(engine.readsCount, 3);
  });
});

Deno.test("a replaced module takes and gives tensors, whether it calls the original or not", async () => {
  for (const calls of [0, 1]) {
    await withChain(async (model, engine) => {
      cutEverywhere(model);
      model.registry("layers.5").register(hook({
        name: "swap",
        access: "replace",
        newForward: async (_call, inputs, original) => {
          const outputs = calls === 1 ? await original() : null;
          const given = outputs ?? { h5: inputs["h4"] ?? assert.fail() };
          return mapped(given, (value) => value + 1);
        },
      }));
      const before = chainOutput(1, 5);
      const middle = (calls === 1 ? before * 7 + 6 : before) + 1;
      let wanted = middle;
      for (let layer = 6; layer < LAYERS; layer++) wanted = wanted * (layer + 2) + layer + 1;
      assertClose(first(await model.run(chainFeeds(1))), wanted);
      assert.equal(engine.freesCount, engine.runs.flatMap(({ kept }) => kept).length);
    });
  }
});

Deno.test("a run that fails or is aborted releases what it left on the device", async () => {
  await withChain(async (model, engine) => {
    cutEverywhere(model);
    const BROKEN = new Error("broken");
    for (const at of [1, 5, LAYERS - 1]) {
      let runs = 0;
      engine.onRun = () => {
        if (runs++ === at) throw BROKEN;
      };
      await assert.rejects(model.run(chainFeeds(1)), BROKEN);
      assert.equal(deviceLedger.count, 0);
      const controller = new AbortController();
      engine.onRun = () => {
        if (--runs === 0) controller.abort(BROKEN);
      };
      await assert.rejects(model.run(chainFeeds(1), { signal: controller.signal }), BROKEN);
      assert.equal(deviceLedger.count, 0);
    }
    engine.onRun = () => {};
    const thrower = model.registry("layers.7").register(hook({
      name: "throws",
      postForward: () => {
        throw BROKEN;
      },
    }));
    await assert.rejects(model.run(chainFeeds(1)), { code: "HOOK_THROWN" });
    assert.equal(deviceLedger.count, 0);
    await thrower.remove();
    assertClose(first(await model.run(chainFeeds(1))), chainOutput(1, LAYERS));
  });
});

Deno.test("any program with any hooks computes and shows on a device what it does without", async () => {
  let kept = 0;
  for (let seed = 1; seed <= 80; seed++) {
    const random = new Random(seed);
    const program = randomProgram(random);
    const hooks = randomHooks(program, random, ["observe", "edit", "replace"]);
    const feeds = {
      flag: Int32Array.of(seed % 2),
      x0: new Int32Array(16).fill(3),
      x1: new Int32Array(16).fill(-2),
      x2: new Int32Array(8).fill(5),
      unused: new Int32Array(16),
    };
    const expected: Sight[] = [];
    const wanted = digest(runReference(program, feeds, hooks, expected));
    const structure = new FixedStructure(
      modelOfProgram(program, operationsOf(program.body)),
      callMapOf(program),
    );
    const engine = new DeviceEngine();
    await using model = await openStructure(structure, { engine });
    const sights: Sight[] = [];
    for (const [path, plans] of hooks) {
      for (const plan of plans) {
        model.registry(path).register(modelHook(program, plan, { sights, isAsync: false }));
      }
    }
    const given = tensorsOf(program, feeds);
    assert.equal(digest(valuesOf(await model.run(given))), wanted, `seed ${seed}`);
    assert.deepEqual(sights, expected, `seed ${seed}`);
    const split = { plan: model.plan({ split: () => true }) };
    assert.equal(digest(valuesOf(await model.run(given, split))), wanted, `seed ${seed}, split`);
    assert.equal(deviceLedger.count, 0, `seed ${seed}`);
    kept += engine.freesCount;
  }
  assert.ok(kept > 100, `${kept} values stayed on the device`);
});

Deno.test({
  ...skippable("whole, tapped and split plans on WebGPU agree with the CPU", whyNoWebGpu()),
  fn() {
    const text = runOnDevice(new URL("./webgpu_suite.ts", import.meta.url), "test");
    assert.match(text, /ok \| 4 passed \| 0 failed/);
  },
});
