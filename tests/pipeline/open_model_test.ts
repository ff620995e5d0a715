import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { readSkeleton } from "../../graph/skeleton.ts";
import { openModel, type OpenOptions } from "../../pipeline/open_model.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { fixturePath, readFixture } from "../support/fixture_path.ts";
import { fixtureInputs, fixtureOutputs } from "./_fixtures.ts";
import { chainFeeds, chainModel } from "./_small_models.ts";
import { scaleOutputs } from "./_hooks.ts";
import { SpyEngine } from "./_spy_engine.ts";

Deno.test("openModel() takes a path, a URL, bytes or a skeleton of the same model", async () => {
  const path = fixturePath("torch", "vit", "model.onnx");
  const sources = [
    path,
    pathToFileURL(path),
    readFixture("torch", "vit", "model.onnx"),
    readSkeleton(path),
  ];
  const feeds = fixtureInputs("torch", "vit");
  const [name, wanted] = Object.entries(fixtureOutputs("torch", "vit"))[0] ?? assert.fail();
  for (const source of sources) {
    await using model = await openModel(source, { provider: "cpu" });
    const found = (await model.run(feeds))[name]?.data as Float32Array;
    for (const [index, value] of (wanted.data as Float32Array).entries()) {
      assert.ok(Math.abs(value - (found[index] as number)) < 1e-5);
    }
  }
  assert.equal(sessionLedger.count, 0);
});

Deno.test("openModel() opens no session, and every session gets the options", async () => {
  const spy = new SpyEngine();
  await using model = await openModel(chainModel(), {
    engine: spy,
    provider: "cpu",
    optimization: "basic",
    threads: 3,
  });
  assert.equal(spy.opened.length, 0);
  model.registry("layers.1").register(scaleOutputs("a", 2));
  await model.prepare();
  assert.ok(spy.sessions.length > 1);
  for (const { settings } of spy.sessions) {
    assert.deepEqual([settings.provider, settings.optimization, settings.threads], [
      "cpu",
      "basic",
      3,
    ]);
  }
});

Deno.test("openModel() names modules that the user defines by their border", async () => {
  await using model = await openModel(chainModel(), {
    provider: "cpu",
    boundaries: { middle: { inputs: ["h0"], outputs: ["h1"] } },
  });
  assert.deepEqual(model.registry("middle").module.callCount, 1);
});

Deno.test("openModel() refuses options that mean nothing, before it reads the file", async () => {
  const cases: readonly [OpenOptions, string][] = [
    [{ optimization: "most" as never }, "OPTION_INVALID"],
    [{ threads: 0 }, "OPTION_INVALID"],
    [{ threads: 1.5 }, "OPTION_INVALID"],
    [{ idleByteBudget: -1 }, "OPTION_INVALID"],
    [{ idleByteBudget: NaN }, "OPTION_INVALID"],
    [{ recordsRuns: 1 as never }, "OPTION_INVALID"],
  ];
  for (const [options, code] of cases) {
    await expectCode(code as "OPTION_INVALID", () => openModel("/nowhere.onnx", options));
  }
  await expectCode("ENGINE_UNKNOWN", () => openModel(chainModel(), { engine: "napy" as never }));
  await expectCode(
    "PROVIDER_UNKNOWN",
    () => openModel(chainModel(), { provider: "gpu" as never }),
  );
  await expectCode("MODEL_NOT_FOUND", () => openModel("/nowhere.onnx", { provider: "cpu" }));
  assert.equal(sessionLedger.count, 0);
});

