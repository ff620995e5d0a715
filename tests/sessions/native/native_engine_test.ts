import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import process from "node:process";
import type { SessionSettings } from "../../../sessions/engine.ts";
import { NapiEngine } from "../../../sessions/napi_engine.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import { availableCores } from "../../../sessions/thread_budget.ts";
import type { DType } from "../../../tensor/dtype.ts";
import { tensor, tensorBytes } from "../../../tensor/tensor.ts";
import { skippable } from "../../skippable.ts";
import { inChild } from "../../support/child.ts";
import { engineConformance } from "../engine_conformance.ts";
import { expectCode } from "../expect_code.ts";
import { buildModel, identityModel, sequenceOutputModel } from "../tiny_models.ts";

engineConformance(() => new NativeEngine());

const SETTINGS: SessionSettings = {
  provider: "cpu",
  optimization: "all",
  threads: 2,
  prepacking: true,
  label: "model",
};

Deno.test("NativeEngine reports version, library, telemetry and threads", async () => {
  const report = await new NativeEngine().report();
  assert.equal(report.version, "1.29.0");
  assert.equal(report.telemetry, "off");
  assert.equal(process.env["ORT_DISABLE_TELEMETRY"], "1");
  assert.match(report.library, /onnxruntime/);
  assert.equal(report.poolThreads, availableCores());
});

Deno.test("NativeEngine carries types that the addon refuses, as their bits", async () => {
  const engine = new NativeEngine();
  const samples: readonly (readonly [DType, Uint16Array | Uint8Array])[] = [
    ["bfloat16", Uint16Array.of(0x3fc0, 0xc000)],
    ["float8e4m3fn", Uint8Array.of(0x38, 0xc0)],
    ["float8e5m2", Uint8Array.of(0x3c, 0xc0)],
  ];
  for (const [dtype, data] of samples) {
    const bytes = identityModel(dtype, [2]);
    await using session = await engine.open({ kind: "bytes", bytes, weightFolder: null }, SETTINGS);
    assert.equal(session.inputs[0]?.dtype, dtype);
    for (let run = 0; run < 3; run++) {
      const { y } = await session.run({ x: tensor(dtype, [2], data) });
      assert.equal(y?.dtype, dtype);
      assert.deepEqual(y?.data, data);
    }
  }
});

Deno.test("NativeEngine declares what NapiEngine declares", async () => {
  const models = [
    identityModel("float16", ["n", 3, null]),
    identityModel("string", null),
    identityModel("int64", []),
    sequenceOutputModel(),
    buildModel({
      inputs: [{ name: "x", dtype: "float32", shape: ["a b", null, 0] }],
      outputs: [{ name: "größe", dtype: "int64", shape: null }],
      nodes: [{ op: "Shape", inputs: ["x"], outputs: ["größe"] }],
    }),
  ];
  for (const bytes of models) {
    const source = { kind: "bytes", bytes, weightFolder: null } as const;
    await using native = await new NativeEngine().open(source, SETTINGS);
    await using napi = await new NapiEngine().open(source, SETTINGS);
    assert.deepEqual(native.inputs, napi.inputs);
    assert.deepEqual(native.outputs, napi.outputs);
  }
});

Deno.test("NativeEngine keeps strings whole: zeros, marks and other scripts", async () => {
  const texts = ["a\0b", "\0", "", "\ufeffmark", "größer 🙂"];
  const bytes = identityModel("string", ["n"]);
  await using session = await new NativeEngine().open(
    { kind: "bytes", bytes, weightFolder: null },
    SETTINGS,
  );
  for (let run = 0; run < 3; run++) {
    const { y } = await session.run({ x: tensor("string", [5], texts) });
    assert.deepEqual(y?.data, texts);
  }
});

Deno.test("NativeEngine says what a provider lacks that is not here, and leaves nothing open", async () => {
  const engine = new NativeEngine();
  const source = {
    kind: "bytes",
    bytes: identityModel("float32", [1]),
    weightFolder: null,
  } as const;
  const settings = { ...SETTINGS, provider: "cuda" } as const;
  const cuda = { memoryLimitBytes: 2 ** 30, arenaExtendStrategy: "kSameAsRequested" } as const;
  try {
    await (await engine.open(source, settings, { cuda })).release(); // a machine with CUDA
  } catch (error) {
    const refused = await expectCode("SESSION_CREATE", () => Promise.reject(error));
    assert.match(refused.message, /cannot open model on cuda: /);
  }
  assert.deepEqual(openSessions(), []);
});

Deno.test({
  ...skippable(
    "NativeEngine has one pool of threads for all sessions",
    process.platform === "linux" ? undefined : "threads are counted in /proc",
  ),
  async fn() {
    const threads = availableCores();
    const open = (label: string) =>
      new NativeEngine().open({
        kind: "bytes",
        bytes: identityModel("float32", ["n"]),
        weightFolder: null,
      }, { ...SETTINGS, threads, label });
    await using stack = new AsyncDisposableStack();
    stack.use(await open("first"));
    const before = readdirSync("/proc/self/task").length;
    for (let index = 0; index < 20; index++) stack.use(await open(`session ${index}`));
    // A thread of Deno's own may come; a pool each would be 20 times the cores less one.
    const grown = readdirSync("/proc/self/task").length - before;
    if (threads > 1) assert.ok(grown < 20, `${grown} threads came with 20 sessions`);
  },
});

function inScript(name: string, flags: readonly string[]): string {
  return inChild(new URL(name, import.meta.url), flags);
}

Deno.test("NativeEngine survives 100,000 runs with forced garbage collection, each with right numbers", () => {
  const text = inScript("./gc_stress_script.ts", ["-A", "--v8-flags=--expose-gc"]);
  const { runs, collections } = JSON.parse(text) as { runs: number; collections: number };
  assert.ok(runs >= 100_000, text);
  assert.ok(collections >= 500, text);
});

Deno.test("a process may end while another thread computes for it", () => {
  assert.equal(inScript("./exit_in_run_script.ts", ["-A"]), "ending\n");
});

Deno.test("NativeEngine finds no shared pool where the napi engine opened a session first", () => {
  const { poolThreads, y } = JSON.parse(inScript("./napi_first_script.ts", ["-A"])) as {
    poolThreads: number | null;
    y: number[];
  };
  assert.equal(poolThreads, null);
  assert.deepEqual(y, [1, 2]);
});

Deno.test("NativeEngine gives tensors whose bytes are those of the addon, for every size", async () => {
  const bytes = identityModel("float32", ["n"]);
  const source = { kind: "bytes", bytes, weightFolder: null } as const;
  await using native = await new NativeEngine().open(source, SETTINGS);
  await using napi = await new NapiEngine().open(source, SETTINGS);
  for (const length of [0, 1, 16_384, 16_385, 300_000]) {
    const x = tensor("float32", [length], Float32Array.from({ length }, (_, at) => Math.sin(at)));
    const wanted = (await napi.run({ x }))["y"];
    for (let run = 0; run < 4; run++) {
      const { y } = await native.run({ x });
      assert.ok(y !== undefined && wanted !== undefined);
      assert.deepEqual(tensorBytes(y), tensorBytes(wanted));
    }
  }
});
