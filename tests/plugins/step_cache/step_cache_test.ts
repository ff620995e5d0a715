import assert from "node:assert/strict";
import {
  float32,
  loadInputs,
  type Model,
  ModelHook,
  openModel,
  type TensorMap,
  traceStep,
  withContext,
} from "@hookline/hookline";
import { firstBlockCache } from "../../../plugins/step_cache/first_block_cache.ts";
import type { StepCache } from "../../../plugins/step_cache/step_cache.ts";
import { teaCache } from "../../../plugins/step_cache/tea_cache.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { BLOCKS, denoise, ditBytes, maxDifference } from "./dit_model.ts";

const STEPS = 24;
const OPTIONS = { provider: "cpu", optimization: "disabled" } as const;

function attach(cache: StepCache, model: Model): Disposable {
  return cache.attach(model, { modelName: "dit" }) as Disposable;
}

/** Counts how often a module really runs. */
class Count extends ModelHook {
  override readonly name = "count";
  calls = 0;
  override postForward(): void {
    this.calls++;
  }
}

const MAKERS: Readonly<Record<string, (threshold: number) => StepCache>> = {
  firstBlockCache: (threshold) => firstBlockCache({ blocks: "blocks.*", threshold }),
  teaCache: (threshold) => teaCache({ blocks: "blocks.*", threshold }),
  // The time embedding changes less than what the blocks make of it: the polynomial says how much.
  "teaCache with a rescaled signal": (threshold) =>
    teaCache({ blocks: "blocks.*", threshold, signal: "time", coefficients: [0, 0, 0, 6, 0] }),
};

for (const [name, make] of Object.entries(MAKERS)) {
  Deno.test(`${name} at threshold 0 gives the model's own bits`, async () => {
    await using model = await openModel(ditBytes(), OPTIONS);
    const plain = await denoise(model, STEPS);
    const cache = make(0);
    using _attached = attach(cache, model);
    assert.deepEqual(await denoise(model, STEPS), plain);
    assert.deepEqual({ ...cache.statistics(), changes: [] }, {
      computed: STEPS,
      skipped: 0,
      skippedSteps: [],
      changes: [],
    });
  });

  Deno.test(`${name} above 0 runs fewer blocks, with an error that the threshold bounds`, async () => {
    await using model = await openModel(ditBytes(), OPTIONS);
    const plain = await denoise(model, STEPS);
    const scale = maxDifference(plain, new Float32Array(plain.length));
    const count = new Count();
    using _count = model.registry(`blocks.${BLOCKS - 1}`).register(count);
    let before = 0;
    for (const threshold of [0.1, 0.3]) {
      const cache = make(threshold);
      using _attached = attach(cache, model);
      count.calls = 0;
      const error = maxDifference(plain, await denoise(model, STEPS));
      const statistics = cache.statistics();
      assert.ok(statistics !== null && statistics.skipped > 0, `${threshold}: nothing was skipped`);
      assert.equal(statistics.computed + statistics.skipped, STEPS);
      assert.equal(count.calls, statistics.computed, "a skipped block did not run");
      assert.ok(
        error > 0 && error < threshold * scale,
        `error ${error} of ${scale} at ${threshold}`,
      );
      assert.ok(statistics.skipped >= before, "a larger threshold skips no less");
      before = statistics.skipped;
    }
  });
}

Deno.test("VD12 a skipped step adds the residual exactly once, whatever the number of blocks", async () => {
  await using model = await openModel(ditBytes(), OPTIONS);
  const feeds = (x: number): TensorMap => ({
    x: float32([1, 2, 16], new Float32Array(32).fill(x)),
    t: float32([1, 1, 16], new Float32Array(16).fill(0.5)),
  });
  // A threshold that nothing reaches: the second step is skipped, whatever its input.
  const cache = teaCache({ blocks: "blocks.*", threshold: 1e9 });
  using _attached = attach(cache, model);
  const first = await traceStep(0, () => model.run(feeds(0.25)));
  const second = await traceStep(1, () => model.run(feeds(0.75)));
  const expected = (first["y"]?.data as Float32Array).map((value) =>
    Math.fround(Math.fround(value - 0.25) + 0.75)
  );
  assert.deepEqual(second["y"]?.data, expected);
});

Deno.test("step caches keep contexts apart and begin anew with each generation", async () => {
  await using model = await openModel(ditBytes(), OPTIONS);
  const alone = await (async () => {
    const cache = teaCache({ blocks: "blocks.*", threshold: 0.2 });
    using _attached = attach(cache, model);
    return [await denoise(model, STEPS, 1), await denoise(model, STEPS, 3)];
  })();
  const cache = teaCache({ blocks: "blocks.*", threshold: 0.2 });
  using _attached = attach(cache, model);
  const together = await Promise.all([
    withContext("cond", () => denoise(model, STEPS, 1)),
    withContext("uncond", () => denoise(model, STEPS, 3)),
  ]);
  assert.deepEqual(together, alone, "two loops in flight read only their own memory");
  const again = await withContext("cond", () => denoise(model, STEPS, 1));
  assert.deepEqual(again, alone[0], "the second generation starts from nothing");
});