Deno.test("openModel() keeps as many idle sessions as asked: none, or all", async () => {
  for (const [idleByteBudget, open] of [[0, 1], [Infinity, 3]] as const) {
    await using model = await openModel(chainModel(), { provider: "cpu", idleByteBudget });
    {
      await using _ = model.registry("layers.1").register(scaleOutputs("a", 2));
      await model.prepare();
    }
    await model.prepare();
    // The plan before is let go beside it: how soon is the machine's to say.
    for (let turn = 0; turn < 500 && sessionLedger.count !== open; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(sessionLedger.count, open);
  }
  assert.equal(sessionLedger.count, 0);
});

Deno.test("openModel() takes a file: URL as text and refuses what is no model", async () => {
  const path = fixturePath("torch", "vit", "model.onnx");
  {
    await using model = await openModel(pathToFileURL(path).href, { provider: "cpu" });
    assert.equal(model.label, "model.onnx");
  }
  await using open = await openModel(path, { provider: "cpu" });
  for (const source of [null, undefined, 3, {}, open, { ...readSkeleton(path) }]) {
    await expectCode("OPTION_INVALID", () => openModel(source as never, { provider: "cpu" }));
  }
  const bytes = readFixture("torch", "vit", "model.onnx");
  const buffer = await expectCode("OPTION_INVALID", () => openModel(bytes.slice().buffer as never));
  assert.match(buffer.fix, /new Uint8Array\(buffer\)/);
  for (const source of ["https://a.b/model.onnx", new URL("http://a.b/model.onnx")]) {
    const error = await expectCode("OPTION_INVALID", () => openModel(source));
    assert.match(error.fix, /fetch/);
  }
});

Deno.test("openModel() refuses options, engines and boundaries of another kind", async () => {
  const path = fixturePath("torch", "vit", "model.onnx");
  await expectCode("OPTION_INVALID", () => openModel(path, null as never));
  await expectCode("OPTION_INVALID", () => openModel(path, { idleByteBudget: "a" as never }));
  const typo = await expectCode("OPTION_INVALID", () => openModel(path, { thread: 1 } as never));
  assert.equal(typo.fix, 'did you mean "threads"?');
  for (const engine of [{}, { open: () => {} }, 3]) {
    await expectCode("ENGINE_UNKNOWN", () => openModel(path, { engine: engine as never }));
  }
  for (const boundary of [1, null, {}, { outputs: "h1" }, { inputs: "h0", outputs: ["h1"] }]) {
    const error = await expectCode("OPTION_INVALID", async () => {
      await using model = await openModel(chainModel(), {
        provider: "cpu",
        boundaries: { a: boundary as never },
      });
      return model.modules;
    });
    assert.deepEqual(error.details, { module: "a" });
  }
});

Deno.test("openModel() takes options of CUDA for the native engine alone, and checks them at once", async () => {
  const cuda = { memoryLimitBytes: 2 ** 30 };
  const open = (options: OpenOptions) => () => openModel(chainModel(), options);
  await expectCode("OPTION_INVALID", open({ cuda, provider: "cpu", engine: "native" }));
  await expectCode("OPTION_INVALID", open({ cuda, engine: "napi" }));
  const wrong = { memoryLimitBytes: -1 };
  await expectCode("OPTION_INVALID", open({ cuda: wrong, engine: "native" }));
  await using model = await openModel(chainModel(), { cuda, engine: "native" });
  assert.equal(model.engine, "native");
});

Deno.test("every session of a model gets the options of CUDA", async () => {
  const spy = new SpyEngine();
  Object.defineProperty(spy, "name", { value: "native" });
  await using model = await openModel(chainModel(), { engine: spy, cuda: { deviceId: 0 } });
  model.registry("layers.1").register(scaleOutputs("a", 2));
  await model.prepare();
  assert.ok(spy.sessions.length > 1);
  for (const { settings } of spy.sessions) assert.deepEqual(settings.cuda, { deviceId: 0 });
});

Deno.test("openModel() records runs with the native engine on a device alone", async () => {
  for (const options of [{ provider: "cpu" }, { provider: "auto", engine: "napi" }] as const) {
    await expectCode(
      "OPTION_INVALID",
      () => openModel(chainModel(), { ...options, recordsRuns: true }),
    );
  }
  await using model = await openModel(chainModel(), { engine: "native", recordsRuns: true });
  if (model.provider.name === "cpu") { // "auto" found no device
    for (let run = 0; run < 3; run++) await model.run(chainFeeds(1));
  }
});