Deno.test("step caches forget on reset()", async () => {
  await using model = await openModel(ditBytes(), OPTIONS);
  const cache = firstBlockCache({ blocks: "blocks.*", threshold: 1e9 });
  using _attached = attach(cache, model);
  await denoise(model, 3);
  assert.deepEqual(cache.statistics()?.skippedSteps, [1, 2]);
  cache.reset();
  assert.equal(cache.statistics(), null);
  await denoise(model, 2);
  assert.deepEqual(cache.statistics()?.skippedSteps, [1]);
});

Deno.test("step caches keep maxConsecutiveSkips", async () => {
  await using model = await openModel(ditBytes(), OPTIONS);
  const cache = teaCache({ blocks: "blocks.*", threshold: 1e9, maxConsecutiveSkips: 2 });
  using _attached = attach(cache, model);
  await denoise(model, 7);
  assert.deepEqual(cache.statistics()?.skippedSteps, [1, 2, 4, 5]);
});

Deno.test("two caches on the same blocks are refused, with the first one left as it was", async () => {
  await using model = await openModel(ditBytes(), OPTIONS);
  using _tea = attach(teaCache({ blocks: "blocks.[1-4]", threshold: 0.2 }), model);
  const before = model.plan().hash;
  const second = firstBlockCache({ blocks: "blocks.*", threshold: 0.2 });
  assert.throws(() => attach(second, model));
  assert.equal(model.plan().hash, before);
});

Deno.test("teaCache replaces two residual blocks of the unet's middle", async () => {
  const dir = fixturePath("torch", "unet");
  await using model = await openModel(fixturePath("torch", "unet", "model.onnx"), OPTIONS);
  const { x, t } = await loadInputs({ dir }, model.inputs);
  assert.ok(x !== undefined && t !== undefined);
  const loop = async (): Promise<Float32Array> => {
    let sample = x.data as Float32Array;
    for (let step = 0; step < 6; step++) {
      const time = float32(t.shape, new Float32Array(t.data.length).fill(1 - step / 6));
      const { y } = await traceStep(
        step,
        () => model.run({ x: float32(x.shape, sample), t: time }),
      );
      const change = y?.data as Float32Array;
      sample = sample.map((value, index) => value - 0.1 * (change[index] ?? 0));
    }
    return sample;
  };
  const plain = await loop();
  const scale = plain.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (const threshold of [0, 0.2]) {
    const cache = teaCache({ blocks: "mid.{a,b}", threshold });
    using _attached = attach(cache, model);
    const error = maxDifference(plain, await loop());
    if (threshold === 0) assert.equal(error, 0);
    else {
      assert.ok((cache.statistics()?.skipped ?? 0) > 0);
      assert.ok(error > 0 && error < 0.05 * scale, `error ${error} against ${scale}`);
    }
  }
});

Deno.test("step caches refuse thresholds, coefficients and blocks that cannot be", async () => {
  const refused = { name: "HooklineError", code: "OPTION_INVALID" };
  assert.throws(() => firstBlockCache({ blocks: "blocks.*", threshold: -1 }), refused);
  assert.throws(() => teaCache({ blocks: "blocks.*", threshold: NaN }), refused);
  assert.throws(
    () => teaCache({ blocks: "blocks.*", threshold: 1, coefficients: [1, 2] }),
    refused,
  );
  await using model = await openModel(ditBytes(), OPTIONS);
  assert.throws(
    () => attach(firstBlockCache({ blocks: "blocks.0", threshold: 1 }), model),
    refused,
  );
  assert.throws(() => attach(teaCache({ blocks: "nowhere.*", threshold: 1 }), model), {
    code: "HOOK_MATCH_EMPTY",
  });
  assert.equal(model.plan().kind, "whole", "a refused cache leaves nothing behind");
});

Deno.test("a cache is refused on a span whose outputs continue none of its inputs", async () => {
  await using model = await openModel(ditBytes(), OPTIONS);
  using _attached = attach(teaCache({ blocks: "time", threshold: 0.5 }), model);
  // `time` maps [1, 1, 16] to [1, 1, 16]: it fits. The unet's `time_embedding` does not.
  await using unet = await openModel(fixturePath("torch", "unet", "model.onnx"), OPTIONS);
  using _unet = attach(teaCache({ blocks: "downs.0.down", threshold: 0.5 }), unet);
  const feeds = await loadInputs(
    { dir: fixturePath("torch", "unet") },
    unet.inputs as Parameters<typeof loadInputs>[1],
  );
  await assert.rejects(
    unet.run(feeds),
    (error: Error & { code?: string; cause?: { code?: string } }) => {
      assert.equal(error.code, "HOOK_THROWN");
      assert.equal(error.cause?.code, "OPTION_INVALID");
      return true;
    },
  );
});

Deno.test("the caches refuse options that they do not have", () => {
  const options = { blocks: BLOCKS, threshold: 0.1, coefficient: [] };
  assert.throws(() => teaCache(options as never), { code: "OPTION_INVALID" });
  assert.throws(() => firstBlockCache(options as never), { code: "OPTION_INVALID" });
});
